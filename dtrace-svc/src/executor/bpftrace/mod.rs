//! bpftrace: the script with a print of its aggregations added, its JSON lines read.

mod output;

use super::installed::{Installed, Read, Tool};
use super::{Diagnostic, Exit};
use crate::config::TracerLimits;
use crate::script::{Dialect, Scan};
use output::Output;
use std::path::PathBuf;
use tokio_util::task::TaskTracker;

const TOOL: Tool = Tool {
    name: "bpftrace",
    title: "bpftrace",
    setting: "dtrace.bpftrace_path",
    dialect: Dialect::Bpftrace,
    version: &["--version"],
    is_own: |_version| true,
    trial: &["-f", "json", "-e", "BEGIN { exit(); }"],
    check: &["-d", "-"],
    run: &["-f", "json", "-B", "line", "-"],
    prepare,
    refusal,
};

/// Longest text of a refusal that is passed on.
const MAX_TEXT: usize = 2048;

/// The program `bpftrace`, version 0.17 or newer, within `limits`; `tracker` knows its processes.
#[must_use]
pub fn bpftrace(program: PathBuf, limits: TracerLimits, tracker: TaskTracker) -> Installed {
    Installed::new(&TOOL, program, limits, tracker)
}

fn prepare(script: &str, scan: Scan, interval_millis: u64) -> (String, Read) {
    // Nothing that a script prints can be taken for the end of a tick.
    let mark = format!("quintet-tick-{}", uuid::Uuid::new_v4().simple());
    let script = complete(script, &scan, interval_millis, &mark);
    let mut output = Output::new(scan, mark);
    (script, Box::new(move |line| output.read(line)))
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
    use crate::script::scan;

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
