//! From text to the tree: bounds, aliases, merge keys, tags.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Error, Node, Value, scalar};

/// Largest file read.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most levels of lists and mappings, those reached through aliases included.
const MAX_DEPTH: usize = 64;
/// Most memory the aliases of one file may add: a node counts 64 bytes and its text.
const MAX_ALIAS_BYTES: usize = 64 << 20;

/// Reads a file of one YAML document; an empty file is null.
///
/// # Errors
/// The file cannot be read, is larger than 16 MiB, is not UTF-8 or not YAML, holds a second document, is
/// nested deeper than 64 levels, or its aliases expand to more than 64 MiB.
pub fn load(path: &Path) -> Result<Node, Error> {
    let file = path.display().to_string();
    let fault = |message: String| Error { file: file.clone(), line: 0, message };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| fault(format!("cannot be read: {error}")))?;
    if bytes.len() > 16 << 20 {
        return Err(fault("is larger than 16 MiB".to_owned()));
    }
    let text =
        String::from_utf8(bytes).map_err(|error| fault(format!("is not UTF-8: {}", error.utf8_error())))?;
    parse(&file, &text)
}

/// Reads one YAML document from a text; `file` is the name that errors show.
///
/// # Errors
/// As [`load`].
pub fn parse(file: &str, text: &str) -> Result<Node, Error> {
    let mut loader = Loader {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        file: file.into(),
        lines: u32::try_from(text.lines().count()).unwrap_or(u32::MAX).max(1),
        anchors: HashMap::new(),
        alias_bytes_left: MAX_ALIAS_BYTES,
    };
    loader.document()
}

struct Loader<'input> {
    parser: Parser<'input, StrInput<'input>>,
    file: Arc<str>,
    lines: u32,
    anchors: HashMap<usize, Anchored>,
    alias_bytes_left: usize,
}

/// A finished node that aliases may repeat.
struct Anchored {
    node: Node,
    bytes: usize,
    depth: usize,
}

type Spanned<'input> = (Event<'input>, Span);

impl<'input> Loader<'input> {
    fn document(&mut self) -> Result<Node, Error> {
        let mut root = None;
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| self.scan_error(&error))?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.error(line(&span), "a second document is not expected"));
                }
                Event::DocumentStart(_) => {
                    let first = self.next()?;
                    root = Some(self.node(first, 0)?);
                }
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => return Err(self.error(line(&span), "misplaced content")),
            }
        }
        Ok(root.unwrap_or_else(|| self.at(1, Value::Null)))
    }

    fn node(&mut self, (event, span): Spanned<'input>, depth: usize) -> Result<Node, Error> {
        let line = line(&span);
        if depth > MAX_DEPTH {
            return Err(self.error(line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, line, depth),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), line)?)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", line)?;
                (anchor, Value::List(self.items(depth)?))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", line)?;
                (anchor, Value::Map(self.entries(depth)?))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(self.error(line, "a value is expected here")),
        };
        let node = self.at(line, value);
        if anchor != 0 {
            let (bytes, depth) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), bytes, depth });
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut items = Vec::new();
        loop {
            let next = self.next()?;
            if next.0 == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(next, depth + 1)?);
        }
    }

    /// The entries of a mapping: first what merge keys bring, then its own; of equal keys the last wins,
    /// in the place of the first.
    fn entries(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, Error> {
        let (mut merged, mut own) = (Vec::new(), Vec::new());
        loop {
            let next = self.next()?;
            if next.0 == Event::MappingEnd {
                break;
            }
            let is_merge =
                matches!(&next.0, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(next, depth + 1)?;
            let value = self.next()?;
            let value = self.node(value, depth + 1)?;
            if is_merge { merge(&mut merged, value)? } else { own.push((key, value)) }
        }
        merged.append(&mut own);
        unique(merged)
    }

    fn alias(&mut self, anchor: usize, line: u32, depth: usize) -> Result<Node, Error> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(self.error(line, "an alias inside its own anchor"));
        };
        if depth + anchored.depth > MAX_DEPTH {
            return Err(self.error(line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let Some(left) = self.alias_bytes_left.checked_sub(anchored.bytes) else {
            return Err(self.error(line, "aliases expand to more than 64 MiB"));
        };
        self.alias_bytes_left = left;
        Ok(anchored.node.clone())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, line: u32) -> Result<Value, Error> {
        let wrong = |kind: &str| self.error(line, format!("'{text}' is not {kind}"));
        let as_text = || Value::Text(text.to_owned());
        match tag.map(core_name) {
            None | Some("!") if style == ScalarStyle::Plain => Ok(scalar::resolve(text)),
            None | Some("!" | "str" | "timestamp") => Ok(as_text()),
            Some("int") => scalar::integer(text).map(Value::Int).ok_or_else(|| wrong("an integer")),
            Some("float") => {
                let number = scalar::float(text).or_else(|| text.replace('_', "").parse().ok());
                number.map(Value::Float).ok_or_else(|| wrong("a number"))
            }
            Some("null") => Ok(Value::Null),
            Some("bool") => Some(scalar::resolve(text))
                .filter(|value| matches!(value, Value::Bool(_)))
                .ok_or_else(|| wrong("a boolean")),
            Some(other) => Err(self.error(line, format!("tag '{other}' is not known"))),
        }
    }

    fn check_tag(&self, tag: Option<&Tag>, own: &str, line: u32) -> Result<(), Error> {
        match tag.map(core_name) {
            Some(name) if name != own && name != "!" => {
                Err(self.error(line, format!("tag '{name}' is not known")))
            }
            _ => Ok(()),
        }
    }

    fn next(&mut self) -> Result<Spanned<'input>, Error> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Err(self.error(0, "ends too early")),
        }
    }

    fn at(&self, line: u32, value: Value) -> Node {
        Node { file: Arc::clone(&self.file), line, value }
    }

    fn error(&self, line: u32, message: impl Into<String>) -> Error {
        Error { file: self.file.to_string(), line, message: message.into() }
    }

    fn scan_error(&self, error: &ScanError) -> Error {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        // What is missing at the end is reported on the line after it.
        self.error(line.min(self.lines), error.info())
    }
}

fn line(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

/// `str` for `!!str` and its long forms; `!` and foreign tags as they are.
fn core_name(tag: &Tag) -> &str {
    match tag.suffix.strip_prefix("tag:yaml.org,2002:") {
        Some(name) => name,
        None if tag.suffix.is_empty() => &tag.handle,
        None => &tag.suffix,
    }
}

/// Memory a copy takes, by the rule of [`MAX_ALIAS_BYTES`], and levels below.
fn measure(node: &Node) -> (usize, usize) {
    let below = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes.map(measure).fold((64, 0), |(bytes, depth), (more, level)| (bytes + more, depth.max(level + 1)))
    };
    match &node.value {
        Value::List(items) => below(&mut items.iter()),
        Value::Map(entries) => below(&mut entries.iter().flat_map(|(key, value)| [key, value])),
        Value::Text(text) => (64 + text.len(), 0),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => (64, 0),
    }
}

/// Adds what `<<: value` brings. Of a list the first mapping is strongest, so it goes in last.
fn merge(merged: &mut Vec<(Node, Node)>, value: Node) -> Result<(), Error> {
    let wrong = value.error("<< takes a mapping or a list of mappings");
    let mut sources = if let Value::List(items) = value.value { items } else { vec![value] };
    while let Some(source) = sources.pop() {
        let Value::Map(entries) = source.value else { return Err(wrong) };
        merged.extend(entries);
    }
    Ok(())
}

fn unique(entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, Error> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut kept: Vec<(Node, Node)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let identity = match &key.value {
            Value::List(_) | Value::Map(_) => return Err(key.error("a list or mapping cannot be a key")),
            Value::Text(text) => format!("'{text}"),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => format!("{:?}", key.value),
        };
        match places.get(&identity).and_then(|place| kept.get_mut(*place)) {
            Some(earlier) => earlier.1 = value,
            None => {
                places.insert(identity, kept.len());
                kept.push((key, value));
            }
        }
    }
    Ok(kept)
}
