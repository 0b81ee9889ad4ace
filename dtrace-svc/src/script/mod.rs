//! The text of a script: its dialect, its variables and filter filled in, what it may not hold, the aggregations it
//! keeps.

mod fill;
mod filter;
mod guard;
mod scan;

pub use fill::fill;
pub use filter::{Filter, FilterError};
pub use guard::{Forbidden, guard};
pub use scan::{Aggregation, Excess, Kind, Scan, scan};

use serde::{Deserialize, Serialize};

/// The language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// D, the language of the seed's scripts.
    D,
    /// bpftrace's own.
    Bpftrace,
}

impl Dialect {
    /// The dialect that a first line `#!…bpftrace` or `#!…dtrace` names.
    #[must_use]
    pub fn named_by(script: &str) -> Option<Self> {
        let first = script.lines().next()?.strip_prefix("#!")?;
        match first {
            _ if first.contains("bpftrace") => Some(Self::Bpftrace),
            _ if first.contains("dtrace") => Some(Self::D),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_dialect() {
        assert_eq!(Dialect::named_by("#!/usr/sbin/dtrace -s\nBEGIN"), Some(Dialect::D));
        assert_eq!(Dialect::named_by("#!/usr/bin/env bpftrace\nBEGIN"), Some(Dialect::Bpftrace));
        for none in ["", "BEGIN { }", "#!/bin/sh", "\n#!/usr/bin/bpftrace", "/* #!dtrace */"] {
            assert_eq!(Dialect::named_by(none), None, "{none}");
        }
    }
}
