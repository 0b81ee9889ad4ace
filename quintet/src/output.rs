//! What commands print: tables for people, JSON for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::io::{Error, ErrorKind, Write};
use std::sync::OnceLock;

/// Why standard output took no more; the first fault counts. [`outcome`] tells it at the end.
static FAULT: OnceLock<Error> = OnceLock::new();

/// A table without lines, so that columns can be cut with the usual tools.
pub(crate) struct Rows(Table);

impl Rows {
    /// A table with these column names.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        Self(table)
    }

    /// Adds a row. Its texts may come from anywhere: none of them may steer the terminal.
    pub(crate) fn push(&mut self, cells: Vec<String>) {
        self.0.add_row(cells.iter().map(|cell| harmless(cell)));
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        print_line(&self.0.trim_fmt());
    }
}

/// A text on one line, with escapes in place of the characters that could steer a terminal or turn text around.
pub(crate) fn harmless(text: &str) -> String {
    escaped(text, &[])
}

/// Escapes steering characters as JSON does, so that a JSON document stays the document it was.
fn escaped(text: &str, kept: &[char]) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if kept.contains(&c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ if c.is_control() || is_direction(c) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => safe.push(c),
        }
    }
    safe
}

/// Whether a character changes the direction of those behind it.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Prints the members of an object, one in a row, or the document.
pub(crate) fn print_object(object: &Value, header: [&str; 2], output: crate::cli::OutputFormat) {
    if output == crate::cli::OutputFormat::Json {
        return print_json(object);
    }
    let mut rows = Rows::new(&header);
    for (name, value) in object.as_object().into_iter().flatten() {
        rows.push(vec![name.clone(), plain(value)]);
    }
    rows.print();
}

/// What was done, for programs; a person is told failures alone.
pub(crate) fn print_done(done: &Value, format: crate::cli::Format) {
    if format.output == crate::cli::OutputFormat::Json {
        print_json(done);
    }
}

/// Prints a document, indented.
pub(crate) fn print_json(value: &Value) {
    print_line(&format!("{value:#}"));
}

/// Prints a line, or several, and sends it at once: somebody may be reading along. False when nobody does any more.
pub(crate) fn print_line(line: &str) -> bool {
    print_bytes(format!("{}\n", escaped(line, &['\n', '\t'])).as_bytes())
}

/// Prints bytes as they are. False when nobody reads along any more.
pub(crate) fn print_bytes(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(cause) => {
            if cause.kind() != ErrorKind::BrokenPipe {
                // Of several faults the first says why.
                let _ = FAULT.set(cause);
            }
            false
        }
    }
}

/// Whether everything was printed. A reader who has seen enough and closed the pipe is no fault.
///
/// # Errors
/// What the system said, for instance that the disk is full.
pub(crate) fn outcome() -> anyhow::Result<()> {
    match FAULT.get() {
        None => Ok(()),
        Some(cause) => anyhow::bail!("standard output cannot be written: {cause}"),
    }
}

/// Says something to the person at the terminal, on standard error.
pub(crate) fn say(words: &str) {
    // Nobody hears it: then nobody can be told that either.
    let _ = writeln!(std::io::stderr(), "quintet: {}", escaped(words, &['\n', '\t']));
}

/// Text of a JSON value without the quotes of a string; a `__type__` object is shown by its time.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => match members.get("datetime").or_else(|| members.get("timestamp")) {
            Some(Value::String(time)) => time.clone(),
            _ => value.to_string(),
        },
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

/// The texts of a list with commas between; any other value as [`plain`] writes it.
pub(crate) fn joined(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            plain(other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_that_steers_a_terminal_stays_in_a_text() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{9b}1mc\u{7f}"), "a\\u001b[2Jb\\u009b1mc\\u007f");
        assert_eq!(harmless("one\ntwo\tthree\r"), "one\\ntwo\\tthree\\r");
        assert_eq!(harmless("grüße \u{202e}txt.exe"), "grüße \\u202etxt.exe");
    }

    #[test]
    fn a_document_stays_what_it_is() {
        let document = json!({ "text": "\u{9b}1m\u{1b}\n\u{202e}", "list": ["é", 1] });
        let shown = escaped(&format!("{document:#}"), &['\n', '\t']);
        assert!(!shown.contains(['\u{9b}', '\u{1b}', '\u{202e}']), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), document);
    }
}
