//! Which headers pass: those about the message do, those about one connection or about who calls do not
//! (RFC 9110, section 7.6.1).

use hyper::header::{
    AUTHORIZATION, CONNECTION, EXPECT, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use shared::identity;
use shared::server::REQUEST_ID_HEADER;

/// Headers of one connection that have no name in the library.
const KEEP_ALIVE: &str = "keep-alive";
const PROXY_CONNECTION: &str = "proxy-connection";

/// Everything between gateway and services begins so; a client can never send it.
const INTERNAL: &str = "x-quintet-";

/// Who is calling, in forms that only the gateway reads.
const CREDENTIALS: [&str; 6] =
    ["x-auth-token", "x-user-id", "x-project-id", "x-roles", "x-identity-status", "x-service-token"];

/// What becomes of `X-Forwarded-*` and `Forwarded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// They come from a proxy that is believed.
    Kept,
    /// They could come from anybody.
    Dropped,
}

/// Makes a client's headers ready for a service.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    forwarded: Forwarded,
    signed: HeaderValue,
    request_id: HeaderValue,
) {
    strip(headers, |name| {
        let text = name.as_str();
        *name == AUTHORIZATION
            || *name == EXPECT
            || text.starts_with(INTERNAL)
            || CREDENTIALS.contains(&text)
            || (forwarded == Forwarded::Dropped && (text.starts_with("x-forwarded-") || text == "forwarded"))
    });
    headers.insert(HeaderName::from_static(identity::HEADER), signed);
    headers.insert(HeaderName::from_static(REQUEST_ID_HEADER), request_id);
}

/// Makes a service's headers ready for the client.
pub(super) fn strip_answer(headers: &mut HeaderMap) {
    strip(headers, |name| name.as_str().starts_with(INTERNAL));
}

/// Removes what belongs to one connection, and what `is_private` names.
fn strip(headers: &mut HeaderMap, is_private: impl Fn(&HeaderName) -> bool) {
    let nominated = nominated(headers);
    let is_doomed =
        |name: &HeaderName| is_of_connection(name) || nominated.contains(name) || is_private(name);
    // Almost always this list stays empty, and then takes no memory.
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn is_of_connection(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION]
        .contains(name)
        || matches!(name.as_str(), KEEP_ALIVE | PROXY_CONNECTION)
}

/// The headers that `Connection` names; it cannot name away what frames or addresses the message.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    let real =
        names.filter(|name| !name.eq_ignore_ascii_case("close") && !name.eq_ignore_ascii_case(KEEP_ALIVE));
    let parsed = real.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    parsed
        .filter(|name| !matches!(name.as_str(), "host" | "content-length" | "content-type" | "origin"))
        .collect()
}
