//! The place behind the last stored batch, in a file beside the input.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes of the input that are looked at to know it again.
const FIRST_BLOCK: u64 = 64 << 10;

/// An import: into another server, or from another file, a place means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Import {
    url: String,
    file_bytes: u64,
    /// SHA-256 of the first block, in hexadecimal.
    first_block: String,
}

impl Import {
    fn of(file: &Path, url: &str) -> std::io::Result<Self> {
        let mut block = Vec::new();
        File::open(file)?.take(FIRST_BLOCK).read_to_end(&mut block)?;
        let digest = Sha256::digest(&block);
        Ok(Self {
            url: url.to_owned(),
            file_bytes: fs::metadata(file)?.len(),
            first_block: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Place {
    #[serde(flatten)]
    import: Import,
    lines: u64,
}

/// The place of one import. Standard input and pipes have none.
pub(super) struct Checkpoint {
    kept: Option<(PathBuf, Import)>,
    lines: u64,
    said: Vec<String>,
}

impl Checkpoint {
    /// The place where an earlier import of the same file into the same server stopped, or the beginning.
    pub(super) fn open(file: &Path, url: &str, is_restart: bool) -> anyhow::Result<Self> {
        let mut checkpoint = Self { kept: None, lines: 0, said: Vec::new() };
        if file == Path::new("-") {
            return Ok(checkpoint);
        }
        if !fs::metadata(file).with_context(|| file.display().to_string())?.is_file() {
            return Ok(checkpoint);
        }
        let import = Import::of(file, url).with_context(|| file.display().to_string())?;
        let mut path = file.as_os_str().to_owned();
        path.push(".import");
        let path = PathBuf::from(path);
        if !is_restart {
            match read(&path, &import) {
                Ok(lines) => checkpoint.lines = lines,
                Err(why) => {
                    checkpoint.said.push(format!("{} {why}: starting at the first line", path.display()));
                }
            }
        }
        checkpoint.kept = Some((path, import));
        // Whether it can be kept shows before the first batch, not after it.
        checkpoint.put(checkpoint.lines);
        Ok(checkpoint)
    }

    /// Lines that are stored.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether an interrupted import goes on from here.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// What the user has to know, once.
    pub(super) fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Keeps a place. One that cannot be kept is said, and the import goes on without.
    pub(super) fn put(&mut self, lines: u64) {
        self.lines = lines;
        let Some((path, import)) = &self.kept else { return };
        let place = Place { import: import.clone(), lines };
        let text = serde_json::to_string(&place).map_err(std::io::Error::other);
        if let Err(cause) = text.and_then(|text| fs::write(path, text + "\n")) {
            self.said.push(format!(
                "{} cannot be written ({cause}): an interrupted import will start at the first line",
                path.display()
            ));
            self.kept = None;
        }
    }

    /// Forgets the place: the end is reached.
    pub(super) fn remove(&mut self) {
        let Some((path, _)) = self.kept.take() else { return };
        if let Err(cause) = fs::remove_file(&path) {
            self.said.push(format!("{} cannot be removed: {cause}", path.display()));
        }
    }
}

/// The lines that are stored of this import; else why the file does not say.
fn read(path: &Path, import: &Import) -> Result<u64, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(0),
        Err(cause) => return Err(format!("cannot be read ({cause})")),
    };
    let place: Place = serde_json::from_str(&text).map_err(|_other| "holds no place".to_owned())?;
    if place.import.url != import.url {
        return Err(format!("is of an import into {}", place.import.url));
    }
    if place.import != *import {
        return Err("is of another file, or of an earlier state of this one".to_owned());
    }
    Ok(place.lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://one:8080";

    fn said(checkpoint: &mut Checkpoint) -> String {
        checkpoint.take_said().join("\n")
    }

    #[test]
    fn a_place_belongs_to_one_file_and_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "a\nb\nc\n").unwrap();
        let open = |url: &str, is_restart| Checkpoint::open(&file, url, is_restart).unwrap();
        open(URL, false).put(2);
        let mut again = open(URL, false);
        assert_eq!((again.lines(), said(&mut again).as_str()), (2, ""));
        let mut elsewhere = open("http://two:8080", false);
        let words = said(&mut elsewhere);
        assert!(elsewhere.lines() == 0 && words.contains("is of an import into http://one:8080"), "{words}");
        for text in ["a\nb\nd\n", "a\nb\nc\nd\n"] {
            open(URL, true).put(2);
            fs::write(&file, text).unwrap();
            let mut changed = open(URL, false);
            let words = said(&mut changed);
            assert!(changed.lines() == 0 && words.contains("of another file"), "{words}");
        }
        open(URL, true).put(2);
        assert_eq!(open(URL, true).lines(), 0);
        open(URL, false).remove();
        assert!(!folder.path().join("f.import").exists());
    }

    #[test]
    fn what_is_no_place_is_said_and_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "a\n").unwrap();
        fs::write(folder.path().join("f.import"), "6\n").unwrap();
        let mut checkpoint = Checkpoint::open(&file, URL, false).unwrap();
        let words = said(&mut checkpoint);
        assert!(
            checkpoint.lines() == 0 && checkpoint.is_kept() && words.contains("holds no place"),
            "{words}"
        );
    }

    #[test]
    fn a_place_that_cannot_be_kept_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "a\n").unwrap();
        fs::create_dir(folder.path().join("f.import")).unwrap();
        let mut checkpoint = Checkpoint::open(&file, URL, true).unwrap();
        let words = said(&mut checkpoint);
        assert!(!checkpoint.is_kept() && words.contains("cannot be written"), "{words}");
        checkpoint.put(1);
        assert_eq!(said(&mut checkpoint), "", "said once");
    }
}
