//! This machine's tracers behind one door: which of them runs a script.

use super::{Capability, Diagnostic, Executor, Installed, Job, Simulated, Tracer, Tracing};
use crate::config::{Setting, TracerLimits};
use crate::script::{Dialect, guard, scan};
use futures_util::future::{BoxFuture, FutureExt};
use shared::clock::SharedClock;
use std::path::PathBuf;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

/// This machine's tracers.
pub struct Local {
    setting: Setting,
    bpftrace: Installed,
    dtrace: Installed,
    simulated: Simulated,
    may_use_files: bool,
    has_dtrace: OnceCell<bool>,
    capability: OnceCell<Capability>,
}

impl Local {
    /// Seed of the simulated figures.
    const SEED: u64 = 0x71_75_69_6e_74_65_74;

    /// Programs, limits and clock of this machine; `may_use_files` lets scripts use its files.
    #[must_use]
    pub fn new(
        setting: Setting,
        (bpftrace, dtrace): (PathBuf, PathBuf),
        (limits, may_use_files): (&TracerLimits, bool),
        clock: SharedClock,
        tracker: &TaskTracker,
    ) -> Self {
        Self {
            setting,
            bpftrace: super::bpftrace(bpftrace, limits.clone(), tracker.clone()),
            dtrace: super::dtrace(dtrace, limits.clone(), tracker.clone()),
            simulated: Simulated::new(clock, Self::SEED),
            may_use_files,
            has_dtrace: OnceCell::new(),
            capability: OnceCell::new(),
        }
    }

    /// The language of a script on this machine.
    pub async fn dialect(&self, script: &str) -> Dialect {
        match (Dialect::named_by(script), self.setting) {
            (Some(dialect), _) => dialect,
            (None, Setting::Bpftrace) => Dialect::Bpftrace,
            (None, Setting::Dtrace | Setting::Simulated | Setting::Remote) => Dialect::D,
            (None, Setting::Auto) => match self.has_dtrace().await {
                true => Dialect::D,
                false => Dialect::Bpftrace,
            },
        }
    }

    /// What this machine could trace when it was first asked; asking starts a tracer.
    pub async fn probed(&self) -> &Capability {
        let probe = async || match self.setting {
            Setting::Simulated => self.simulated.probe().await,
            Setting::Dtrace => self.dtrace.probe().await,
            Setting::Auto if self.has_dtrace().await => self.dtrace.probe().await,
            Setting::Auto | Setting::Bpftrace | Setting::Remote => self.bpftrace.probe().await,
        };
        self.capability.get_or_init(probe).await
    }

    /// Compiles a script without running it.
    ///
    /// # Errors
    /// What the tracer says, or why there is none to ask.
    pub async fn check(&self, script: &str, dialect: Dialect) -> Result<(), Diagnostic> {
        self.refuse(script, dialect).await?;
        // At a start the tracer does this.
        scan(script, dialect)?;
        self.tracer(dialect).check(script).await.map_err(|refused| self.explain(refused, script))
    }

    /// The tracer of scripts that name none, or the programs that are not there. bpftrace is not started for this.
    ///
    /// # Errors
    /// What is missing.
    pub async fn found(&self) -> Result<&'static str, String> {
        let (tracer, missing) = match self.setting {
            Setting::Simulated => (self.simulated.name(), None),
            Setting::Dtrace => (self.dtrace.name(), self.dtrace.missing()),
            Setting::Auto if self.has_dtrace().await => (self.dtrace.name(), None),
            Setting::Auto => {
                let neither = |missing| format!("{missing}, no DTrace (setting dtrace.dtrace_path)");
                (self.bpftrace.name(), self.bpftrace.missing().map(neither))
            }
            Setting::Bpftrace | Setting::Remote => (self.bpftrace.name(), self.bpftrace.missing()),
        };
        missing.map_or(Ok(tracer), Err)
    }

    async fn has_dtrace(&self) -> bool {
        *self.has_dtrace.get_or_init(async || self.dtrace.probe().await.hindrance.is_none()).await
    }

    fn tracer(&self, dialect: Dialect) -> &dyn Tracer {
        match (self.setting, dialect) {
            (Setting::Simulated, _) => &self.simulated,
            (_, Dialect::D) => &self.dtrace,
            (_, Dialect::Bpftrace) => &self.bpftrace,
        }
    }

    /// Why a script cannot run here, whatever a tracer would say: it holds what no script may, or it is D and there is
    /// no DTrace, which bpftrace would answer with a syntax error.
    async fn refuse(&self, script: &str, dialect: Dialect) -> Result<(), Diagnostic> {
        guard(script, dialect, self.may_use_files).map_err(|forbidden| Diagnostic {
            line: Some(forbidden.line),
            column: Some(forbidden.column),
            ..Diagnostic::new(forbidden.to_string())
        })?;
        if dialect == Dialect::Bpftrace || self.setting == Setting::Simulated || self.has_dtrace().await {
            return Ok(());
        }
        Err(Diagnostic::without_tracer(
            "this is a D script, and there is no DTrace here (setting dtrace.dtrace_path; a script for bpftrace begins \
             with #!/usr/bin/env bpftrace)",
        ))
    }

    /// Tells a reader of bpftrace's refusal that nobody said the script was bpftrace's.
    fn explain(&self, refused: Diagnostic, script: &str) -> Diagnostic {
        if self.setting != Setting::Auto || Dialect::named_by(script).is_some() {
            return refused;
        }
        if refused.is_without_tracer {
            let text = format!("{}, and there is no DTrace (setting dtrace.dtrace_path)", refused.text);
            return Diagnostic { text, ..refused };
        }
        let text = format!("{}\n(read as a bpftrace script: there is no DTrace here)", refused.text);
        Diagnostic { text, ..refused }
    }
}

impl Executor for Local {
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>> {
        async move {
            self.refuse(&job.script, job.dialect).await?;
            let script = job.script.clone();
            let started = self.tracer(job.dialect).start(job).await;
            started.map_err(|refused| self.explain(refused, &script))
        }
        .boxed()
    }
}
