//! Filling in a script: `$name$` is replaced by the variable's value, `$filter$` and `$partial_filter$` by the
//! filter (contract `dtrace`, section 6). A `$` without a partner is D's own and stays.
//!
//! Values come from people who may run a script but not change it. So a value is a number, a boolean or a word of a
//! few harmless characters, it is put in once and never read for variables again, and it may not make a comment
//! together with what stands beside it.

use serde_json::{Map, Value};
use std::ops::Range;

/// Replaced by `/<filter>/`, by nothing without a filter.
const FILTER: &str = "filter";

/// Replaced by the filter, by [`ALWAYS`] without one.
const PARTIAL_FILTER: &str = "partial_filter";

/// A condition that always holds, as the original writes it.
const ALWAYS: &str = "1==1";

/// A `$name$` in a script.
struct Place<'a> {
    name: &'a str,
    range: Range<usize>,
}

/// The places for values, as the original's web page finds them: `\$\w+\$`.
fn places(script: &str) -> impl Iterator<Item = Place<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + script.get(from..)?.find('$')?;
            let name = script.get(start + 1..)?;
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = name.get(..name.find(|c| !is_word(c)).unwrap_or(name.len()))?;
            let end = start + 1 + name.len();
            if !name.is_empty() && script.get(end..).is_some_and(|rest| rest.starts_with('$')) {
                from = end + 1;
                return Some(Place { name, range: start..from });
            }
            from = start + 1;
        }
    })
}

/// The script with everything filled in.
///
/// `is_trusted` tells of which variables the value may be any text: those that whoever may edit the script gave.
///
/// # Errors
/// What is missing or not allowed, naming the variable.
pub fn fill(
    script: &str,
    values: &Map<String, Value>,
    is_trusted: impl Fn(&str) -> bool,
    filter: Option<&str>,
) -> Result<String, String> {
    let mut out = Filled { text: String::with_capacity(script.len()), is_guarded: false };
    let (mut from, mut has_filter) = (0, false);
    for Place { name, range } in places(script) {
        out.text.push_str(script.get(from..range.start).unwrap_or_default());
        out.is_guarded &= from == range.start;
        from = range.end;
        has_filter |= [FILTER, PARTIAL_FILTER].contains(&name);
        match (name, filter) {
            (FILTER, Some(filter)) => out.put(name, &format!("/{filter}/"), true, None)?,
            (FILTER, None) => (),
            (PARTIAL_FILTER, filter) => out.put(name, filter.unwrap_or(ALWAYS), true, None)?,
            (name, _) => {
                let value = values.get(name).ok_or_else(|| format!("the variable {name} has no value"))?;
                let is_trusted = is_trusted(name);
                let next = script.get(from..).and_then(|rest| rest.chars().next());
                out.put(name, &text_of(name, value, is_trusted)?, is_trusted, next)?;
            }
        }
    }
    if filter.is_some() && !has_filter {
        return Err("the script has no place for a filter: it needs $filter$ or $partial_filter$".into());
    }
    out.text.push_str(script.get(from..).unwrap_or_default());
    Ok(out.text)
}

/// The script so far.
struct Filled {
    text: String,
    /// It ends in a value that is not trusted.
    is_guarded: bool,
}

impl Filled {
    /// Appends a value, unless a comment mark would begin or end in it or where it meets its neighbours.
    fn put(&mut self, name: &str, value: &str, is_trusted: bool, next: Option<char>) -> Result<(), String> {
        let before = self.text.chars().next_back();
        let (first, last) = (value.chars().next().or(next), value.chars().next_back().or(before));
        let is_guarded = !is_trusted || (self.is_guarded && !value.is_empty());
        let makes_comment = is_guarded && is_comment(before, first)
            || !is_trusted && (value.contains("//") || is_comment(last, next));
        if makes_comment {
            return Err(format!("the value of {name} would make a comment"));
        }
        self.text.push_str(value);
        self.is_guarded = !is_trusted || (self.is_guarded && value.is_empty());
        Ok(())
    }
}

fn is_comment(first: Option<char>, second: Option<char>) -> bool {
    matches!((first, second), (Some('/'), Some('/' | '*')) | (Some('*'), Some('/')))
}

/// A value as the tracer reads it. Neither dialect has words for true and false.
fn text_of(name: &str, value: &Value, is_trusted: bool) -> Result<String, String> {
    match value {
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(u8::from(*flag).to_string()),
        Value::String(text) if text.contains('\0') => Err(format!("the value of {name} contains NUL")),
        Value::String(text) if is_trusted || text.chars().all(is_harmless) => Ok(text.clone()),
        Value::String(_) => Err(format!("the value of {name} may hold letters, digits and _ . : / - only")),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("the value of {name} must be a number, a string or a boolean"))
        }
    }
}

fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.:/-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Names of the script's variables, each once, without the two words for the filter.
    fn variables(script: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for Place { name, .. } in places(script) {
            if ![FILTER, PARTIAL_FILTER].contains(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn guarded(script: &str, values: Value) -> Result<String, String> {
        fill(script, &object(values), |_name| false, None)
    }

    #[test]
    fn variables_are_what_stands_between_two_dollars() {
        let script = "$1 $target $a$ $b_2$x$ $filter$ $a$ $partial_filter$ $$c$ $é$ $d";
        assert_eq!(variables(script), ["a", "b_2", "c"]);
    }

    #[test]
    fn the_seeds_script_is_filled_with_its_config() {
        let script = "/pid == $1/ { @t = lquantize(x / 1000, $start$, $end$, $step$); }";
        let filled = guarded(script, json!({"start": 127, "end": 0, "step": 4}));
        assert_eq!(filled.unwrap(), "/pid == $1/ { @t = lquantize(x / 1000, 127, 0, 4); }");
    }

    #[test]
    fn the_filter_goes_where_the_script_has_a_place_for_it() {
        let values = Map::new();
        let fill = |script, filter| fill(script, &values, |_name| false, filter);
        assert_eq!(fill("a\n$filter$\n{}", Some("pid==1")).unwrap(), "a\n/pid==1/\n{}");
        assert_eq!(fill("a\n$filter$\n{}", None).unwrap(), "a\n\n{}");
        assert_eq!(fill("/x && $partial_filter$/", Some("pid==1")).unwrap(), "/x && pid==1/");
        assert_eq!(fill("/x && $partial_filter$/", None).unwrap(), "/x && 1==1/");
        assert_eq!(fill("a {}", None).unwrap(), "a {}");
        assert!(fill("a {}", Some("pid==1")).unwrap_err().contains("$filter$"));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let refused = guarded("$a$ $missing$", json!({"a": 1})).unwrap_err();
        assert_eq!(refused, "the variable missing has no value");
    }

    #[test]
    fn harmless_values_go_in() {
        let values =
            json!({"n": -7, "f": 1.5, "t": true, "u": false, "w": "libc.so-6:x_y", "p": "/lib/libc.so"});
        let filled = guarded("$n$ $f$ $t$ $u$ $w$ uprobe:$p$:malloc \"$p$\"", values).unwrap();
        assert_eq!(filled, "-7 1.5 1 0 libc.so-6:x_y uprobe:/lib/libc.so:malloc \"/lib/libc.so\"");
    }

    #[test]
    fn values_that_could_be_code_are_refused_unless_the_editor_gave_them() {
        for value in [
            json!("1) } BEGIN { system(\"id\")"),
            json!("a b"),
            json!("\""),
            json!("$x$"),
            json!("a\nb"),
            json!("a;b"),
            json!("é"),
            json!("\\"),
            json!("a\0b"),
            json!(null),
            json!([1]),
            json!({"a": 1}),
        ] {
            assert!(guarded("x $v$ y", json!({ "v": value })).is_err(), "{value}");
        }
        let values = object(json!({"v": "a + b /* c */"}));
        assert_eq!(fill("x $v$", &values, |_name| true, None).unwrap(), "x a + b /* c */");
        assert!(fill("x $v$", &object(json!({"v": "\0"})), |_name| true, None).is_err());
    }

    #[test]
    fn no_value_makes_a_comment() {
        for (script, value) in [
            ("x $v$ y", "a//b"),
            ("x /$v$", "/a"),
            ("x $v$/ y", "a/"),
            ("x $v$* y", "a/"),
            ("x *$v$ y", "/"),
            ("x /$v$/ y", ""),
            ("x /$v$* y", ""),
            ("x $v$$v$ y", "/"),
        ] {
            assert!(guarded(script, json!({ "v": value })).is_err(), "{script} {value}");
        }
        assert!(guarded("x / $v$ / y", json!({"v": ""})).is_ok());
        // A value of the editor's after one of the runner's.
        let values = object(json!({"v": "/", "t": "/* c */"}));
        assert!(fill("$v$$t$", &values, |name| name == "t", None).is_err());
        assert!(fill("$v$$filter$", &values, |_name| false, Some("a")).is_err());
        assert!(fill("$t$", &values, |_name| true, None).is_ok());
    }

    #[test]
    fn a_value_is_not_read_for_variables_again() {
        let values = object(json!({"a": "$b$", "b": "secret"}));
        assert_eq!(fill("$a$", &values, |_name| true, None).unwrap(), "$b$");
        assert_eq!(fill("$filter$", &values, |_name| true, Some("x==$b$")).unwrap(), "/x==$b$/");
    }

    proptest! {
        #[test]
        fn no_script_or_value_panics(script in "[a$_/* {}\"é\n]{0,60}", value in "\\PC{0,20}") {
            let mut values = Map::new();
            for name in variables(&script) {
                values.insert(name.to_owned(), value.clone().into());
            }
            let _ = fill(&script, &values, |_name| false, Some("pid==1"));
            let _ = fill(&script, &values, |_name| true, None);
        }

        /// What goes in between `x ` and ` y` is made of harmless characters only.
        #[test]
        fn whatever_is_sent_only_harmless_characters_go_in(value in "[a-z/*\"${}();.\\- é\n]{0,12}") {
            if let Ok(filled) = guarded("x $v$ y", json!({"v": value})) {
                let inner = filled.strip_prefix("x ").and_then(|rest| rest.strip_suffix(" y")).unwrap();
                prop_assert!(inner.chars().all(|c| c.is_ascii_alphanumeric() || "_.:/-".contains(c)), "{}", inner);
            }
        }
    }
}
