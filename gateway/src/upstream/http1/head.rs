//! The head of a request, written, and that of an answer, read (RFC 9112, sections 2 to 6).

use super::body::{Chunk, Rest};
use super::{LinkError, MAX_HEADERS, READ_BYTES};
use bytes::{Bytes, BytesMut};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::io::Write;

/// The end of the last header, and the empty line.
const END: &[u8; 4] = b"\r\n\r\n";

/// Headers for which there is room from the start.
const USUAL_HEADERS: usize = 12;

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// It has so many bytes.
    Length(u64),
    /// Its length is not known beforehand.
    Chunks,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// Status and headers.
    pub(super) answer: Response<()>,
    /// Its body.
    pub(super) body: Rest,
    /// Whether the connection may be used again.
    pub(super) is_kept: bool,
}

/// Writes a request's head. Framing is this hop's: what the headers say of it does not count.
pub(super) fn write<B>(request: &Request<B>, framing: Framing, output: &mut Vec<u8>) {
    output.extend_from_slice(request.method().as_str().as_bytes());
    output.push(b' ');
    push_target(request.uri(), output);
    output.extend_from_slice(b" HTTP/1.1\r\n");
    let mut has_length = false;
    for (name, value) in request.headers() {
        if name == CONTENT_LENGTH {
            has_length = true;
        } else if name != TRANSFER_ENCODING {
            output.extend_from_slice(name.as_str().as_bytes());
            output.extend_from_slice(b": ");
            output.extend_from_slice(value.as_bytes());
            output.extend_from_slice(b"\r\n");
        }
    }
    match framing {
        Framing::Nothing if !has_length => (),
        Framing::Nothing => output.extend_from_slice(b"content-length: 0\r\n"),
        // Writing to memory does not fail.
        Framing::Length(bytes) => drop(write!(output, "content-length: {bytes}\r\n")),
        Framing::Chunks => output.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    output.extend_from_slice(b"\r\n");
}

/// Clients that do not encode what is beyond ASCII are understood, as the originals understand them; services read none
/// of it.
fn push_target(uri: &Uri, output: &mut Vec<u8>) {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if target.is_ascii() {
        output.extend_from_slice(target.as_bytes());
        return;
    }
    for byte in target.bytes() {
        if byte.is_ascii() {
            output.push(byte);
        } else {
            // Writing to memory does not fail.
            drop(write!(output, "%{byte:02X}"));
        }
    }
}

/// Takes the head of the answer to a request by `method` out of what has been read; `None` when it is not all there.
/// Interim answers (100, 103) are passed over: whoever asked for one had it from us.
///
/// # Errors
/// [`LinkError::Malformed`] for what is no head.
pub(super) fn take(input: &mut BytesMut, method: &Method) -> Result<Option<Head>, LinkError> {
    loop {
        let Some(end) = memchr::memmem::find(input, END) else {
            return if input.len() < READ_BYTES {
                Ok(None)
            } else {
                Err(LinkError::Malformed("an endless head"))
            };
        };
        let text = input.split_to(end + END.len()).freeze();
        let head = parse(&text, method).map_err(LinkError::Malformed)?;
        let status = head.answer.status();
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Some(head));
        }
    }
}

/// Reads a head that ends with an empty line. Lines are told apart here; what may stand in a name and in a value, the
/// types of both know.
fn parse(text: &Bytes, method: &Method) -> Result<Head, &'static str> {
    let (line, mut rest) = split_line(text)?;
    let (is_http_11, status) = parse_status_line(line)?;
    let (mut headers, mut about, mut count) = (HeaderMap::with_capacity(USUAL_HEADERS), About::default(), 0);
    loop {
        let (line, others) = split_line(rest)?;
        if line.is_empty() {
            break;
        }
        let colon = memchr::memchr(b':', line).ok_or("a header without a colon")?;
        let (name, value) = line.split_at(colon);
        let value = trim(value.get(1..).unwrap_or_default());
        let name = HeaderName::from_bytes(name).map_err(|_odd| "an odd name of a header")?;
        let value = HeaderValue::from_maybe_shared(text.slice_ref(value)).map_err(|_odd| "an odd value")?;
        if about.note(&name, &value)? {
            headers.append(name, value);
        }
        count += 1;
        if count > MAX_HEADERS {
            return Err("too many headers");
        }
        rest = others;
    }
    // Both together smell of smuggling: the chunks count, and the connection is not used again.
    let is_doubtful = about.is_chunked.is_some() && headers.remove(CONTENT_LENGTH).is_some();
    let is_bodiless =
        status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if is_bodiless || *method == Method::HEAD { Rest::Nothing } else { about.body(is_http_11)? };
    let is_wanted = (is_http_11 || about.is_kept_alive) && !about.is_closed;
    let is_kept = is_wanted && !is_doubtful && body != Rest::UntilClose;
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(Head { answer, body, is_kept })
}

/// The first line, without its end, and what follows.
fn split_line(text: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let end = memchr::memchr(b'\n', text).ok_or("a line without end")?;
    let (line, rest) = text.split_at(end);
    Ok((line.strip_suffix(b"\r").ok_or("half an end of a line")?, rest.get(1..).unwrap_or_default()))
}

/// A value without the blanks around it: spaces and tabs, nothing else (RFC 9110, section 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether it is HTTP/1.1, not 1.0, and the status. What is said beside the code is for people.
fn parse_status_line(line: &[u8]) -> Result<(bool, StatusCode), &'static str> {
    let is_http_11 = match line.get(..9) {
        Some(b"HTTP/1.1 ") => true,
        Some(b"HTTP/1.0 ") => false,
        _ => return Err("no status line"),
    };
    let status = line.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok()).ok_or("no status")?;
    if matches!(line.get(12), None | Some(b' ')) { Ok((is_http_11, status)) } else { Err("no status") }
}

/// What an answer's headers say about its connection and its body's frame (RFC 9112, sections 6 and 9.3).
#[derive(Default)]
struct About {
    is_closed: bool,
    is_kept_alive: bool,
    /// Whether chunks are the only transfer coding; unset when there is none.
    is_chunked: Option<bool>,
    length: Option<u64>,
}

impl About {
    /// Looks at a header; answers whether it is worth keeping: a length that is said again is not.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, &'static str> {
        let value = value.as_bytes();
        if name == CONNECTION {
            for option in value.split(|byte| *byte == b',').map(trim) {
                self.is_closed |= option.eq_ignore_ascii_case(b"close");
                self.is_kept_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name == TRANSFER_ENCODING {
            self.is_chunked = Some(self.is_chunked.is_none() && value.eq_ignore_ascii_case(b"chunked"));
        } else if name == CONTENT_LENGTH {
            let length = parse_length(value).ok_or("a length that is no number")?;
            match self.length.replace(length) {
                None => (),
                Some(first) if first == length => return Ok(false),
                Some(_) => return Err("two lengths"),
            }
        }
        Ok(true)
    }

    /// How the body of an answer is framed that may have one.
    fn body(&self, is_http_11: bool) -> Result<Rest, &'static str> {
        match (self.is_chunked, self.length) {
            (Some(true), _) if is_http_11 => Ok(Rest::Chunks(Chunk::Size)),
            (Some(_), _) => Err("an odd transfer coding"),
            (None, Some(bytes)) => Ok(Rest::of_length(bytes)),
            (None, None) => Ok(Rest::UntilClose),
        }
    }
}

/// Digits alone: no sign, no list.
fn parse_length(value: &[u8]) -> Option<u64> {
    let text = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<Head>, LinkError> {
        take(&mut BytesMut::from(text), &Method::GET)
    }

    fn refusal(text: &str) -> &'static str {
        match read(text) {
            Err(LinkError::Malformed(why)) => why,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn what_a_client_did_not_encode_is_encoded() {
        for (given, expected) in [
            ("/annotation/query?Owner=Zürich&a=%20", "/annotation/query?Owner=Z%C3%BCrich&a=%20"),
            ("/a?b=c", "/a?b=c"),
        ] {
            let mut head = Vec::new();
            let request = Request::get(Uri::try_from(given.as_bytes()).unwrap()).body(()).unwrap();
            write(&request, Framing::Nothing, &mut head);
            assert_eq!(String::from_utf8(head).unwrap(), format!("GET {expected} HTTP/1.1\r\n\r\n"));
        }
    }

    #[test]
    fn a_head_is_read_to_its_end() {
        let mut input =
            BytesMut::from("HTTP/1.1 404 Not Found\r\nX-A:  b c \r\nx-a:\r\nContent-Length: 3\r\n\r\nabc");
        let Head { answer, body, is_kept } = take(&mut input, &Method::GET).unwrap().unwrap();
        assert_eq!((answer.status(), body, is_kept), (StatusCode::NOT_FOUND, Rest::Length(3), true));
        let values: Vec<_> = answer.headers().get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"b c"[..], b""]);
        assert_eq!(input, "abc");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nlink: x\r\n\r\nHTTP/1.1 200\r\n\r\n";
        assert_eq!(read(text).unwrap().unwrap().answer.status(), StatusCode::OK);
        assert!(read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n").unwrap().is_none());
    }

    #[test]
    fn the_end_of_a_body_is_where_the_protocol_says() {
        let read = |text: &str, method| {
            let text = format!("HTTP/1.{text}\r\n\r\n");
            let head = take(&mut BytesMut::from(text.as_str()), &method).unwrap().unwrap();
            (head.body, head.is_kept, head.answer.headers().get_all(CONTENT_LENGTH).iter().count())
        };
        let chunks = Rest::Chunks(Chunk::Size);
        for (text, method, wanted) in [
            ("1 200 OK\r\ncontent-length: 0", Method::GET, (Rest::Nothing, true, 1)),
            ("1 200 OK\r\ncontent-length: 7\r\ncontent-length: 7", Method::GET, (Rest::Length(7), true, 1)),
            ("1 200 OK\r\ncontent-length: 7", Method::HEAD, (Rest::Nothing, true, 1)),
            ("1 304 Not Modified\r\ncontent-length: 7", Method::GET, (Rest::Nothing, true, 1)),
            ("1 204 No Content", Method::GET, (Rest::Nothing, true, 0)),
            ("1 200 OK\r\ntransfer-encoding: Chunked", Method::GET, (chunks, true, 0)),
            ("1 200 OK\r\ncontent-length: 7\r\ntransfer-encoding: chunked", Method::GET, (chunks, false, 0)),
            ("1 200 OK", Method::GET, (Rest::UntilClose, false, 0)),
            (
                "1 200 OK\r\nconnection: x, Close\r\ncontent-length: 1",
                Method::GET,
                (Rest::Length(1), false, 1),
            ),
            ("0 200 OK\r\ncontent-length: 1", Method::GET, (Rest::Length(1), false, 1)),
            (
                "0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 1",
                Method::GET,
                (Rest::Length(1), true, 1),
            ),
        ] {
            assert_eq!(read(text, method), wanted, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 99\r\n\r\n",
            "\r\n\r\n",
            "HTTP/1.1 200 OK\nx: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: \x0c3\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: \x0cchunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            refusal(text);
        }
    }

    #[test]
    fn a_head_has_bounds() {
        let many = "a: b\r\n".repeat(MAX_HEADERS);
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).is_ok());
        assert_eq!(refusal(&format!("HTTP/1.1 200 OK\r\n{many}a: b\r\n\r\n")), "too many headers");
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(READ_BYTES));
        assert_eq!(refusal(&long), "an endless head");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..99)) {
            let mut input = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
            input.extend_from_slice(&text);
            input.extend_from_slice(b"\r\n\r\n");
            let _ = take(&mut input, &Method::GET);
        }
    }

    #[test]
    fn a_request_says_how_its_own_body_is_framed() {
        let write = |request: &Request<()>, framing| {
            let mut output = Vec::new();
            write(request, framing, &mut output);
            String::from_utf8(output).unwrap()
        };
        let request = |with_length: bool| {
            let mut request = Request::post("http://h/a?b=c").header("x", "y").body(()).unwrap();
            if with_length {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
            }
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
            request
        };
        let start = "POST /a?b=c HTTP/1.1\r\nx: y\r\n";
        assert_eq!(write(&request(false), Framing::Nothing), format!("{start}\r\n"));
        assert_eq!(write(&request(true), Framing::Nothing), format!("{start}content-length: 0\r\n\r\n"));
        assert_eq!(write(&request(true), Framing::Length(5)), format!("{start}content-length: 5\r\n\r\n"));
        let chunks = format!("{start}transfer-encoding: chunked\r\n\r\n");
        assert_eq!(write(&request(true), Framing::Chunks), chunks);
    }
}
