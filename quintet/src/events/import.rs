//! `quintet events import`: NDJSON of notifications or events, in batches.
//!
//! Loading is idempotent, because message ids are unique. It is resumable, because the place behind the last stored
//! batch is kept beside the file until the end is reached.

mod checkpoint;
mod lines;

use crate::cli::{ImportFlags, OutputFormat};
use crate::client::{Client, Refused};
use crate::output::{Rows, print_json, say};
use anyhow::Context;
use bytes::Bytes;
use checkpoint::Checkpoint;
use indicatif::{ProgressBar, ProgressStyle};
use lines::{Line, Lines};
use reqwest::{Method, StatusCode};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Bytes of a batch, far below what a server takes unless it is told otherwise.
const BATCH_BYTES: usize = 4 << 20;

/// Exit code when everything was sent, and some of it was not taken.
const SOME_INVALID: u8 = 3;

/// Invalid events that are told one by one.
const MOST_PROBLEMS: usize = 20;

/// Loads the file and says what became of its lines.
pub(crate) async fn import(flags: ImportFlags) -> anyhow::Result<ExitCode> {
    let client = Client::new(flags.server.clone())?;
    let mut checkpoint = Checkpoint::open(&flags.file, client.url(), flags.restart)?;
    tell(&mut checkpoint);
    let mut lines = Lines::open(&flags.file)?;
    let unread = |checkpoint: &Checkpoint| {
        // The same command would stop at the same place: the file itself has to be mended.
        format!(
            "{}: stopped after line {}, the rest cannot be read",
            flags.file.display(),
            checkpoint.lines()
        )
    };
    lines.skip(checkpoint.lines()).with_context(|| unread(&checkpoint))?;
    if checkpoint.lines() > 0 {
        say(&format!("going on after line {}", checkpoint.lines()));
    }
    let progress = progress();
    let mut upload =
        Upload { client, most_bytes: BATCH_BYTES, totals: Counts::default(), problems: Vec::new() };
    loop {
        let batch = lines.batch(usize::from(flags.batch), upload.most_bytes);
        let batch = batch.with_context(|| unread(&checkpoint))?;
        let Some(last) = batch.last().map(|line| line.number) else { break };
        upload.send(batch).await.map_err(|cause| stopped(&checkpoint, cause))?;
        checkpoint.put(last);
        progress.suspend(|| tell(&mut checkpoint));
        progress.set_position(upload.totals.received);
    }
    checkpoint.remove();
    progress.finish_and_clear();
    tell(&mut checkpoint);
    print(&upload.totals, flags.format.output);
    Ok(verdict(&upload))
}

/// Says what the user has to know about the place.
fn tell(checkpoint: &mut Checkpoint) {
    checkpoint.take_said().iter().for_each(|words| say(words));
}

/// Says where an import stopped, and how it goes on: at once when the server was away, else once the cause is mended.
fn stopped(checkpoint: &Checkpoint, cause: anyhow::Error) -> anyhow::Error {
    let lines = checkpoint.lines();
    let is_lasting = cause.downcast_ref::<Refused>().is_some_and(|refused| !refused.is_temporary());
    let next = match (checkpoint.is_kept(), is_lasting) {
        (false, _) => "",
        (true, false) => "; run the same command to go on",
        (true, true) => "; once the cause is mended, run the same command to go on",
    };
    cause.context(format!("stopped after line {lines}{next}"))
}

/// What became of lines.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counts {
    received: u64,
    saved: u64,
    duplicate: u64,
    dropped: u64,
    invalid: u64,
    /// What is wrong with the first invalid events; invalid notifications become dead letters.
    problems: Vec<Problem>,
}

/// What is wrong with one of several events.
#[derive(Debug, Deserialize)]
struct Problem {
    index: usize,
    problem: String,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.saved += other.saved;
        self.duplicate += other.duplicate;
        self.dropped += other.dropped;
        self.invalid += other.invalid;
    }
}

/// Says where to look for what was not taken.
fn verdict(upload: &Upload) -> ExitCode {
    let Counts { received, invalid, .. } = upload.totals;
    if invalid == 0 {
        return ExitCode::SUCCESS;
    }
    upload.problems.iter().for_each(|problem| say(problem));
    say(&format!(
        "{invalid} of {received} lines were not taken; of notifications `quintet events dead-letters list` says why"
    ));
    ExitCode::from(SOME_INVALID)
}

/// The way to the server.
struct Upload {
    client: Client,
    /// Bytes of a batch; fewer than at first when the server takes less.
    most_bytes: usize,
    totals: Counts,
    /// What is wrong with the first invalid events.
    problems: Vec<String>,
}

impl Upload {
    /// Sends the events of a batch to v2, and everything else as notifications to v1.
    async fn send(&mut self, batch: Vec<Line>) -> anyhow::Result<()> {
        let (events, notifications): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|line| is_event(&line.bytes));
        self.send_all(&NOTIFICATIONS, notifications).await?;
        self.send_all(&EVENTS, events).await
    }

    /// Sends lines of one kind, in halves when the server finds them too many bytes.
    async fn send_all(&mut self, kind: &Kind, lines: Vec<Line>) -> anyhow::Result<()> {
        let mut left = vec![lines];
        while let Some(mut lines) = left.pop() {
            if lines.is_empty() {
                continue;
            }
            let body = kind.body(&lines);
            let bytes = body.len();
            match post(&self.client, kind, body).await {
                Ok(counts) => self.count(&lines, &counts),
                Err(cause) if !is_too_large(&cause) => return Err(cause),
                Err(cause) => {
                    if let [line] = lines.as_slice() {
                        let words = format!("line {} alone is more than the server takes", line.number);
                        return Err(cause.context(words));
                    }
                    self.most_bytes = bytes / 2;
                    let rest = lines.split_off(lines.len() / 2);
                    left.extend([rest, lines]);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, lines: &[Line], counts: &Counts) {
        self.totals.add(counts);
        for Problem { index, problem } in &counts.problems {
            if let Some(line) = lines.get(*index).filter(|_| self.problems.len() < MOST_PROBLEMS) {
                self.problems.push(format!("line {}: {problem}", line.number));
            }
        }
    }
}

/// A form in which lines are sent.
struct Kind {
    path: &'static str,
    content_type: &'static str,
    before: &'static [u8],
    between: u8,
    after: &'static [u8],
}

const NOTIFICATIONS: Kind = Kind {
    path: "/v1/notifications",
    content_type: "application/x-ndjson",
    before: b"",
    between: b'\n',
    after: b"",
};

const EVENTS: Kind =
    Kind { path: "/v2/events", content_type: "application/json", before: b"[", between: b',', after: b"]" };

impl Kind {
    fn body(&self, lines: &[Line]) -> Bytes {
        let mut body = self.before.to_vec();
        for (place, line) in lines.iter().enumerate() {
            if place > 0 {
                body.push(self.between);
            }
            body.extend_from_slice(&line.bytes);
        }
        body.extend_from_slice(self.after);
        body.into()
    }
}

/// An event has `generated` and `traits`, each once or, as a post of it may, several times; a notification has neither.
/// What is no text goes where each line is judged on its own.
fn is_event(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| matches!(serde_json::from_str(text), Ok(Form::Event)))
}

/// What a line is, as far as its members tell. Nothing of it is kept.
enum Form {
    Event,
    Other,
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// Reads an object for its members' names.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Form;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Form, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Name {
            Generated,
            Traits,
            #[serde(other)]
            Other,
        }
        let (mut has_generated, mut has_traits) = (false, false);
        while let Some((name, IgnoredAny)) = members.next_entry()? {
            match name {
                Name::Generated => has_generated = true,
                Name::Traits => has_traits = true,
                Name::Other => {}
            }
        }
        Ok(if has_generated && has_traits { Form::Event } else { Form::Other })
    }
}

async fn post(client: &Client, kind: &Kind, body: Bytes) -> anyhow::Result<Counts> {
    // Repeating is safe: what was stored before is a duplicate.
    let request = || {
        let request = client.request(Method::POST, kind.path).header("content-type", kind.content_type);
        request.body(body.clone())
    };
    Ok(client.send_patiently(request).await?.json().await?)
}

fn is_too_large(cause: &anyhow::Error) -> bool {
    cause.downcast_ref::<Refused>().is_some_and(|refused| refused.status == StatusCode::PAYLOAD_TOO_LARGE)
}

/// A counter that moves on a terminal and is silent anywhere else.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} lines  {per_sec}  {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_bad| ProgressStyle::default_spinner()))
}

fn print(counts: &Counts, output: OutputFormat) {
    let Counts { received, saved, duplicate, dropped, invalid, problems: _ } = counts;
    match output {
        OutputFormat::Json => {
            print_json(&json!({ "received": received, "saved": saved, "duplicate": duplicate,
            "dropped": dropped, "invalid": invalid }));
        }
        OutputFormat::Table => {
            let mut rows = Rows::new(&["received", "saved", "duplicate", "dropped", "invalid"]);
            rows.push(
                [received, saved, duplicate, dropped, invalid].iter().map(ToString::to_string).collect(),
            );
            rows.print();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_from_notifications() {
        assert!(is_event(br#"{"message_id":"a","event_type":"t","generated":"2019-01-01","traits":[]}"#));
        assert!(!is_event(br#"{"message_id":"a","event_type":"t","timestamp":"x","payload":{"traits":[]}}"#));
        assert!(!is_event(b"broken"));
        assert!(!is_event(br#"["2019-01-01",[]]"#));
        assert!(!is_event(b"{\"generated\":\"\xff\",\"traits\":[]}"));
    }

    #[test]
    fn an_event_with_a_member_twice_is_an_event() {
        for line in [
            r#"{"generated":"2019-01-01","event_type":"t","generated":"2019-01-02","traits":[]}"#,
            r#"{"traits":[],"generated":"2019-01-01","event_type":"t","traits":[["a",1,"b"]]}"#,
        ] {
            assert!(is_event(line.as_bytes()), "{line}");
        }
        assert!(!is_event(br#"{"generated":"2019-01-01","generated":"2019-01-02"}"#));
    }

    #[test]
    fn bodies_hold_the_bytes_of_the_lines() {
        let line = |bytes: &[u8]| Line { number: 1, bytes: bytes.to_vec() };
        let lines = [line(b"{\xff}"), line(b"{}")];
        assert_eq!(NOTIFICATIONS.body(&lines), b"{\xff}\n{}".as_slice());
        assert_eq!(EVENTS.body(&lines), b"[{\xff},{}]".as_slice());
    }
}
