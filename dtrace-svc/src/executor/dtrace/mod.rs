//! DTrace itself (illumos, FreeBSD, macOS, Oracle Linux): the script with a print of its aggregations added, its
//! text tables read.

mod table;

use super::installed::{Installed, Read, Tool};
use super::{Diagnostic, Exit};
use crate::config::TracerLimits;
use crate::script::{Dialect, Scan};
use std::path::PathBuf;
use table::Tables;
use tokio_util::task::TaskTracker;

const TOOL: Tool = Tool {
    name: "dtrace",
    title: "DTrace",
    setting: "dtrace.dtrace_path",
    dialect: Dialect::D,
    version: &["-V"],
    // SystemTap has a program of this name which generates headers. DTrace's says `dtrace: Sun D 1.13`.
    is_own: |version| version.starts_with("dtrace:") && version.contains(" D "),
    trial: &["-q", "-n", "BEGIN { exit(0); }"],
    check: &["-e", "-s", "/dev/stdin"],
    run: &["-x", AGGREGATION_RATE, "-x", SWITCH_RATE, "-q", "-s", "/dev/stdin"],
    prepare,
    refusal,
};

/// How often DTrace hands over what it has printed. Its default of a second would hold every tick back.
const SWITCH_RATE: &str = "switchrate=20ms";

/// How often it collects its aggregations.
const AGGREGATION_RATE: &str = "aggrate=100ms";

/// The program `dtrace`, within `limits`; `tracker` knows its processes.
#[must_use]
pub fn dtrace(program: PathBuf, limits: TracerLimits, tracker: TaskTracker) -> Installed {
    Installed::new(&TOOL, program, limits, tracker)
}

fn prepare(script: &str, scan: Scan, interval_millis: u64) -> (String, Read) {
    let mark = format!("quintet-{}", uuid::Uuid::new_v4().simple());
    let script = complete(script, &scan, interval_millis, &mark);
    let mut tables = Tables::new(scan, mark);
    (script, Box::new(move |line| tables.read(line)))
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
    use crate::script::scan;

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
