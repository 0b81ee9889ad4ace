//! A tracer that is a program of this machine: what bpftrace and DTrace have in common.

use super::process::{self, Program};
use super::{Capability, Diagnostic, Event, Executor, Exit, Job, Tracer, Tracing};
use crate::config::TracerLimits;
use crate::script::{Dialect, Scan, scan};
use futures_util::future::{BoxFuture, FutureExt};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Longest wait for a script to compile and attach.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Makes events of a line.
pub(super) type Read = Box<dyn FnMut(&str) -> Vec<Event> + Send>;

/// What is a tracer's own: how it is asked, and how its answers are read.
pub(super) struct Tool {
    /// The tracer, as settings and logs name it.
    pub(super) name: &'static str,
    /// The tracer, as its makers name it.
    pub(super) title: &'static str,
    /// The setting that names its program.
    pub(super) setting: &'static str,
    /// The language of its scripts.
    pub(super) dialect: Dialect,
    /// Arguments with which it tells its version.
    pub(super) version: &'static [&'static str],
    /// Whether a version is this tracer's: another program may have its name.
    pub(super) is_own: fn(&str) -> bool,
    /// Arguments with which it traces nothing and ends at once.
    pub(super) trial: &'static [&'static str],
    /// Arguments with which it compiles the script that comes in.
    pub(super) check: &'static [&'static str],
    /// Arguments with which it runs that.
    pub(super) run: &'static [&'static str],
    /// Completes a script by a print of its aggregations every so many milliseconds; and what reads that.
    pub(super) prepare: fn(&str, Scan, u64) -> (String, Read),
    /// What of an end tells why the script is refused.
    pub(super) refusal: fn(&Exit) -> Diagnostic,
}

/// A tracer's program. Scripts go in through its standard input: no file is left behind, and no shell sees them.
pub struct Installed {
    tool: &'static Tool,
    program: Program,
}

impl Installed {
    /// Runs the program at `path` within `limits`; `tracker` knows its processes.
    pub(super) fn new(
        tool: &'static Tool,
        path: PathBuf,
        limits: TracerLimits,
        tracker: TaskTracker,
    ) -> Self {
        Self { tool, program: Program { path, limits, tracker } }
    }

    /// What to say when the program is not on this machine.
    pub(super) fn missing(&self) -> Option<String> {
        let path = &self.program.path;
        (!process::is_found(path))
            .then(|| format!("no program {} (setting {})", path.display(), self.tool.setting))
    }

    /// What hinders a program of this version.
    async fn hindrance(&self, version: &str) -> Option<String> {
        if !(self.tool.is_own)(version) {
            return Some(format!("{} is not {}", self.program.path.display(), self.tool.title));
        }
        match self.program.finish(self.tool.trial, String::new(), TIMEOUT).await {
            Ok((_, exit)) if exit.is_success() => None,
            Ok((_, exit)) => Some((self.tool.refusal)(&exit).text),
            Err(cause) => Some(cause.to_string()),
        }
    }

    /// A program that could not be started.
    fn unstarted(&self, cause: &io::Error) -> Diagnostic {
        let (Tool { name, setting, .. }, path) = (self.tool, self.program.path.display());
        Diagnostic::without_tracer(format!("{name}: {cause}: {path} cannot be run here (setting {setting})"))
    }
}

impl Tracer for Installed {
    fn name(&self) -> &'static str {
        self.tool.name
    }

    fn probe(&self) -> BoxFuture<'_, Capability> {
        async {
            let tracer = self.name();
            if let Some(missing) = self.missing() {
                return Capability { tracer, version: String::new(), hindrance: Some(missing) };
            }
            let version = self.program.finish(self.tool.version, String::new(), TIMEOUT).await;
            let version = version.map(|(output, _)| output.trim().to_owned()).unwrap_or_default();
            Capability { tracer, hindrance: self.hindrance(&version).await, version }
        }
        .boxed()
    }

    fn check<'a>(&'a self, script: &'a str) -> BoxFuture<'a, Result<(), Diagnostic>> {
        async {
            let compiled = self.program.finish(self.tool.check, script.to_owned(), TIMEOUT).await;
            match compiled.map_err(|cause| self.unstarted(&cause))? {
                (_, exit) if exit.is_success() => Ok(()),
                (_, exit) => Err((self.tool.refusal)(&exit)),
            }
        }
        .boxed()
    }
}

impl Executor for Installed {
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>> {
        async move {
            let scan = scan(&job.script, self.tool.dialect)?;
            let (script, read) = (self.tool.prepare)(&job.script, scan, job.interval_millis);
            let tracing = self.program.start(self.tool.run, script, read);
            let tracing = tracing.map_err(|cause| self.unstarted(&cause))?;
            tracing.started(TIMEOUT, self.tool.refusal).await
        }
        .boxed()
    }
}
