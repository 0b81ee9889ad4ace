//! What commands print: tables for people, JSON for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::io::Write;

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

/// A text without control characters, which could steer a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Prints a document, indented.
pub(crate) fn print_json(value: &Value) {
    print_line(&format!("{value:#}"));
}

/// Prints one line and sends it at once: somebody may be reading along. A closed pipe ends the command in silence.
pub(crate) fn print_line(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
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
