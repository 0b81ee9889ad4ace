//! Where the body of an answer ends (RFC 9112, sections 6.3 and 7.1).

use super::link::Failure;
use bytes::{Buf, Bytes, BytesMut};
use hyper::body::SizeHint;

/// Bytes of one line of a chunked body: a size with its extensions, or a trailer.
const LINE_BYTES: usize = 8 << 10;

/// Bytes of all trailers together; nobody reads them.
const TRAILER_BYTES: usize = 64 << 10;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks; the next is in this state.
    Chunked(Chunk),
    /// Everything until the connection ends.
    UntilClose,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Before the line with a size.
    Size,
    /// So many bytes before the end of a chunk.
    Data(u64),
    /// Before the line break after a chunk.
    Break,
    /// Among the trailers; so many bytes of them may still come.
    Trailer(usize),
    /// Behind everything.
    Done,
}

/// A step through a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A piece of it.
    Data(Bytes),
    /// More bytes are needed.
    Hungry,
    /// Its end.
    End,
}

impl Framing {
    /// No body.
    pub(crate) const EMPTY: Self = Self::Length(0);

    /// A chunked body at its start.
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunk::Size);

    /// Whether nothing more is to come, as far as that is known without looking.
    #[must_use]
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// What is known about the length.
    #[must_use]
    pub(crate) fn size_hint(self) -> SizeHint {
        match self {
            Self::Length(bytes) => SizeHint::with_exact(bytes),
            Self::Chunked(_) | Self::UntilClose => SizeHint::new(),
        }
    }

    /// Takes the next piece out of what has arrived.
    ///
    /// # Errors
    /// [`Failure::Malformed`] when it is no chunked body.
    pub(crate) fn step(&mut self, inbox: &mut BytesMut) -> Result<Step, Failure> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Length(left) => Ok(take(left, inbox).map_or(Step::Hungry, Step::Data)),
            Self::UntilClose if inbox.is_empty() => Ok(Step::Hungry),
            Self::UntilClose => Ok(Step::Data(inbox.split().freeze())),
            Self::Chunked(chunk) => chunk.step(inbox),
        }
    }

    /// The connection has ended: whether the body may end so.
    #[must_use]
    pub(crate) fn may_end_now(self) -> bool {
        self == Self::UntilClose || self.is_end()
    }
}

impl Chunk {
    fn step(&mut self, inbox: &mut BytesMut) -> Result<Step, Failure> {
        loop {
            *self = match self {
                Self::Done => return Ok(Step::End),
                Self::Size => match line(inbox, LINE_BYTES)? {
                    None => return Ok(Step::Hungry),
                    Some(line) => match size(&line)? {
                        0 => Self::Trailer(TRAILER_BYTES),
                        bytes => Self::Data(bytes),
                    },
                },
                Self::Data(left) => {
                    let Some(data) = take(left, inbox) else { return Ok(Step::Hungry) };
                    if *left == 0 {
                        *self = Self::Break;
                    }
                    return Ok(Step::Data(data));
                }
                Self::Break => match line(inbox, 2)? {
                    None => return Ok(Step::Hungry),
                    Some(line) if line.is_empty() => Self::Size,
                    Some(_) => return Err(Failure::Malformed("chunk longer than its size")),
                },
                Self::Trailer(left) => match line(inbox, *left)? {
                    None => return Ok(Step::Hungry),
                    Some(line) if line.is_empty() => Self::Done,
                    Some(line) => Self::Trailer(left.saturating_sub(line.len() + 2)),
                },
            };
        }
    }
}

/// What there is, but not more than `left`; nothing when nothing is there.
fn take(left: &mut u64, inbox: &mut BytesMut) -> Option<Bytes> {
    let there = u64::try_from(inbox.len()).unwrap_or(u64::MAX).min(*left);
    let bytes = usize::try_from(there).ok().filter(|bytes| *bytes > 0)?;
    *left -= there;
    Some(inbox.split_to(bytes).freeze())
}

/// The next line without its break, once it is complete.
fn line(inbox: &mut BytesMut, most_bytes: usize) -> Result<Option<Bytes>, Failure> {
    let Some(at) = inbox.iter().take(most_bytes).position(|byte| *byte == b'\n') else {
        let is_endless = inbox.len() >= most_bytes;
        return if is_endless { Err(Failure::Malformed("line too long")) } else { Ok(None) };
    };
    let line = inbox.split_to(at).freeze();
    inbox.advance(1);
    let text = line.strip_suffix(b"\r").ok_or(Failure::Malformed("line break without carriage return"))?;
    Ok(Some(line.slice_ref(text)))
}

/// The size of a chunk: hexadecimal digits, then perhaps extensions.
fn size(line: &[u8]) -> Result<u64, Failure> {
    let malformed = Failure::Malformed("chunk without size");
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
    let is_number = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, and what is left over.
    type Whole = (Vec<u8>, Vec<u8>);

    /// Feeds `wire` in pieces of `step` bytes; nothing when the body does not end.
    fn read(mut framing: Framing, wire: &[u8], step: usize) -> Result<Option<Whole>, Failure> {
        let (mut inbox, mut body) = (BytesMut::new(), Vec::new());
        let mut rest = wire.chunks(step);
        loop {
            match framing.step(&mut inbox)? {
                Step::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(&data);
                }
                Step::End => {
                    assert!(framing.is_end());
                    let left = inbox.iter().chain(rest.flatten()).copied().collect();
                    return Ok(Some((body, left)));
                }
                Step::Hungry => match rest.next() {
                    Some(piece) => inbox.extend_from_slice(piece),
                    None if framing.may_end_now() => return Ok(Some((body, Vec::new()))),
                    None => return Ok(None),
                },
            }
        }
    }

    #[test]
    fn bodies_end_where_they_should_however_they_arrive() {
        let chunked = b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nx-a: 1\r\n\r\nNEXT";
        for step in 1..=chunked.len() {
            let expected = (b"abc0123456789".to_vec(), b"NEXT".to_vec());
            assert_eq!(read(Framing::CHUNKED, chunked, step).unwrap(), Some(expected), "{step}");
            let expected = (b"abcd".to_vec(), b"NEXT".to_vec());
            assert_eq!(read(Framing::Length(4), b"abcdNEXT", step).unwrap(), Some(expected), "{step}");
            let expected = (b"all of it".to_vec(), Vec::new());
            assert_eq!(read(Framing::UntilClose, b"all of it", step).unwrap(), Some(expected), "{step}");
        }
        assert_eq!(read(Framing::EMPTY, b"NEXT", 1).unwrap(), Some((Vec::new(), b"NEXT".to_vec())));
    }

    #[test]
    fn bodies_that_break_off_are_not_whole() {
        assert_eq!(read(Framing::Length(5), b"abcd", 2).unwrap(), None);
        for wire in ["", "3", "3\r\n", "3\r\nabc", "3\r\nabc\r\n", "0\r\n", "0\r\nx: 1\r\n"] {
            assert_eq!(read(Framing::CHUNKED, wire.as_bytes(), 1).unwrap(), None, "{wire:?}");
        }
    }

    #[test]
    fn what_is_no_chunked_body_is_refused() {
        let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(9000));
        for wire in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            "+1\r\na",
            "3\r\nabcd\r\n",
            "3\nabc\r\n",
            "10000000000000000\r\n",
            "0x3\r\nabc",
            long.as_str(),
        ] {
            let outcome = read(Framing::CHUNKED, wire.as_bytes(), 7);
            assert!(matches!(outcome, Err(Failure::Malformed(_))), "{wire:?}: {outcome:?}");
        }
        let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(20_000));
        assert!(read(Framing::CHUNKED, trailers.as_bytes(), 4096).is_err(), "endless trailers");
    }
}
