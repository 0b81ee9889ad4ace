//! What a run looks like: on a terminal a picture that is drawn anew with every message, elsewhere the figures at the
//! end, or every message as a line of JSON.

use crate::cli::OutputFormat;
use crate::output::{harmless, print_line};
use console::Term;
use dtrace_svc::histogram::Totals;
use serde_json::{Map, Value};
use std::time::Instant;

/// Widest bar, in characters.
const WIDEST_BAR: usize = 60;

/// What stands before and after a bar, about.
const BESIDE_BAR: usize = 40;

/// Columns where there is no terminal.
const COLUMNS: usize = 100;

/// Shows one run.
pub(super) struct Screen {
    title: String,
    output: OutputFormat,
    terminal: Term,
    totals: Totals,
    ticks: u64,
    started: Instant,
    /// Lines of the picture that is on the terminal.
    drawn: usize,
}

impl Screen {
    /// Nothing is shown yet.
    pub(super) fn new(title: &str, output: OutputFormat) -> Self {
        let (title, terminal) = (harmless(title), Term::stdout());
        let started = Instant::now();
        Self { title, output, terminal, totals: Totals::default(), ticks: 0, started, drawn: 0 }
    }

    /// Messages so far.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Adds the figures of a message. False when nobody reads along any more.
    pub(super) fn figures(&mut self, message: &Map<String, Value>) -> bool {
        self.ticks += 1;
        if self.output == OutputFormat::Json {
            return print_line(&Value::from(message.clone()).to_string());
        }
        self.totals.add(message);
        !self.terminal.is_term() || self.draw(usize::from(self.terminal.size().0))
    }

    /// Shows lines that the script has printed, and tells of losses: `{"lines": […], "lost": n}`.
    pub(super) fn output(&mut self, message: &Map<String, Value>) -> bool {
        if self.output == OutputFormat::Json {
            return print_line(&Value::from(message.clone()).to_string());
        }
        self.clear();
        let lines = message.get("lines").and_then(Value::as_array).into_iter().flatten();
        let mut is_read = lines.filter_map(Value::as_str).all(|line| print_line(&harmless(line)));
        for what in ["lost", "dropped"] {
            if let Some(count) = message.get(what).and_then(Value::as_u64).filter(|count| *count > 0) {
                is_read &= print_line(&format!("({count} {what})"));
            }
        }
        is_read
    }

    /// Leaves the figures where they are.
    pub(super) fn finish(mut self) {
        if self.output == OutputFormat::Table {
            self.draw(usize::MAX);
        }
    }

    /// Draws the picture over the last one, in at most so many lines.
    fn draw(&mut self, most: usize) -> bool {
        let columns = if self.terminal.is_term() { usize::from(self.terminal.size().1) } else { COLUMNS };
        let picture = self.picture(most.saturating_sub(1), columns.saturating_sub(1));
        self.clear();
        self.drawn = picture.len();
        print_line(&picture.join("\n"))
    }

    fn clear(&mut self) {
        if self.terminal.is_term() {
            // A terminal that is gone is noticed with the next line.
            let _ = self.terminal.clear_last_lines(self.drawn);
        }
        self.drawn = 0;
    }

    fn picture(&self, most: usize, columns: usize) -> Vec<String> {
        let (seconds, ticks) = (self.started.elapsed().as_secs(), self.ticks);
        let text = self.totals.text(columns.saturating_sub(BESIDE_BAR).clamp(10, WIDEST_BAR));
        let mut lines = vec![format!("{}  {seconds} s, {ticks} messages", self.title)];
        lines.extend(text.lines().map(str::to_owned));
        if lines.len() > most {
            let left = lines.len() - most.saturating_sub(1);
            lines.truncate(most.saturating_sub(1));
            lines.push(format!("({left} more lines)"));
        }
        lines.iter().map(|line| console::truncate_str(line, columns, "…").into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_picture_has_the_sums_and_fits_its_room() {
        let mut screen = Screen::new("malloc\u{1b}[2J", OutputFormat::Table);
        for _ in 0..2 {
            screen.totals.add(&object(json!({"bash": {"0-3": 1, "4-7": 2}})));
        }
        let bars = [
            "malloc\\u001b[2J  0 s, 0 messages",
            "bash",
            "[0, 3]          2 |@@@@@     |",
            "[4, 7]          4 |@@@@@@@@@@|",
            "",
        ];
        assert_eq!(screen.picture(usize::MAX, 50), bars);
        assert_eq!(screen.picture(3, 50), [bars[0], bars[1], "(3 more lines)"]);
        assert_eq!(screen.picture(3, 8), ["malloc\\…", "bash", "(3 more…"]);
    }
}
