//! DTrace itself (illumos, FreeBSD, macOS, Oracle Linux): the script with a print of its aggregations added, its
//! text tables read.

mod table;

use super::process::{self, Limits, Program};
use super::{Capability, Diagnostic, Executor, Exit, Job, Name, Tracer, Tracing};
use crate::script::{Dialect, Scan, scan};
use futures_util::future::{BoxFuture, FutureExt};
use std::path::PathBuf;
use std::time::Duration;
use table::Tables;
use tokio_util::task::TaskTracker;

const NAME: Name = Name { tracer: "dtrace", setting: "dtrace.dtrace_path" };

/// Longest wait for a script to compile and attach.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often DTrace hands over what it has printed. Its default of a second would hold every tick back.
const SWITCH_RATE: &str = "switchrate=20ms";

/// How often it collects its aggregations.
const AGGREGATION_RATE: &str = "aggrate=100ms";

/// The program `dtrace`.
pub struct Dtrace {
    program: PathBuf,
    limits: Limits,
    tracker: TaskTracker,
}

impl Dtrace {
    /// Runs `program` within `limits`; `tracker` knows its processes.
    #[must_use]
    pub fn new(program: PathBuf, limits: Limits, tracker: TaskTracker) -> Self {
        Self { program, limits, tracker }
    }

    /// What to say when the program is not on this machine.
    pub(super) fn missing(&self) -> Option<String> {
        (!process::is_found(&self.program)).then(|| NAME.missing(&self.program))
    }

    fn with(&self, args: &[&str]) -> Program {
        Program {
            path: self.program.clone(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            limits: self.limits.clone(),
            tracker: self.tracker.clone(),
        }
    }
}

impl Tracer for Dtrace {
    fn name(&self) -> &'static str {
        NAME.tracer
    }

    fn probe(&self) -> BoxFuture<'_, Capability> {
        async {
            let mut capability = Capability { tracer: self.name(), version: String::new(), hindrance: None };
            if let Some(missing) = self.missing() {
                capability.hindrance = Some(missing);
                return capability;
            }
            let version = self.with(&["-V"]).finish(String::new(), PATIENCE).await;
            capability.version = version.map(|(output, _)| output.trim().to_owned()).unwrap_or_default();
            // SystemTap has a program of this name which generates headers. DTrace's says `dtrace: Sun D 1.13`.
            if !(capability.version.starts_with("dtrace:") && capability.version.contains(" D ")) {
                capability.hindrance = Some(format!("{} is not DTrace", self.program.display()));
                return capability;
            }
            let trial = self.with(&["-q", "-n", "BEGIN { exit(0); }"]).finish(String::new(), PATIENCE).await;
            capability.hindrance = match trial {
                Ok((_, exit)) if exit.is_success() => None,
                Ok((_, exit)) => Some(refusal(&exit).text),
                Err(cause) => Some(cause.to_string()),
            };
            capability
        }
        .boxed()
    }

    fn check<'a>(&'a self, script: &'a str) -> BoxFuture<'a, Result<(), Diagnostic>> {
        async {
            let compiled = self.with(&["-e", "-s", "/dev/stdin"]).finish(script.to_owned(), PATIENCE).await;
            match compiled.map_err(|cause| NAME.unstarted(&self.program, &cause))? {
                (_, exit) if exit.is_success() => Ok(()),
                (_, exit) => Err(refusal(&exit)),
            }
        }
        .boxed()
    }
}

impl Executor for Dtrace {
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>> {
        async move {
            let scan = scan(&job.script, Dialect::D)?;
            let mark = format!("quintet-{}", uuid::Uuid::new_v4().simple());
            let script = complete(&job.script, &scan, job.interval_millis, &mark);
            let mut tables = Tables::new(scan, mark);
            let program = self.with(&["-x", AGGREGATION_RATE, "-x", SWITCH_RATE, "-q", "-s", "/dev/stdin"]);
            let tracing = program.start(script, move |line| tables.read(line));
            let tracing = tracing.map_err(|cause| NAME.unstarted(&self.program, &cause))?;
            tracing.started(PATIENCE, refusal).await
        }
        .boxed()
    }
}

/// The script, a word when it has started, and a probe that prints and empties its aggregations, each after its name.
fn complete(script: &str, scan: &Scan, interval_millis: u64, mark: &str) -> String {
    let unprinted = scan.aggregations.iter().filter(|aggregation| !aggregation.is_printed);
    let prints: String = unprinted
        .map(|one| format!("printf(\"{mark} {0}\\n\"); printa({0}); trunc({0}); ", one.name))
        .collect();
    format!(
        "{script}\nBEGIN {{ printf(\"{mark} started\\n\"); }}\n\
         tick-{interval_millis}ms {{ {prints}printf(\"{mark} tick\\n\"); }}\n"
    )
}

/// DTrace's own words, with the place: `dtrace: failed to compile script /dev/stdin: line 3: syntax error …`.
fn refusal(exit: &Exit) -> Diagnostic {
    let mut text = exit.stderr.trim().to_owned();
    if text.is_empty() {
        text = exit.code.map_or("dtrace ended".into(), |code| format!("dtrace ended with code {code}"));
    }
    let line = text.split_once("line ").and_then(|(_, rest)| rest.split(':').next()?.trim().parse().ok());
    Diagnostic { line, ..Diagnostic::new(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_completed_by_a_start_and_a_tick() {
        let script = "syscall:::entry { @n[execname] = count(); @p = sum(1); printa(@p); }";
        let completed = complete(script, &scan(script, Dialect::D).unwrap(), 1000, "M");
        let expected = "\nBEGIN { printf(\"M started\\n\"); }\n\
                        tick-1000ms { printf(\"M @n\\n\"); printa(@n); trunc(@n); printf(\"M tick\\n\"); }\n";
        assert_eq!(completed, format!("{script}{expected}"));
    }

    #[test]
    fn a_refusal_names_the_line() {
        let stderr = "dtrace: failed to compile script /dev/stdin: line 3: syntax error near \"}\"\n";
        let refused = refusal(&Exit { code: Some(1), stderr: stderr.into() });
        assert_eq!((refused.text.as_str(), refused.line), (stderr.trim(), Some(3)));
    }
}
