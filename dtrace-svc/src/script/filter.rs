//! Filters: conditions that a listener asks for, as an expression of the tracer's language (contract `dtrace`,
//! section 6).
//!
//! A filter is a list of conditions (all must hold), or `{"and": […]}` / `{"or": […]}`, nested. A condition is
//! `[what, value]`, `[what, comparison, value]`, `["arg", number, …]`, `["args", number, …]` or `["custom", text]`.

use super::Dialect;
use serde_json::Value;

/// Deepest nesting and most conditions of one filter.
const MAX_DEPTH: usize = 32;
const MAX_CONDITIONS: usize = 256;

/// Comparisons that both dialects have.
const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// Why a filter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is malformed; the text goes to the client.
    #[error("filter: {0}")]
    Invalid(String),
    /// It holds free text, which only those who may edit the script may send.
    #[error("filter: custom conditions need the permission to edit the script")]
    Custom,
}

fn invalid(text: impl Into<String>) -> FilterError {
    FilterError::Invalid(text.into())
}

/// A filter, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All must hold.
    All(Vec<Self>),
    /// At least one must hold.
    Any(Vec<Self>),
    /// The left side, the comparison, the value.
    Compare(Term, &'static str, Operand),
    /// An expression as it came.
    Custom(String),
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Process id.
    Pid,
    /// Name of the program.
    Execname,
    /// Provider of the probe.
    Provider,
    /// Module of the probe.
    Module,
    /// Name of the probe.
    Probe,
    /// Name of the zone.
    Zonename,
    /// `arg0` to `arg9`.
    Arg(u8),
    /// `args[n]`.
    Args(u8),
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A whole number.
    Number(i64),
    /// A text; it is quoted when written.
    Text(String),
}

impl Filter {
    /// Reads a filter; an empty list, object or null is none.
    ///
    /// # Errors
    /// [`FilterError::Invalid`]; [`FilterError::Custom`] for free text when `may_be_custom` is false.
    pub fn parse(value: &Value, may_be_custom: bool) -> Result<Option<Self>, FilterError> {
        let is_empty = match value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if is_empty {
            return Ok(None);
        }
        let mut reader = Reader { may_be_custom, left: MAX_CONDITIONS };
        let filter = match value.as_array() {
            Some(list) => reader.group(list, 0).map(Self::All),
            None => reader.filter(value, 0),
        };
        filter.map(Some)
    }

    /// The filter that holds for any of these zones only.
    #[must_use]
    pub fn zones(names: &[String]) -> Self {
        let zone = |name: &String| Self::Compare(Term::Zonename, "==", Operand::Text(name.clone()));
        Self::Any(names.iter().map(zone).collect())
    }

    /// The filter as an expression.
    ///
    /// # Errors
    /// [`FilterError::Invalid`] when the dialect has no such term.
    pub fn write(&self, dialect: Dialect) -> Result<String, FilterError> {
        let join = |parts: &[Self], operator: &str| {
            let written: Vec<String> =
                parts.iter().map(|part| part.write(dialect)).collect::<Result<_, _>>()?;
            Ok(if let [one] = written.as_slice() {
                one.clone()
            } else {
                format!("({})", written.join(operator))
            })
        };
        match self {
            Self::All(parts) => join(parts, "&&"),
            Self::Any(parts) => join(parts, "||"),
            Self::Compare(term, comparison, operand) => {
                Ok(format!("{}{comparison}{}", term.write(dialect)?, operand.write()))
            }
            Self::Custom(text) if is_comparison(text) => Ok(text.clone()),
            // Whatever binds weaker than what stands beside it.
            Self::Custom(text) => Ok(format!("({text})")),
        }
    }
}

/// Whether a text compares two words, or is one: nothing in it can bind weaker than `&&`.
fn is_comparison(text: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.trim();
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (left, rest) = text.split_at(text.find(['=', '!', '<', '>']).unwrap_or(text.len()));
    // The longest: `<=` begins as `<` does.
    let comparison = COMPARISONS.into_iter().filter(|one| rest.starts_with(one)).max_by_key(|one| one.len());
    match comparison.and_then(|comparison| rest.strip_prefix(comparison)) {
        Some(right) => is_word(left) && is_word(right),
        None => rest.is_empty() && is_word(left),
    }
}

/// Whether a text is closed in itself: brackets put around it hold all of it. Quoted texts, and characters of D, may
/// hold anything; an expression has neither comments nor statements nor directives.
fn is_closed(text: &str) -> bool {
    let (mut open, mut chars) = (Vec::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        let is_fine = match c {
            '(' => {
                open.push(')');
                true
            }
            '[' => {
                open.push(']');
                true
            }
            ')' | ']' => open.pop() == Some(c),
            '"' | '\'' => skip_quoted(&mut chars, c),
            '/' => !matches!(chars.peek(), Some('/' | '*')),
            '*' => chars.peek() != Some(&'/'),
            '{' | '}' | ';' | '#' | '\\' => false,
            other => !other.is_control(),
        };
        if !is_fine {
            return false;
        }
    }
    open.is_empty()
}

/// Skips what is quoted, and the quote that ends it; whether there is one.
fn skip_quoted(chars: &mut impl Iterator<Item = char>, quote: char) -> bool {
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        if c == quote {
            return true;
        }
        if c.is_control() || escaped.is_some_and(char::is_control) {
            return false;
        }
    }
    false
}

impl Term {
    fn write(self, dialect: Dialect) -> Result<String, FilterError> {
        let (d, bpftrace) = match self {
            Self::Pid => ("pid", Some("pid")),
            Self::Execname => ("execname", Some("comm")),
            Self::Provider => ("probeprov", None),
            Self::Module => ("probemod", None),
            Self::Probe => ("probename", Some("probe")),
            Self::Zonename => ("zonename", None),
            Self::Arg(number) => return Ok(format!("arg{number}")),
            Self::Args(number) if dialect == Dialect::D => return Ok(format!("args[{number}]")),
            Self::Args(_) => ("args", None),
        };
        match dialect {
            Dialect::D => Ok(d.to_owned()),
            Dialect::Bpftrace => bpftrace
                .map(str::to_owned)
                .ok_or_else(|| invalid(format!("bpftrace has no {d} to compare with"))),
        }
    }
}

impl Operand {
    fn write(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => {
                let escape = |c: char| match c {
                    '"' => "\\\"".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    other => other.to_string(),
                };
                format!("\"{}\"", text.chars().map(escape).collect::<String>())
            }
        }
    }
}

/// Reads one filter within its bounds.
struct Reader {
    may_be_custom: bool,
    left: usize,
}

impl Reader {
    fn group(&mut self, list: &[Value], depth: usize) -> Result<Vec<Filter>, FilterError> {
        if depth > MAX_DEPTH {
            return Err(invalid("nested too deeply"));
        }
        if list.is_empty() {
            return Err(invalid("an empty group"));
        }
        list.iter().map(|part| self.filter(part, depth + 1)).collect()
    }

    fn filter(&mut self, value: &Value, depth: usize) -> Result<Filter, FilterError> {
        if let Value::Array(condition) = value {
            return self.condition(condition);
        }
        let members =
            value.as_object().ok_or_else(|| invalid(format!("expected a condition, found {value}")))?;
        let only = members.iter().next().filter(|_| members.len() == 1);
        match only.and_then(|(word, list)| Some((word.as_str(), list.as_array()?))) {
            Some(("and", list)) => self.group(list, depth).map(Filter::All),
            Some(("or", list)) => self.group(list, depth).map(Filter::Any),
            _ => Err(invalid("expected one member, and or or, with a list")),
        }
    }

    fn condition(&mut self, condition: &[Value]) -> Result<Filter, FilterError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| invalid("too many conditions"))?;
        let [Value::String(what), rest @ ..] = condition else {
            return Err(invalid("a condition begins with a word"));
        };
        let (term, rest) = match (what.as_str(), rest) {
            ("custom", [Value::String(text)]) => return self.custom(text),
            ("pid", rest) => (Term::Pid, rest),
            ("execname", rest) => (Term::Execname, rest),
            ("provider", rest) => (Term::Provider, rest),
            ("module", rest) => (Term::Module, rest),
            ("probe", rest) => (Term::Probe, rest),
            ("zonename", rest) => (Term::Zonename, rest),
            ("arg", [number, rest @ ..]) => (Term::Arg(place(number)?), rest),
            ("args", [number, rest @ ..]) => (Term::Args(place(number)?), rest),
            _ => return Err(invalid(format!("unknown condition {what}"))),
        };
        let (comparison, value) = match rest {
            [value] => ("==", value),
            [Value::String(word), value] => {
                let known = COMPARISONS.into_iter().find(|known| known == word);
                (known.ok_or_else(|| invalid(format!("unknown comparison {word}")))?, value)
            }
            _ => return Err(invalid(format!("{what}: expected a value, or a comparison and a value"))),
        };
        Ok(Filter::Compare(term, comparison, operand(term, what, value)?))
    }

    fn custom(&self, text: &str) -> Result<Filter, FilterError> {
        match text {
            _ if !self.may_be_custom => Err(FilterError::Custom),
            text if text.contains('\0') || text.trim().is_empty() => Err(invalid("custom: no text")),
            text if !is_closed(text) => Err(invalid("custom: expected one expression, closed in itself")),
            text => Ok(Filter::Custom(text.to_owned())),
        }
    }
}

/// Number of an argument, 0 to 9; a text of one digit is taken too.
fn place(value: &Value) -> Result<u8, FilterError> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let number = number.and_then(|number| u8::try_from(number).ok()).filter(|number| *number < 10);
    number.ok_or_else(|| invalid("arg: expected a number from 0 to 9"))
}

fn operand(term: Term, what: &str, value: &Value) -> Result<Operand, FilterError> {
    let wants_number = term == Term::Pid;
    let wants_text = !wants_number && !matches!(term, Term::Arg(_) | Term::Args(_));
    let expected = |thing: &str| invalid(format!("{what}: expected {thing}"));
    if let Some(text) = value.as_str() {
        return match () {
            () if wants_number => {
                text.parse().map(Operand::Number).map_err(|_no_number| expected("a number"))
            }
            () if text.chars().any(char::is_control) => Err(expected("a text without control characters")),
            () => Ok(Operand::Text(text.to_owned())),
        };
    }
    let number = value.as_i64().filter(|_| !wants_text).map(Operand::Number);
    number.ok_or_else(|| expected(if wants_text { "a string" } else { "a whole number" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(value: Value) -> Result<String, FilterError> {
        Filter::parse(&value, true)?.unwrap().write(Dialect::D)
    }

    #[test]
    fn the_examples_of_the_contract_hold() {
        assert_eq!(written(json!([["pid", 1]])).unwrap(), "pid==1");
        let nested = json!({"and": [["custom", "a==1"], {"or": [["custom", "b==2"], ["zonename", "c"]]}]});
        assert_eq!(written(nested).unwrap(), "(a==1&&(b==2||zonename==\"c\"))");
    }

    #[test]
    fn every_condition_has_its_expression() {
        for (condition, expression) in [
            (json!(["pid", "<=", 7]), "pid<=7"),
            (json!(["pid", "12"]), "pid==12"),
            (json!(["execname", "!=", "beam.smp"]), "execname!=\"beam.smp\""),
            (json!(["provider", "syscall"]), "probeprov==\"syscall\""),
            (json!(["module", "zfs"]), "probemod==\"zfs\""),
            (json!(["probe", "entry"]), "probename==\"entry\""),
            (json!(["arg", 0, 5]), "arg0==5"),
            (json!(["arg", "9", ">", -5]), "arg9>-5"),
            (json!(["args", 3, "==", "x"]), "args[3]==\"x\""),
        ] {
            assert_eq!(written(json!([condition])).unwrap(), expression, "{condition}");
        }
        assert_eq!(written(json!([["pid", 1], ["arg", 0, 1]])).unwrap(), "(pid==1&&arg0==1)");
    }

    #[test]
    fn bpftrace_has_its_own_words_and_lacks_some() {
        let write = |value: Value| Filter::parse(&value, true).unwrap().unwrap().write(Dialect::Bpftrace);
        assert_eq!(write(json!([["pid", 1], ["execname", "cat"]])).unwrap(), "(pid==1&&comm==\"cat\")");
        assert_eq!(write(json!([["probe", "BEGIN"], ["arg", 1, 2]])).unwrap(), "(probe==\"BEGIN\"&&arg1==2)");
        for condition in [json!(["zonename", "z"]), json!(["provider", "p"]), json!(["args", 0, 1])] {
            assert!(matches!(write(json!([condition])), Err(FilterError::Invalid(_))), "{condition}");
        }
    }

    #[test]
    fn nothing_is_no_filter() {
        for none in [json!(null), json!([]), json!({})] {
            assert_eq!(Filter::parse(&none, false), Ok(None));
        }
    }

    #[test]
    fn texts_are_escaped() {
        let filter = written(json!([["execname", "a\"||1==1||\"\\"]])).unwrap();
        assert_eq!(filter, r#"execname=="a\"||1==1||\"\\""#);
    }

    #[test]
    fn custom_needs_the_permission_to_edit() {
        let custom = json!({"or": [["pid", 1], ["custom", "1==1"]]});
        assert_eq!(Filter::parse(&custom, false), Err(FilterError::Custom));
        assert!(Filter::parse(&custom, true).is_ok());
    }

    #[test]
    fn custom_conditions_stay_in_their_place() {
        let confined = |text: &str| {
            let wanted = Filter::parse(&json!([["custom", text]]), true).unwrap().unwrap();
            Filter::All(vec![Filter::zones(&["x".into()]), wanted]).write(Dialect::D).unwrap()
        };
        for text in ["a==1", "1", "uid", " ppid != 7 ", "arg0<=0x1f"] {
            assert_eq!(confined(text), format!(r#"(zonename=="x"&&{text})"#));
        }
        for text in [
            "a==1||b==2",
            "a==1^^b==2",
            "a?b:c",
            "a=1",
            "a,b",
            "a==b==c",
            "a<b==c",
            "a|b",
            "self->t",
            "execname == \"a)||(b\"",
            "arg0 == ')'",
            "x == \"\\\")||(\"",
            "(a || b[1]) && c",
        ] {
            assert_eq!(confined(text), format!(r#"(zonename=="x"&&({text}))"#));
        }
        assert_eq!(written(json!([["custom", "a||b"]])).unwrap(), "(a||b)");
    }

    #[test]
    fn custom_conditions_that_are_not_closed_in_themselves_are_refused() {
        for text in [
            "a==1)||(b==2",
            "(a==1",
            "a[1)",
            "a==1 /* ",
            "*/ a",
            "a // b",
            "a==\"x",
            "a=='",
            "\"\\\")||(b",
            "1/ { exit(0); } BEGIN /1",
            "a; b",
            "a\n#pragma D option destructive\n",
            "a == \"\n\"",
            "\\",
        ] {
            let refused = Filter::parse(&json!([["custom", text]]), true);
            assert_eq!(refused, Err(invalid("custom: expected one expression, closed in itself")), "{text}");
        }
    }

    #[test]
    fn malformed_filters_are_refused() {
        let deep = (0..40).fold(json!(["pid", 1]), |inner, _| json!({ "and": [inner] }));
        let many = Value::from(vec![json!(["pid", 1]); 257]);
        for filter in [
            json!(1),
            json!("pid==1"),
            json!(["pid", 1]),
            json!([[]]),
            json!([["pid"]]),
            json!([["pid", "==", 1, 2]]),
            json!([["pid", "1==1||pid"]]),
            json!([["pid", 1.5]]),
            json!([["pid", "=", 1]]),
            json!([["pid", "||", 1]]),
            json!([["pid", null]]),
            json!([["execname", 1]]),
            json!([["execname", "a\nb"]]),
            json!([["execname", "a\0"]]),
            json!([["execname", ["a"]]]),
            json!([["arg", 10, 1]]),
            json!([["arg", -1, 1]]),
            json!([["arg", "0==0||arg", 1]]),
            json!([["custom", ""]]),
            json!([["custom", 1]]),
            json!([["nosuch", 1]]),
            json!([[1, 2]]),
            json!({"and": []}),
            json!({"and": [["pid", 1]], "or": [["pid", 1]]}),
            json!({"not": [["pid", 1]]}),
            deep,
            many,
        ] {
            assert!(matches!(Filter::parse(&filter, true), Err(FilterError::Invalid(_))), "{filter}");
        }
    }

    /// Whether `text` is exactly one string literal.
    fn is_one_literal(text: &str) -> bool {
        let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return false;
        };
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            if c == '"' || (c == '\\' && chars.next().is_none()) {
                return false;
            }
        }
        true
    }

    proptest! {
        /// Whatever passes, the bracket before it is closed by the one after it.
        #[test]
        fn whatever_a_custom_condition_is_it_stays_in_its_brackets(text in "[a=|()\\[\\]\"'/*\\\\ ]{1,12}") {
            if is_closed(&text) && !text.trim().is_empty() {
                let (closed, open) = (format!("({text})"), format!("({text}"));
                prop_assert!(is_closed(&closed) && !is_closed(&open));
            }
        }

        #[test]
        fn whatever_the_text_it_stays_one_literal(text in "[a\"\\\\/*|&= $]{0,20}") {
            let filter = written(json!([["execname", text]])).unwrap();
            prop_assert!(is_one_literal(filter.strip_prefix("execname==").unwrap()), "{}", filter);
        }
    }
}
