//! Finds the aggregations of a script: what the tracer must be told to print, and how its figures add up.
//!
//! This reads words, not grammar: a script that the tracer refuses may scan as anything.

use super::Dialect;
use indexmap::IndexMap;
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

/// Most maps of one script.
const MAX_MAPS: usize = 1000;

/// Most keys of one map.
const MAX_KEYS: usize = 64;

/// What a script has too much of to be looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Maps.
    #[error("the script has more than {} maps", MAX_MAPS)]
    Maps,
    /// Keys of one map.
    #[error("the script has a map with more than {} keys", MAX_KEYS)]
    Keys,
}

/// Looks through `script`, once from its begin to its end: nobody but its author has seen it yet, and it may be long.
///
/// # Errors
/// [`Excess`].
pub fn scan(script: &str, dialect: Dialect) -> Result<Scan, Excess> {
    let code = blank(script, dialect);
    let mut reader = Reader::default();
    let (mut rest, mut word) = (code.as_str(), "");
    while let Some(c) = rest.chars().next() {
        let length = if is_word(c) { word_length(rest) } else { c.len_utf8() };
        let (token, after) = rest.split_at(length);
        rest = after;
        match c {
            '(' | '[' | '{' => reader.open(c, word),
            ')' | ']' | '}' => reader.close(rest),
            ',' => reader.comma()?,
            '@' => {
                let before = code.get(..code.len() - rest.len() - c.len_utf8()).unwrap_or_default();
                rest = reader.map(before, rest)?;
            }
            _ => (),
        }
        if is_word(c) {
            word = token;
        } else if !c.is_whitespace() {
            word = "";
        }
    }
    Ok(reader.end())
}

/// What is read so far.
#[derive(Default)]
struct Reader<'a> {
    /// By name without the `@`, in the order in which they appear.
    maps: IndexMap<&'a str, Map>,
    /// From the outermost.
    open: Vec<Open>,
    /// How many of them are calls of `print`, and of `delete`: asked at every map, however deep it stands.
    prints: usize,
    deletes: usize,
}

/// What the places of a map tell together.
#[derive(Default)]
struct Map {
    keys: usize,
    /// By the first place that aggregates.
    aggregated: Option<Kind>,
    is_counted: bool,
    is_variable: bool,
    is_printed: bool,
}

/// A bracket that is open.
enum Open {
    /// Of a call of `print` or `printa`.
    Print,
    /// Of a call of `delete`.
    Delete,
    /// Of a map's keys.
    Keys(Use),
    /// Any other.
    Other,
}

/// One place where a map stands.
struct Use {
    /// Its number among the maps.
    map: usize,
    keys: usize,
    /// What stands before it and around it tells.
    role: Role,
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

impl<'a> Reader<'a> {
    fn open(&mut self, bracket: char, word: &str) {
        self.open.push(match (bracket, word) {
            ('(', "print" | "printa") => {
                self.prints += 1;
                Open::Print
            }
            ('(', "delete") => {
                self.deletes += 1;
                Open::Delete
            }
            _ => Open::Other,
        });
    }

    /// Closes the innermost bracket, of whatever form; `rest` follows it.
    fn close(&mut self, rest: &str) {
        match self.open.pop() {
            Some(Open::Print) => self.prints -= 1,
            Some(Open::Delete) => self.deletes -= 1,
            Some(Open::Keys(place)) => self.note(&place, rest),
            Some(Open::Other) | None => (),
        }
    }

    fn comma(&mut self) -> Result<(), Excess> {
        if let Some(Open::Keys(place)) = self.open.last_mut() {
            if place.keys == MAX_KEYS {
                return Err(Excess::Keys);
            }
            place.keys += 1;
        }
        Ok(())
    }

    /// Reads a map whose `@` ends where `after` begins; what follows its name, and the bracket of its keys, comes back.
    fn map(&mut self, before: &str, after: &'a str) -> Result<&'a str, Excess> {
        let (name, rest) = after.split_at(word_length(after));
        let entry = self.maps.entry(name);
        let map = entry.index();
        if map == MAX_MAPS {
            return Err(Excess::Maps);
        }
        entry.or_default().is_printed |= self.prints > 0;
        let role = match () {
            () if before.ends_with("++") => Role::Counted,
            () if self.deletes > 0 || before.ends_with("--") => Role::Variable,
            () => Role::Read,
        };
        let Some(inner) = rest.trim_start().strip_prefix('[') else {
            self.note(&Use { map, keys: 0, role }, rest);
            return Ok(rest);
        };
        self.open.push(Open::Keys(Use { map, keys: 1, role }));
        Ok(inner)
    }

    /// Notes a place, which `rest` follows.
    fn note(&mut self, place: &Use, rest: &str) {
        let Some((_, map)) = self.maps.get_index_mut(place.map) else { return };
        map.keys = map.keys.max(place.keys);
        let after = role(rest.trim_start());
        match if after == Role::Read { place.role } else { after } {
            Role::Aggregated(kind) => map.aggregated = map.aggregated.or(Some(kind)),
            Role::Counted => map.is_counted = true,
            Role::Variable => map.is_variable = true,
            Role::Read => (),
        }
    }

    /// What the places come to. A map is an aggregation when it is aggregated into, when it is only ever counted up, or
    /// when the script prints it.
    fn end(mut self) -> Scan {
        while !self.open.is_empty() {
            self.close("");
        }
        let mut scan = Scan::default();
        for (name, map) in self.maps {
            let is_counter = map.is_counted && !map.is_variable;
            let printed = map.is_printed.then_some(Kind::Last);
            if let Some(kind) = map.aggregated.or(is_counter.then_some(Kind::Sum)).or(printed) {
                let (keys, is_printed) = (map.keys, map.is_printed);
                scan.aggregations.push(Aggregation { name: format!("@{name}"), kind, keys, is_printed });
            }
        }
        scan
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Bytes of the word at the start.
fn word_length(rest: &str) -> usize {
    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
}

/// What follows a map tells what is done with it.
fn role(rest: &str) -> Role {
    if let Some(value) = rest.strip_prefix('=').filter(|value| !value.starts_with('=')) {
        let value = value.trim_start();
        let (function, arguments) = value.split_at(word_length(value));
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
        let all = scan(script, dialect).unwrap().aggregations.into_iter();
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

    #[test]
    fn a_map_that_stands_deep_is_found() {
        let deep = format!(
            "{}@a++{}; print({}@b{});",
            "(".repeat(500),
            ")".repeat(500),
            "[".repeat(500),
            "]".repeat(500)
        );
        let expected = [one("@a", Kind::Sum, 0, false), one("@b", Kind::Last, 0, true)];
        assert_eq!(found(&deep, Dialect::D), expected);
        // A bracket that nobody closes.
        assert_eq!(found("@c[1, ++@d[", Dialect::D), [one("@d", Kind::Sum, 1, false)]);
    }

    #[test]
    fn more_maps_or_keys_than_are_looked_after_are_refused() {
        let maps = |count: usize| (0..count).map(|map| format!("@a{map}++; @a0++; ")).collect::<String>();
        assert_eq!(found(&maps(1000), Dialect::D).len(), 1000);
        assert_eq!(scan(&maps(1001), Dialect::D), Err(Excess::Maps));
        let keys = |count: usize| format!("@a[{}]++", vec!["f(1, 2)"; count].join(","));
        assert_eq!(found(&keys(64), Dialect::D), [one("@a", Kind::Sum, 64, false)]);
        assert_eq!(scan(&keys(65), Dialect::D), Err(Excess::Keys));
        assert_eq!(Excess::Maps.to_string(), "the script has more than 1000 maps");
        assert_eq!(Excess::Keys.to_string(), "the script has a map with more than 64 keys");
    }

    #[test]
    fn a_long_script_is_looked_through_in_time() {
        let repeated = |part: &str| part.repeat((1 << 17) / part.len());
        let twice = |first: &str, second: &str| repeated(first) + &repeated(second);
        for script in [
            repeated("@["),
            repeated("@[)"),
            repeated("@[1]"),
            repeated("print(@a[1 "),
            repeated("@ = "),
            repeated("/*"),
            repeated("\"\\"),
            twice("(", "@"),
            twice("[", "@]"),
            twice("delete(", "@a)"),
            twice("@", " "),
        ] {
            let began = std::time::Instant::now();
            assert!(scan(&script, Dialect::Bpftrace).is_ok() && scan(&script, Dialect::D).is_ok());
            assert!(began.elapsed().as_secs() < 10, "{:?}: {:?}", script.get(..10), began.elapsed());
        }
        let maps: String = (0..100_000).map(|map| format!("@a{map}++;")).collect();
        assert_eq!(scan(&maps, Dialect::D), Err(Excess::Maps));
        assert_eq!(scan(&format!("@[{}", repeated("1,")), Dialect::D), Err(Excess::Keys));
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
