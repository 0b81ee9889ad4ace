//! The head of a request as the service gets it: what is about the message passes; what is about the client's connection,
//! or about who calls, does not (RFC 9110, section 7.6.1).

use crate::upstream::{is_of_connection, is_of_house};
use bytes::{BufMut, Bytes, BytesMut};
use hyper::Method;
use hyper::body::SizeHint;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use shared::identity;
use shared::server::REQUEST_ID_HEADER;

/// Bytes of a usual head.
const HEAD_BYTES: usize = 1024;

/// What becomes of `X-Forwarded-*` and `Forwarded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// They come from a proxy that is believed.
    Kept,
    /// They could come from anybody.
    Dropped,
}

/// What the gateway adds.
#[derive(Debug)]
pub(crate) struct Added<'a> {
    /// Who is calling, signed.
    pub(crate) identity: &'a HeaderValue,
    /// The request's id.
    pub(crate) request_id: &'a HeaderValue,
    /// Whether a websocket is asked for.
    pub(crate) is_upgrade: bool,
}

/// The head as bytes, and whether its body goes in chunks.
#[must_use]
pub(crate) fn encode(
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    forwarded: Forwarded,
    added: &Added<'_>,
    body: &SizeHint,
) -> (Bytes, bool) {
    let mut head = BytesMut::with_capacity(HEAD_BYTES);
    head.put(method.as_str().as_bytes());
    head.put_u8(b' ');
    head.put(target.as_bytes());
    head.put(&b" HTTP/1.1\r\n"[..]);
    let nominated = nominated(headers);
    for (name, value) in headers {
        if passes(name.as_str(), forwarded) && !nominated.contains(name) {
            line(&mut head, name.as_str(), value.as_bytes());
        }
    }
    line(&mut head, identity::HEADER, added.identity.as_bytes());
    line(&mut head, REQUEST_ID_HEADER, added.request_id.as_bytes());
    if added.is_upgrade {
        line(&mut head, "connection", b"upgrade");
        line(&mut head, "upgrade", b"websocket");
    }
    let is_chunked = match body.exact() {
        // Methods that have no meaning for a body leave its length out when there is none.
        Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => false,
        Some(bytes) => {
            line(&mut head, "content-length", bytes.to_string().as_bytes());
            false
        }
        None => {
            line(&mut head, "transfer-encoding", b"chunked");
            true
        }
    };
    head.put(&b"\r\n"[..]);
    (head.freeze(), is_chunked)
}

fn line(head: &mut BytesMut, name: &str, value: &[u8]) {
    head.put(name.as_bytes());
    head.put(&b": "[..]);
    head.put(value);
    head.put(&b"\r\n"[..]);
}

/// Whether a client's header goes on to the service. Its body is framed anew, its credentials have been read.
fn passes(name: &str, forwarded: Forwarded) -> bool {
    match name {
        "content-length" | "expect" | "authorization" | "x-auth-token" | "x-user-id" | "x-project-id"
        | "x-roles" | "x-identity-status" | "x-service-token" | REQUEST_ID_HEADER => false,
        "forwarded" => forwarded == Forwarded::Kept,
        _ if is_of_connection(name) || is_of_house(name) => false,
        _ => forwarded == Forwarded::Kept || !name.starts_with("x-forwarded-"),
    }
}

/// The headers that `Connection` names; it cannot name away what addresses the message.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    if !headers.contains_key(CONNECTION) {
        return Vec::new();
    }
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    let real =
        names.filter(|name| !name.eq_ignore_ascii_case("close") && !name.eq_ignore_ascii_case("keep-alive"));
    let parsed = real.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    parsed.filter(|name| !matches!(name.as_str(), "host" | "content-type" | "origin")).collect()
}
