//! The lines of a file, plain or gzip, in batches that a server takes.

use anyhow::Context;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest line, in bytes; a longer one ends the import rather than the memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// First two bytes of gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The mark with which some programs begin a file of UTF-8. It belongs to no line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line that is not blank. Its bytes are sent as they are: whether they are text is for the server to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// The line without white space around it.
    pub(super) bytes: Vec<u8>,
}

/// Lines of the input.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    /// Lines read so far, blank ones too.
    read: u64,
    /// A line that was read and did not fit into its batch.
    next: Option<Line>,
}

impl Lines {
    /// Opens a file, or standard input as `-`.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let mut input: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let open = File::open(file).with_context(|| file.display().to_string())?;
            Box::new(BufReader::with_capacity(1 << 16, open))
        };
        let is_gzip = input.fill_buf().with_context(|| file.display().to_string())?.starts_with(&GZIP);
        if is_gzip {
            input = Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input)));
        }
        Ok(Self { input, read: 0, next: None })
    }

    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let read = self.input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.read += 1;
        let is_whole = bytes.ends_with(b"\n") || u64::try_from(read)? < MAX_LINE_BYTES;
        anyhow::ensure!(is_whole, "line {} is longer than {MAX_LINE_BYTES} bytes", self.read);
        let mark = if self.read == 1 { BYTE_ORDER_MARK } else { b"" };
        let text = bytes.strip_prefix(mark).unwrap_or(&bytes).trim_ascii();
        Ok(Some(Line { number: self.read, bytes: text.to_vec() }))
    }

    /// Passes over this many lines.
    ///
    /// # Errors
    /// When there are fewer.
    pub(super) fn skip(&mut self, lines: u64) -> anyhow::Result<()> {
        while self.read < lines && self.next()?.is_some() {}
        let read = self.read;
        anyhow::ensure!(
            read == lines,
            "there is no line {lines}: the file has {read} (start anew with --restart)"
        );
        Ok(())
    }

    /// The next lines that are not blank: at most `most_lines` and, unless the first alone is longer, at most
    /// `most_bytes` with a byte between two.
    pub(super) fn batch(&mut self, most_lines: usize, most_bytes: usize) -> anyhow::Result<Vec<Line>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most_lines {
            let line = match self.next.take() {
                Some(line) => line,
                None => match self.next()? {
                    Some(line) if line.bytes.is_empty() => continue,
                    Some(line) => line,
                    None => break,
                },
            };
            if !batch.is_empty() && bytes + line.bytes.len() > most_bytes {
                self.next = Some(line);
                break;
            }
            bytes += line.bytes.len() + 1;
            batch.push(line);
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn batch(lines: &mut Lines, most_lines: usize, most_bytes: usize) -> Vec<(u64, String)> {
        let batch = lines.batch(most_lines, most_bytes).unwrap();
        batch.into_iter().map(|line| (line.number, String::from_utf8(line.bytes).unwrap())).collect()
    }

    fn line(number: u64, text: &str) -> (u64, String) {
        (number, text.to_owned())
    }

    #[test]
    fn plain_and_gzip_read_alike_and_places_count_blank_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, gzip) = (folder.path().join("p"), folder.path().join("g"));
        let text = b"one\n\n  two\r\nthree";
        std::fs::write(&plain, text).unwrap();
        let mut encoder = GzEncoder::new(File::create(&gzip).unwrap(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap();
        for file in [plain, gzip] {
            let mut lines = Lines::open(&file).unwrap();
            assert_eq!(batch(&mut lines, 2, 100), [line(1, "one"), line(3, "two")]);
            assert_eq!(batch(&mut lines, 2, 100), [line(4, "three")]);
            let mut lines = Lines::open(&file).unwrap();
            lines.skip(3).unwrap();
            assert_eq!(batch(&mut lines, 2, 100), [line(4, "three")]);
            assert!(Lines::open(&file).unwrap().skip(4).is_ok());
            let error = Lines::open(&file).unwrap().skip(5).unwrap_err().to_string();
            assert!(error.contains("no line 5: the file has 4"), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_at_the_beginning_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "\u{feff}one\n\u{feff}two\n").unwrap();
        let mut lines = Lines::open(&file).unwrap();
        assert_eq!(batch(&mut lines, 9, 100), [line(1, "one"), line(2, "\u{feff}two")]);
        std::fs::write(&file, "\u{feff}").unwrap();
        assert!(batch(&mut Lines::open(&file).unwrap(), 9, 100).is_empty());
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_loses_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "1234\n56\n7890123456789\n\n0").unwrap();
        let mut lines = Lines::open(&file).unwrap();
        // 4 and 2 bytes with one between them are 7.
        assert_eq!(batch(&mut lines, 9, 7), [line(1, "1234"), line(2, "56")]);
        assert_eq!(batch(&mut lines, 9, 7), [line(3, "7890123456789")]);
        assert_eq!(batch(&mut lines, 9, 7), [line(5, "0")]);
        assert!(batch(&mut lines, 9, 7).is_empty());
        let mut lines = Lines::open(&file).unwrap();
        assert_eq!(batch(&mut lines, 9, 6), [line(1, "1234")]);
    }
}
