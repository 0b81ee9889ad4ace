//! `quintet events import`: NDJSON of notifications or events, in batches.
//!
//! Loading is idempotent, because message ids are unique. It is resumable, because the place behind the last stored
//! batch is kept beside the file until the end is reached.

use crate::cli::{ImportFlags, OutputFormat};
use crate::client::Client;
use crate::output::{Rows, print_json};
use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Longest line, in bytes; a longer one ends the import rather than the memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// First two bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Loads the file and says what became of its lines.
pub(crate) async fn import(flags: ImportFlags) -> anyhow::Result<()> {
    let client = Client::new(flags.server.clone())?;
    let checkpoint = Checkpoint::of(&flags);
    let done = checkpoint.read();
    let mut lines = Lines::open(&flags.file)?;
    let progress = progress();
    lines.skip(done)?;
    if done > 0 {
        progress.println(format!("going on after line {done}"));
    }
    let mut totals = Counts::default();
    loop {
        let batch = lines.batch(usize::from(flags.batch))?;
        if batch.is_empty() {
            break;
        }
        totals.add(&send(&client, batch).await.with_context(|| {
            format!("stopped after line {}; run the same command to go on", checkpoint.read())
        })?);
        checkpoint.write(lines.read)?;
        progress.set_position(totals.received);
    }
    checkpoint.remove();
    progress.finish_and_clear();
    print(&totals, flags.format.output);
    Ok(())
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

/// Sends the events of a batch to v2, and everything else as notifications to v1.
async fn send(client: &Client, batch: Vec<String>) -> anyhow::Result<Counts> {
    let (events, notifications): (Vec<_>, Vec<_>) = batch.into_iter().partition(|line| is_event(line));
    let mut counts = Counts::default();
    if !notifications.is_empty() {
        let body = notifications.join("\n");
        counts.add(&post(client, "/v1/notifications", "application/x-ndjson", body).await?);
    }
    if !events.is_empty() {
        let body = format!("[{}]", events.join(","));
        counts.add(&post(client, "/v2/events", "application/json", body).await?);
    }
    Ok(counts)
}

/// An event has `generated` and `traits`; a notification has neither.
fn is_event(line: &str) -> bool {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "generated")]
        _generated: Value,
        #[serde(rename = "traits")]
        _traits: Value,
    }
    serde_json::from_str::<Event>(line).is_ok()
}

async fn post(client: &Client, path: &str, kind: &str, body: String) -> anyhow::Result<Counts> {
    // Repeating is safe: what was stored before is a duplicate.
    let request = || client.request(Method::POST, path).header("content-type", kind).body(body.clone());
    Ok(client.send_patiently(request).await?.json().await?)
}

/// Lines of the input, without blank ones.
struct Lines {
    input: Box<dyn BufRead>,
    /// Lines read so far, blank ones too.
    read: u64,
}

impl Lines {
    fn open(file: &Path) -> anyhow::Result<Self> {
        let mut input: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let open = File::open(file).with_context(|| file.display().to_string())?;
            Box::new(BufReader::with_capacity(1 << 16, open))
        };
        let is_gzip = input.fill_buf()?.starts_with(&GZIP);
        if is_gzip {
            input = Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input)));
        }
        Ok(Self { input, read: 0 })
    }

    fn next(&mut self) -> anyhow::Result<Option<String>> {
        let mut line = Vec::new();
        let read = self.input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.read += 1;
        let is_whole = line.ends_with(b"\n") || u64::try_from(read)? < MAX_LINE_BYTES;
        anyhow::ensure!(is_whole, "line {} is longer than {MAX_LINE_BYTES} bytes", self.read);
        Ok(Some(String::from_utf8_lossy(&line).trim().to_owned()))
    }

    fn skip(&mut self, lines: u64) -> anyhow::Result<()> {
        while self.read < lines && self.next()?.is_some() {}
        Ok(())
    }

    fn batch(&mut self, most: usize) -> anyhow::Result<Vec<String>> {
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most
            && let Some(line) = self.next()?
        {
            if !line.is_empty() {
                batch.push(line);
            }
        }
        Ok(batch)
    }
}

/// The place behind the last stored batch, in a file beside the input. Standard input has none.
struct Checkpoint(Option<PathBuf>);

impl Checkpoint {
    fn of(flags: &ImportFlags) -> Self {
        if flags.file == Path::new("-") {
            return Self(None);
        }
        let mut name = flags.file.clone().into_os_string();
        name.push(".import");
        let checkpoint = Self(Some(name.into()));
        if flags.restart {
            checkpoint.remove();
        }
        checkpoint
    }

    fn read(&self) -> u64 {
        let text = self.0.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn write(&self, lines: u64) -> anyhow::Result<()> {
        match &self.0 {
            Some(path) => {
                std::fs::write(path, format!("{lines}\n")).with_context(|| path.display().to_string())
            }
            None => Ok(()),
        }
    }

    fn remove(&self) {
        if let Some(path) = &self.0 {
            // Not there: nothing to remove.
            let _ = std::fs::remove_file(path);
        }
    }
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
    let Counts { received, saved, duplicate, dropped, invalid } = counts;
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
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn events_are_told_from_notifications() {
        assert!(is_event(r#"{"message_id":"a","event_type":"t","generated":"2019-01-01","traits":[]}"#));
        assert!(!is_event(r#"{"message_id":"a","event_type":"t","timestamp":"x","payload":{"traits":[]}}"#));
        assert!(!is_event("broken"));
    }

    #[test]
    fn plain_and_gzip_read_alike_and_places_count_blank_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, gzip) = (folder.path().join("p"), folder.path().join("g"));
        let text = b"one\n\ntwo\nthree";
        std::fs::write(&plain, text).unwrap();
        let mut encoder = GzEncoder::new(File::create(&gzip).unwrap(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap();
        for file in [plain, gzip] {
            let mut lines = Lines::open(&file).unwrap();
            assert_eq!(lines.batch(2).unwrap(), ["one", "two"]);
            assert_eq!(lines.read, 3);
            assert_eq!(lines.batch(2).unwrap(), ["three"]);
            let mut lines = Lines::open(&file).unwrap();
            lines.skip(3).unwrap();
            assert_eq!(lines.batch(2).unwrap(), ["three"]);
        }
    }
}
