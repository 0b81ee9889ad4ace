//! bpftrace: the script with a print of its aggregations added, its JSON lines read.

mod output;

use super::process::{self, Limits, Program};
use super::{Capability, Diagnostic, Executor, Exit, Job, Name, Tracer, Tracing};
use crate::script::{Dialect, Scan, scan};
use futures_util::future::{BoxFuture, FutureExt};
use output::Output;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::task::TaskTracker;

const NAME: Name = Name { tracer: "bpftrace", setting: "dtrace.bpftrace_path" };

/// Longest wait for a script to compile and attach.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest text of a refusal that is passed on.
const MAX_TEXT: usize = 2048;

/// The program `bpftrace`, version 0.17 or newer.
pub struct Bpftrace {
    program: PathBuf,
    limits: Limits,
    tracker: TaskTracker,
}

impl Bpftrace {
    /// Runs `program` within `limits`; `tracker` knows its processes.
    #[must_use]
    pub fn new(program: PathBuf, limits: Limits, tracker: TaskTracker) -> Self {
        Self { program, limits, tracker }
    }

    /// What to say when the program is not on this machine.
    pub(super) fn missing(&self) -> Option<String> {
        (!process::is_found(&self.program)).then(|| NAME.missing(&self.program))
    }

    /// The script goes in through standard input: no file is left behind, and no shell sees it.
    fn with(&self, args: &[&str]) -> Program {
        Program {
            path: self.program.clone(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            limits: self.limits.clone(),
            tracker: self.tracker.clone(),
        }
    }
}

impl Tracer for Bpftrace {
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
            if let Ok((version, _)) = self.with(&["--version"]).finish(String::new(), PATIENCE).await {
                capability.version = version.trim().to_owned();
            }
            let trial =
                self.with(&["-f", "json", "-e", "BEGIN { exit(); }"]).finish(String::new(), PATIENCE).await;
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
            let compiled = self.with(&["-d", "-"]).finish(script.to_owned(), PATIENCE).await;
            match compiled.map_err(|cause| NAME.unstarted(&self.program, &cause))? {
                (_, exit) if exit.is_success() => Ok(()),
                (_, exit) => Err(refusal(&exit)),
            }
        }
        .boxed()
    }
}

impl Executor for Bpftrace {
    fn start(&self, job: Job) -> BoxFuture<'_, Result<Tracing, Diagnostic>> {
        async move {
            let scan = scan(&job.script, Dialect::Bpftrace)?;
            // Nothing that a script prints can be taken for the end of a tick.
            let mark = format!("quintet-tick-{}", uuid::Uuid::new_v4().simple());
            let script = complete(&job.script, &scan, job.interval_millis, &mark);
            let mut output = Output::new(scan, mark);
            let program = self.with(&["-f", "json", "-B", "line", "-"]);
            let tracing = program.start(script, move |line| output.read(line));
            let tracing = tracing.map_err(|cause| NAME.unstarted(&self.program, &cause))?;
            tracing.started(PATIENCE, refusal).await
        }
        .boxed()
    }
}

/// The script, and a probe that prints and empties its aggregations. bpftrace itself prints at the end only.
fn complete(script: &str, scan: &Scan, interval_millis: u64, mark: &str) -> String {
    let unprinted = scan.aggregations.iter().filter(|aggregation| !aggregation.is_printed);
    let prints: String = unprinted.map(|one| format!("print({0}); clear({0}); ", one.name)).collect();
    format!("{script}\ninterval:ms:{interval_millis} {{ {prints}printf(\"{mark}\\n\"); }}\n")
}

/// What of bpftrace's standard error tells why it ended, and the place in the script.
fn refusal(exit: &Exit) -> Diagnostic {
    // Two lines that a healthy run writes too (seen with 0.17).
    let noise = ["couldn't set RLIMIT_MEMLOCK", "Error while reading traceable functions"];
    let stderr = exit.stderr.replace("No such file or directoryERROR", "No such file or directory\nERROR");
    let lines = stderr.lines().filter(|line| !noise.iter().any(|noise| line.contains(noise)));
    let mut text: String = lines.collect::<Vec<_>>().join("\n").trim().chars().take(MAX_TEXT).collect();
    if text.is_empty() {
        text = exit.code.map_or("bpftrace ended".into(), |code| format!("bpftrace ended with code {code}"));
    }
    let place = text.lines().find_map(|line| line.strip_prefix("stdin:"));
    let mut numbers =
        place.into_iter().flat_map(|place| place.split([':', '-'])).map(|part| part.trim().parse().ok());
    Diagnostic { line: numbers.next().flatten(), column: numbers.next().flatten(), ..Diagnostic::new(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregations_that_the_script_does_not_print_are_printed_and_emptied() {
        let script =
            "BEGIN { @a = count(); @b[1] = hist(1); @c = sum(1); @s[tid] = 1; delete(@s[tid]); print(@c); }";
        let completed = complete(script, &scan(script, Dialect::Bpftrace).unwrap(), 1000, "M");
        let expected =
            "\ninterval:ms:1000 { print(@a); clear(@a); print(@b); clear(@b); printf(\"M\\n\"); }\n";
        assert_eq!(completed, format!("{script}{expected}"));
    }

    #[test]
    fn a_refusal_is_bpftraces_own_words_and_place() {
        // Recorded from bpftrace 0.17.
        let stderr = "ERROR: Unknown error -1: couldn't set RLIMIT_MEMLOCK for bpftrace. If your program is not \
                      loading, you can try \"ulimit -l 8192\" to fix the problem\nstdin:1:21-22: ERROR: syntax error, \
                      unexpected }\nBEGIN { @x = count( }\n                    ~\n";
        let refused = refusal(&Exit { code: Some(1), stderr: stderr.into() });
        assert_eq!((refused.line, refused.column), (Some(1), Some(21)));
        assert_eq!(
            refused.text,
            "stdin:1:21-22: ERROR: syntax error, unexpected }\nBEGIN { @x = count( }\n                    ~"
        );
        let aborted = refusal(&Exit {
            code: Some(134),
            stderr: "FATAL: Invalid probe type made it to attachpoint parser\n".into(),
        });
        assert_eq!(aborted, Diagnostic::new("FATAL: Invalid probe type made it to attachpoint parser"));
        let silent = refusal(&Exit { code: Some(139), stderr: String::new() });
        assert_eq!(silent.text, "bpftrace ended with code 139");
    }
}
