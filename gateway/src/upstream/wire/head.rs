//! The head of an answer: status, headers, and what follows from them for the body (RFC 9112, sections 4 to 6).

use super::framing::Framing;
use super::link::Failure;
use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use std::mem::MaybeUninit;

/// Headers of an answer at most.
const MOST_HEADERS: usize = 128;

/// Bytes of an answer's head at most.
const MOST_BYTES: usize = 256 << 10;

/// Everything between gateway and services begins so, and never leaves the house.
const HOUSE: &str = "x-quintet-";

/// The head of an answer. What belongs to the connection has been taken out of the headers.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// Where the body ends.
    pub(crate) framing: Framing,
    /// Whether the connection may be used again.
    pub(crate) is_kept_alive: bool,
}

impl Head {
    /// Takes a head out of what has arrived, once it is complete. `is_bodiless` when the request was a HEAD.
    ///
    /// # Errors
    /// [`Failure::Malformed`] when it is none.
    pub(super) fn take(inbox: &mut BytesMut, is_bodiless: bool) -> Result<Option<Self>, Failure> {
        let Some(end) = memchr::memmem::find(inbox, b"\r\n\r\n") else {
            let is_endless = inbox.len() > MOST_BYTES;
            return if is_endless { Err(Failure::Malformed("head too long")) } else { Ok(None) };
        };
        read(&inbox.split_to(end + 4).freeze(), is_bodiless).map(Some)
    }
}

fn read(bytes: &Bytes, is_bodiless: bool) -> Result<Head, Failure> {
    let mut slots = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut []);
    let outcome =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut slots);
    if !outcome.is_ok_and(|status| status.is_complete()) {
        return Err(Failure::Malformed("no HTTP/1.1 answer"));
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Failure::Malformed("no status"))?;
    let mut body = BodyHeaders::default();
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for header in answer.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(Failure::Malformed("no header")) };
        body.note(&name, &value)?;
        if !is_of_connection(name.as_str()) && !is_of_house(name.as_str()) {
            headers.append(name, value);
        }
    }
    for name in &body.nominated {
        headers.remove(name);
    }
    if body.is_chunked {
        // Two lengths would let two readers disagree about where the body ends.
        headers.remove(CONTENT_LENGTH);
    }
    let is_kept_alive = if answer.version == Some(1) { !body.closes } else { body.keeps_alive };
    Ok(Head { status, headers, framing: body.framing(status, is_bodiless), is_kept_alive })
}

/// What the headers say about body and connection.
#[derive(Debug, Default)]
struct BodyHeaders {
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
    nominated: Vec<HeaderName>,
}

impl BodyHeaders {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Failure> {
        if *name == CONTENT_LENGTH {
            let length = length(value).ok_or(Failure::Malformed("no length"))?;
            if self.length.replace(length).is_some_and(|other| other != length) {
                return Err(Failure::Malformed("two lengths"));
            }
        } else if *name == TRANSFER_ENCODING {
            // Other encodings below the chunks would reach a client that is not told of them.
            if self.is_chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Failure::Malformed("unknown transfer encoding"));
            }
            self.is_chunked = true;
        } else if *name == CONNECTION {
            for word in value.to_str().unwrap_or("close").split(',').map(str::trim) {
                match word {
                    _ if word.eq_ignore_ascii_case("close") => self.closes = true,
                    _ if word.eq_ignore_ascii_case("keep-alive") => self.keeps_alive = true,
                    _ => self.nominated.extend(HeaderName::from_bytes(word.as_bytes())),
                }
            }
        }
        Ok(())
    }

    fn framing(&self, status: StatusCode, is_bodiless: bool) -> Framing {
        let is_bodiless = is_bodiless
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match self.length {
            _ if is_bodiless => Framing::EMPTY,
            _ if self.is_chunked => Framing::CHUNKED,
            Some(bytes) => Framing::Length(bytes),
            None => Framing::UntilClose,
        }
    }
}

fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Whether a header is about one connection and not about the message (RFC 9110, section 7.6.1).
#[must_use]
pub(crate) fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "te" | "trailer"
            | "upgrade"
            | "connection"
            | "keep-alive"
            | "transfer-encoding"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
    )
}

/// Whether a header is between gateway and services alone.
#[must_use]
pub(crate) fn is_of_house(name: &str) -> bool {
    name.starts_with(HOUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, is_bodiless: bool) -> Result<Option<Head>, Failure> {
        Head::take(&mut BytesMut::from(text), is_bodiless)
    }

    fn framing(text: &str) -> Framing {
        head(text, false).unwrap().unwrap().framing
    }

    #[test]
    fn the_length_of_a_body_follows_from_the_head() {
        assert_eq!(framing("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"), Framing::Length(7));
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\nContent-Length: 7\r\ncontent-length: 7\r\n\r\n"),
            Framing::Length(7)
        );
        assert_eq!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"), Framing::CHUNKED);
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::UntilClose);
        for status in ["204 No Content", "304 Not Modified", "101 Switching Protocols"] {
            assert_eq!(framing(&format!("HTTP/1.1 {status}\r\ncontent-length: 7\r\n\r\n")), Framing::EMPTY);
        }
        let of_head = head("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", true).unwrap().unwrap();
        assert_eq!((of_head.framing, of_head.headers.len()), (Framing::EMPTY, 1));
        let both = head("HTTP/1.1 200 OK\r\ncontent-length: 7\r\ntransfer-encoding: chunked\r\n\r\n", false);
        let both = both.unwrap().unwrap();
        assert_eq!((both.framing, both.headers.len()), (Framing::CHUNKED, 0));
    }

    #[test]
    fn the_connection_stays_open_by_the_rules_of_its_version() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
        ] {
            assert_eq!(head(text, false).unwrap().unwrap().is_kept_alive, expected, "{text:?}");
        }
    }

    #[test]
    fn a_head_waits_until_it_is_complete_and_leaves_the_rest() {
        let text = "HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nbody";
        for cut in 0..text.len() - 4 {
            let part = text.get(..cut).unwrap();
            assert!(head(part, false).unwrap().is_none(), "{cut}");
        }
        let mut inbox = BytesMut::from(text);
        assert!(Head::take(&mut inbox, false).unwrap().is_some());
        assert_eq!(&inbox[..], b"body");
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "hello\r\n\r\n",
            "HTTP/1.1 999999 x\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +7\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 7, 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 8\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(matches!(head(text, false), Err(Failure::Malformed(_))), "{text:?}");
        }
        assert!(head(&"x".repeat(300 << 10), false).is_err(), "endless");
    }
}
