//! Where an answer's body ends (RFC 9112, section 6), and its pieces.

use super::{LinkError, MAX_HEADERS};
use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Status, parse_chunk_size, parse_headers};

/// Bytes of a line with a chunk's size, or of all trailers, at most.
const LINE_BYTES: usize = 16 << 10;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// So many bytes; never 0.
    Length(u64),
    /// Chunks.
    Chunks(Chunk),
    /// Whatever comes until the service closes the connection.
    UntilClose,
}

/// Where we are among the chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// Before a size.
    Size,
    /// So many bytes before the end of one; never 0.
    Data(u64),
    /// Before the line break that ends one.
    End,
    /// After the last.
    Trailers,
}

impl Rest {
    /// A body of `bytes`.
    #[must_use]
    pub(super) fn of_length(bytes: u64) -> Self {
        if bytes == 0 { Self::Nothing } else { Self::Length(bytes) }
    }

    /// Takes the next piece out of what has been read; `None` when there is none (yet).
    ///
    /// # Errors
    /// [`LinkError::Malformed`] for what are no chunks.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, LinkError> {
        loop {
            match self {
                Self::Nothing => return Ok(None),
                Self::UntilClose => return Ok(Some(input.split().freeze()).filter(|piece| !piece.is_empty())),
                Self::Length(left) => {
                    let piece = take(input, left);
                    if *left == 0 {
                        *self = Self::Nothing;
                    }
                    return Ok(piece);
                }
                Self::Chunks(chunk) => match chunk {
                    Chunk::Data(left) => {
                        let piece = take(input, left);
                        if *left == 0 {
                            *chunk = Chunk::End;
                        }
                        return Ok(piece);
                    }
                    // To the parser an empty line says 0.
                    Chunk::Size if input.first().is_some_and(|first| !first.is_ascii_hexdigit()) => {
                        return Err(LinkError::Malformed("a chunk has no size"));
                    }
                    Chunk::Size => match parse_chunk_size(input) {
                        Ok(Status::Complete((bytes, size))) => {
                            input.advance(bytes);
                            *chunk = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
                        }
                        Ok(Status::Partial) => return wait_for_line(input),
                        Err(_invalid) => return Err(LinkError::Malformed("a chunk has no size")),
                    },
                    Chunk::End => match input.get(..2) {
                        Some(b"\r\n") => {
                            input.advance(2);
                            *chunk = Chunk::Size;
                        }
                        Some(_) => return Err(LinkError::Malformed("a chunk does not end with its size")),
                        None => return Ok(None),
                    },
                    // They are said to nobody: the gateway takes the announcement of trailers off.
                    Chunk::Trailers => match parse_headers(input, &mut [EMPTY_HEADER; MAX_HEADERS]) {
                        Ok(Status::Complete((bytes, _))) => {
                            input.advance(bytes);
                            *self = Self::Nothing;
                        }
                        Ok(Status::Partial) => return wait_for_line(input),
                        Err(_invalid) => return Err(LinkError::Malformed("bad trailers")),
                    },
                },
            }
        }
    }

    /// Bytes that are worth reading at once; `None` when that cannot be known.
    #[must_use]
    pub(super) fn known_bytes(self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Length(left) => Some(left),
            Self::Chunks(_) | Self::UntilClose => None,
        }
    }
}

/// At most `left` bytes of `input`, counted off.
fn take(input: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= u64::try_from(bytes).unwrap_or(0);
    (bytes > 0).then(|| input.split_to(bytes).freeze())
}

fn wait_for_line(input: &BytesMut) -> Result<Option<Bytes>, LinkError> {
    if input.len() < LINE_BYTES { Ok(None) } else { Err(LinkError::Malformed("an endless line")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNKS: Rest = Rest::Chunks(Chunk::Size);

    /// What a body that comes in such pieces says, and what is left of the input.
    fn read(mut rest: Rest, pieces: &[&[u8]]) -> Result<(Vec<u8>, Rest, Vec<u8>), LinkError> {
        let (mut input, mut read) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(piece) = rest.take(&mut input)? {
                read.extend_from_slice(&piece);
            }
        }
        Ok((read, rest, input.to_vec()))
    }

    fn chunked(pieces: &[Vec<u8>], extension: &str, trailers: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            wire.extend_from_slice(format!("{:X}{extension}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        wire
    }

    proptest! {
        #[test]
        fn chunks_say_the_same_however_they_are_cut(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            extension in prop::sample::select(vec!["", ";a=b", " ; a"]),
            trailers in prop::sample::select(vec!["", "a: b\r\n", "a: b\r\nc: d\r\n"]),
            cut in 1..9_usize,
        ) {
            let mut wire = chunked(&pieces, extension, trailers);
            wire.extend_from_slice(b"HTTP");
            let cuts: Vec<&[u8]> = wire.chunks(cut).collect();
            let (said, rest, left) = read(CHUNKS, &cuts).unwrap();
            prop_assert_eq!(said, pieces.concat());
            prop_assert_eq!(rest, Rest::Nothing);
            prop_assert_eq!(left, b"HTTP");
        }

        #[test]
        fn nothing_makes_it_panic_or_grow(wire in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((said, _, left)) = read(CHUNKS, &[&wire]) {
                prop_assert!(said.len() + left.len() <= wire.len());
            }
        }

        #[test]
        fn a_length_takes_its_bytes_and_no_more(said in prop::collection::vec(any::<u8>(), 0..99), cut in 1..9_usize) {
            let wire = [&said[..], b"next"].concat();
            let cuts: Vec<&[u8]> = wire.chunks(cut).collect();
            let whole = read(Rest::of_length(said.len().try_into().unwrap()), &cuts).unwrap();
            prop_assert_eq!(whole, (said, Rest::Nothing, b"next".to_vec()));
        }
    }

    #[test]
    fn what_are_no_chunks_is_refused() {
        for wire in
            ["x\r\n", "-1\r\n", "\r\n", "1\r\nab\r\n", "fffffffffffffffff\r\n", "0\r\n\x01: b\r\n\r\n"]
        {
            assert!(matches!(read(CHUNKS, &[wire.as_bytes()]), Err(LinkError::Malformed(_))), "{wire:?}");
        }
    }

    #[test]
    fn lines_without_end_are_refused() {
        let extension = format!("1;{}", "x".repeat(LINE_BYTES));
        let trailers = format!("0\r\na: {}", "x".repeat(LINE_BYTES));
        for wire in [extension, trailers] {
            assert!(matches!(read(CHUNKS, &[wire.as_bytes()]), Err(LinkError::Malformed("an endless line"))));
        }
    }

    #[test]
    fn a_body_without_a_length_goes_on() {
        assert_eq!(
            read(Rest::UntilClose, &[b"a", b"", b"b"]).unwrap(),
            (b"ab".to_vec(), Rest::UntilClose, vec![])
        );
    }
}
