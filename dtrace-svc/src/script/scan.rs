//! Finds the aggregations of a script: what the tracer must be told to print, and how its figures add up.
//!
//! This reads words, not grammar: a script that the tracer refuses may scan as anything.

use super::Dialect;
use serde::{Deserialize, Serialize};

/// How figures of one aggregation go together, over ticks and over servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `count`, `sum`, `++`: they add up.
    Sum,
    /// `min`: the least.
    Min,
    /// `max`: the greatest.
    Max,
    /// `avg`, `stddev`: the mean of them.
    Mean,
    /// `stats`: count and total add up.
    Stats,
    /// `hist`, `lhist`, `quantize`, `lquantize`, `llquantize`: each bucket adds up.
    Histogram,
    /// A map that is no aggregation, but that the script prints: the last value.
    Last,
}

/// One aggregation of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregation {
    /// With its `@`.
    pub name: String,
    /// How its figures go together.
    pub kind: Kind,
    /// How many keys it has.
    pub keys: usize,
    /// The script prints it itself.
    pub is_printed: bool,
}

/// What a script keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// In the order in which they appear.
    pub aggregations: Vec<Aggregation>,
}

impl Scan {
    /// An aggregation by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Aggregation> {
        self.aggregations.iter().find(|aggregation| aggregation.name == name)
    }
}

/// Looks through `script`.
#[must_use]
pub fn scan(script: &str, dialect: Dialect) -> Scan {
    let code = blank(script, dialect);
    let mut uses: Vec<Use> = Vec::new();
    let mut calls: Vec<&str> = Vec::new();
    let mut rest = code.as_str();
    let mut word = "";
    while let Some(c) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = if is_word(c) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { c.len_utf8() };
        let (token, after) = rest.split_at(length);
        match c {
            '(' => calls.push(std::mem::take(&mut word)),
            ')' => drop(calls.pop()),
            '@' => uses.push(Use::read(code.as_str(), after, &calls)),
            c if is_word(c) => word = token,
            c if !c.is_whitespace() => word = "",
            _ => (),
        }
        rest = after;
    }
    gather(&uses)
}

/// One place where a map stands.
struct Use {
    name: String,
    keys: usize,
    role: Role,
    is_printed: bool,
}

/// What a place says about the map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is aggregated into.
    Aggregated(Kind),
    /// It is counted up.
    Counted,
    /// It is set or taken away: a variable of the script's.
    Variable,
    /// It is only read.
    Read,
}

impl Use {
    /// Reads a map whose `@` ends where `after` begins; `calls` are the functions it stands inside of.
    fn read(code: &str, after: &str, calls: &[&str]) -> Self {
        let name_end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, mut rest) = after.split_at(name_end);
        let mut keys = 0;
        if let Some(inner) = rest.trim_start().strip_prefix('[') {
            (keys, rest) = count_keys(inner);
        }
        let before =
            code.len().checked_sub(after.len() + 1).and_then(|at| code.get(..at)).unwrap_or_default();
        let is_counted_before = before.ends_with("++");
        let is_in = |names: &[&str]| calls.iter().any(|call| names.contains(call));
        let role = match role(rest.trim_start()) {
            Role::Read if is_counted_before => Role::Counted,
            Role::Read if is_in(&["delete"]) || before.ends_with("--") => Role::Variable,
            told @ (Role::Read | Role::Aggregated(_) | Role::Counted | Role::Variable) => told,
        };
        Self { name: format!("@{name}"), keys, role, is_printed: is_in(&["print", "printa"]) }
    }
}

/// What follows a map tells what is done with it.
fn role(rest: &str) -> Role {
    if let Some(value) = rest.strip_prefix('=').filter(|value| !value.starts_with('=')) {
        let value = value.trim_start();
        let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(value.len());
        let (function, arguments) = value.split_at(end);
        let kind = kind_of(function).filter(|_| arguments.trim_start().starts_with('('));
        return kind.map_or(Role::Variable, Role::Aggregated);
    }
    let is_one_of = |marks: &[&str]| marks.iter().any(|mark| rest.starts_with(mark));
    match () {
        () if is_one_of(&["++", "+="]) => Role::Counted,
        () if is_one_of(&["--", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="]) => Role::Variable,
        () => Role::Read,
    }
}

fn kind_of(function: &str) -> Option<Kind> {
    Some(match function {
        "count" | "sum" => Kind::Sum,
        "min" => Kind::Min,
        "max" => Kind::Max,
        "avg" | "stddev" => Kind::Mean,
        "stats" => Kind::Stats,
        "hist" | "lhist" | "quantize" | "lquantize" | "llquantize" => Kind::Histogram,
        _ => return None,
    })
}

/// Puts the places together. A map is an aggregation when it is aggregated into, when it is only ever counted up,
/// or when the script prints it.
fn gather(uses: &[Use]) -> Scan {
    let mut scan = Scan::default();
    for Use { name, .. } in uses {
        if scan.find(name).is_some() {
            continue;
        }
        let same = || uses.iter().filter(|other| other.name == *name);
        let aggregated = same().find_map(|one| match one.role {
            Role::Aggregated(kind) => Some(kind),
            Role::Counted | Role::Variable | Role::Read => None,
        });
        let is_counter =
            same().any(|one| one.role == Role::Counted) && !same().any(|one| one.role == Role::Variable);
        let is_printed = same().any(|one| one.is_printed);
        let kind = aggregated.or(is_counter.then_some(Kind::Sum)).or(is_printed.then_some(Kind::Last));
        if let Some(kind) = kind {
            let keys = same().map(|one| one.keys).max().unwrap_or(0);
            scan.aggregations.push(Aggregation { name: name.clone(), kind, keys, is_printed });
        }
    }
    scan
}

/// Counts the keys up to the closing bracket; what follows it comes back.
fn count_keys(inner: &str) -> (usize, &str) {
    let (mut depth, mut keys) = (0_usize, 1);
    for (at, c) in inner.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ']' if depth == 0 => return (keys, inner.get(at + 1..).unwrap_or_default()),
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => keys += 1,
            _ => (),
        }
    }
    (keys, "")
}

/// The script with blanks for its comments and an `s` for every text, so that neither is taken for code.
fn blank(script: &str, dialect: Dialect) -> String {
    let mut code = String::with_capacity(script.len());
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        let (put, skip) = if rest.starts_with("/*") {
            (' ', rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else if (dialect == Dialect::Bpftrace && rest.starts_with("//"))
            || (code.is_empty() && rest.starts_with("#!"))
        {
            (' ', rest.find('\n').unwrap_or(rest.len()))
        } else if c == '"' {
            ('s', text_length(rest))
        } else {
            (c, c.len_utf8())
        };
        code.push(put);
        rest = rest.get(skip..).unwrap_or_default();
    }
    code
}

/// Bytes of the quoted text at the start.
fn text_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => (),
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(script: &str, dialect: Dialect) -> Vec<(String, Kind, usize, bool)> {
        let all = scan(script, dialect).aggregations.into_iter();
        all.map(|one| (one.name, one.kind, one.keys, one.is_printed)).collect()
    }

    fn one(name: &str, kind: Kind, keys: usize, is_printed: bool) -> (String, Kind, usize, bool) {
        (name.to_owned(), kind, keys, is_printed)
    }

    #[test]
    fn the_seeds_script_has_one_histogram_with_one_key() {
        let script = "erlang*:::function-return\n/self->t[copyinstr(arg1)]/\n{\n  @time[copyinstr(arg1)] = \
                      lquantize((vtimestamp - self->t[copyinstr(arg1)] ) / 1000, 127, 0, 4);\n}";
        assert_eq!(found(script, Dialect::D), [one("@time", Kind::Histogram, 1, false)]);
    }

    #[test]
    fn every_function_has_its_kind() {
        let script = "BEGIN { @a = count(); @b[1] = sum(2); @c = min(1); @d = max(1); @e = avg(1); @f[pid, comm] = \
                      stats(f(1, 2)); @g = hist(1); @h[(1, 2), @x[3, 4]] = lhist(1, 2, 3, 4); @ = count ( ); }";
        let expected = [
            one("@a", Kind::Sum, 0, false),
            one("@b", Kind::Sum, 1, false),
            one("@c", Kind::Min, 0, false),
            one("@d", Kind::Max, 0, false),
            one("@e", Kind::Mean, 0, false),
            one("@f", Kind::Stats, 2, false),
            one("@g", Kind::Histogram, 0, false),
            one("@h", Kind::Histogram, 2, false),
            one("@", Kind::Sum, 0, false),
        ];
        assert_eq!(found(script, Dialect::Bpftrace), expected);
    }

    #[test]
    fn variables_of_the_script_are_left_alone() {
        let script = "kprobe:a { @start[tid] = nsecs; @depth[tid]++; @calls[comm]++; ++@all; @n += 2 }
            kretprobe:a /@start[tid]/ { @t = hist(nsecs - @start[tid]); delete(@start[tid]); @depth[tid]--; }";
        let expected = [
            one("@calls", Kind::Sum, 1, false),
            one("@all", Kind::Sum, 0, false),
            one("@n", Kind::Sum, 0, false),
            one("@t", Kind::Histogram, 0, false),
        ];
        assert_eq!(found(script, Dialect::Bpftrace), expected);
    }

    #[test]
    fn what_the_script_prints_is_told() {
        let script =
            "BEGIN { @a = count(); @b = 1; @c[1] = 2; } interval:s:5 { print(@a); print(@c, 5); clear(@b); }";
        assert_eq!(
            found(script, Dialect::Bpftrace),
            [one("@a", Kind::Sum, 0, true), one("@c", Kind::Last, 1, true)]
        );
        let script =
            "BEGIN { @a = count(); @b[execname] = sum(1); } tick-1s { printa(\"%@d\", @a); trunc(@b, 5); }";
        assert_eq!(
            found(script, Dialect::D),
            [one("@a", Kind::Sum, 0, true), one("@b", Kind::Sum, 1, false)]
        );
    }

    #[test]
    fn comments_and_texts_are_no_code() {
        let script = "#! @z = count()\n/* @a = count(); */ // @b = count();\nBEGIN { printf(\"@c = count(); \\\" @d\"); }";
        assert_eq!(found(script, Dialect::Bpftrace), []);
        // D has no comments to the end of the line.
        assert_eq!(found("// @b = count();", Dialect::D), [one("@b", Kind::Sum, 0, false)]);
    }

    proptest! {
        #[test]
        fn no_script_panics(script in "[@a=c(){}\\[\\],+\\-/*\"\\\\ é\n]{0,80}") {
            let _ = scan(&script, Dialect::D);
            let _ = scan(&script, Dialect::Bpftrace);
        }

        #[test]
        fn no_text_panics(script in "\\PC{0,80}") {
            let _ = scan(&script, Dialect::Bpftrace);
        }
    }
}
