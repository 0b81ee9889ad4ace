//! What a request says about itself, and putting it right before anything else looks at it.

use crate::body::Body;
use crate::fault::Fault;
use crate::routes::Api;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use shared::server::REQUEST_ID_HEADER;
use std::net::SocketAddr;

/// The header of a request's id, found without parsing its name each time.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID_HEADER);

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Characters of a request id that comes from outside.
const REQUEST_ID_CHARS: usize = 128;

/// The id that came along if it is a plain one, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |id: &HeaderValue| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=REQUEST_ID_CHARS).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
    };
    if let Some(id) = headers.get(REQUEST_ID).filter(|id| is_plain(id)) {
        return id.clone();
    }
    let id = uuid::Builder::from_random_bytes(rand::random::<u128>().to_ne_bytes()).into_uuid();
    let mut text = [0; 36];
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("none"))
}

/// What the client accepts; several headers are one (RFC 9110, section 5.3).
pub(crate) fn accepted(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(ACCEPT).iter();
    let (first, second) = (values.next()?, values.next());
    if second.is_none() {
        return Some(first.clone());
    }
    let all: Vec<&[u8]> = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&all.join(&b","[..])).ok()
}

/// One `Host`, and the one that the request line names if it names one (RFC 9112, section 3.2.2).
pub(crate) fn settle_host(request: &mut Request<Incoming>, local: SocketAddr) -> Result<(), Fault> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str());
        let host = host.map_err(|_odd| Fault::BadRequest("The request line names no host."))?;
        let path = request.uri().path_and_query().cloned();
        let path = path.ok_or(Fault::BadRequest("The request line names no path."))?;
        let hosts = request.headers().get_all(HOST).iter().count();
        *request.uri_mut() = Uri::from(path);
        request.headers_mut().insert(HOST, host);
        return if hosts > 1 { Err(Fault::BadRequest("More than one Host header.")) } else { Ok(()) };
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), None) => Ok(()),
        (Some(_), Some(_)) => Err(Fault::BadRequest("More than one Host header.")),
        (None, _) if request.version() == Version::HTTP_11 => {
            Err(Fault::BadRequest("The Host header is missing."))
        }
        (None, _) => {
            // HTTP/1.0 may leave it out; services build links from it.
            if let Ok(host) = HeaderValue::from_str(&local.to_string()) {
                request.headers_mut().insert(HOST, host);
            }
            Ok(())
        }
    }
}

/// `StackTach` lets a POST say which method it means.
pub(crate) fn effective_method(api: Api, method: &Method, headers: &HeaderMap) -> Method {
    if api != Api::StackTach || *method != Method::POST {
        return method.clone();
    }
    let meant = headers.get("x-http-method-override").and_then(|name| name.to_str().ok());
    match meant.map(str::to_ascii_uppercase).as_deref() {
        Some("PUT") => Method::PUT,
        Some("DELETE") => Method::DELETE,
        Some("PATCH") => Method::PATCH,
        _ => Method::POST,
    }
}

/// Snap's router sends readers on with 301, others with 307 so that their bodies come along.
pub(crate) fn redirect(method: &Method, uri: &Uri, path: &str) -> Response<Body> {
    let target = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let (status, body) = if *method == Method::GET {
        let link = target.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&#34;");
        (StatusCode::MOVED_PERMANENTLY, Body::full(format!("<a href=\"{link}\">Moved Permanently</a>.\n\n")))
    } else {
        (StatusCode::TEMPORARY_REDIRECT, Body::empty())
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    if let Ok(target) = HeaderValue::from_str(&target) {
        answer.headers_mut().insert(LOCATION, target);
    }
    answer
}

/// Replaces `from` at the start of the request's path by `to`.
pub(crate) fn rewrite(request: &mut Request<Incoming>, from: &str, to: &str) -> Result<(), Fault> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let rest = target.strip_prefix(from).ok_or(Fault::NotFound)?;
    *request.uri_mut() = format!("{to}{rest}").parse().map_err(|_odd| Fault::NotFound)?;
    Ok(())
}

/// The length that the headers announce.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The `N` of `Prefer: wait=N` (RFC 7240, section 4.3).
pub(crate) fn preferred_wait_secs(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut waits = values.flat_map(|value| value.split([',', ';'])).filter_map(|part| {
        let (name, secs) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| secs.trim().trim_matches('"').parse::<u64>().ok())?
    });
    waits.next()
}
