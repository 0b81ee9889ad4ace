//! Which headers pass: those about the message do, those about one connection or about who calls do not
//! (RFC 9110, section 7.6.1).

use crate::fault::Fault;
use crate::request::REQUEST_ID;
use hyper::header::{CONNECTION, Entry, HeaderMap, HeaderName, HeaderValue};
use shared::identity;

/// Headers that services take in one request; past them they answer without a word.
const SERVICE_HEADERS: usize = 96;

/// Headers that frame the body, which are added when the request goes out.
const FRAMING_HEADERS: usize = 1;

/// Everything between gateway and services begins so; a client can never send it.
const INTERNAL: &str = "x-quintet-";

/// What becomes of `X-Forwarded-*` and `Forwarded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// They come from a proxy that is believed.
    Kept,
    /// They could come from anybody.
    Dropped,
}

const IDENTITY: HeaderName = HeaderName::from_static(identity::HEADER);

/// Makes a client's headers ready for a service.
///
/// # Errors
/// [`Fault::TooManyHeaders`] when there are more than it takes.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    forwarded: Forwarded,
    signed: HeaderValue,
    request_id: HeaderValue,
) -> Result<(), Fault> {
    strip(headers, |name| match name {
        "authorization" | "expect" | "x-auth-token" | "x-user-id" | "x-project-id" | "x-roles"
        | "x-identity-status" | "x-service-token" => true,
        "forwarded" => forwarded == Forwarded::Dropped,
        _ => {
            name.starts_with(INTERNAL)
                || (forwarded == Forwarded::Dropped && name.starts_with("x-forwarded-"))
        }
    });
    headers.insert(IDENTITY, signed);
    headers.insert(REQUEST_ID, request_id);
    let most = SERVICE_HEADERS - FRAMING_HEADERS;
    if headers.len() > most { Err(Fault::TooManyHeaders(most)) } else { Ok(()) }
}

/// Makes a service's headers ready for the client.
pub(super) fn strip_answer(headers: &mut HeaderMap) {
    strip(headers, |name| name.starts_with(INTERNAL));
}

/// Removes what belongs to one connection, and what `is_private` names.
fn strip(headers: &mut HeaderMap, is_private: impl Fn(&str) -> bool) {
    let nominated = take_nominated(headers);
    let is_doomed = |name: &HeaderName| {
        is_of_connection(name.as_str()) || is_private(name.as_str()) || nominated.contains(name)
    };
    // Almost always this list stays empty, and then takes no memory.
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "te" | "trailer"
            | "upgrade"
            | "keep-alive"
            | "transfer-encoding"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
    )
}

/// Takes `Connection` away and answers with the headers that it names; it cannot name away what frames or addresses the
/// message.
fn take_nominated(headers: &mut HeaderMap) -> Vec<HeaderName> {
    let Entry::Occupied(connection) = headers.entry(CONNECTION) else { return Vec::new() };
    if connection.iter().all(|value| value == "keep-alive" || value == "close") {
        connection.remove();
        return Vec::new();
    }
    let values: Vec<HeaderValue> = connection.remove_entry_mult().1.collect();
    let names = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let real = names
        .map(str::trim)
        .filter(|name| !name.eq_ignore_ascii_case("close") && !name.eq_ignore_ascii_case("keep-alive"));
    let parsed = real.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    parsed
        .filter(|name| !matches!(name.as_str(), "host" | "content-length" | "content-type" | "origin"))
        .collect()
}
