//! What every request has: the caller, the words of the path, the forms it takes and gives. The checks come in the
//! order of the original's REST flow: method, permission (403), form of the answer (406), existence (404), form of
//! the body (415).

use crate::config::Config;
use crate::error::Error;
use crate::permit;
use crate::wire::Format;
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use shared::connection::Connection;
use shared::identity::Principal;
use std::future::{Ready, ready};

/// Headers that clients may send and read across origins (contract `dtrace`, section 2).
const SENT: &str = "Authorization, content-type, x-snarl-token, x-full-list, x-full-list-fields";
const READ: &str = "x-snarl-token, x-full-list, x-full-list-fields";

/// One request.
pub(crate) struct Call {
    /// Who calls.
    pub(crate) principal: Principal,
    /// The path before the words, as it came: `/api/0.1.0/dtrace`.
    pub(crate) base: String,
    words: Vec<String>,
    req: HttpRequest,
}

impl FromRequest for Call {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let principal = Principal::from_request(req, payload).into_inner();
        ready(principal.map_err(Into::into).and_then(|principal| {
            let (base, words) = split(req.uri().path())?;
            Ok(Self { principal, base, words, req: req.clone() })
        }))
    }
}

impl Call {
    /// The script's id, as the path has it.
    pub(crate) fn id(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The words of the path from the `from`th behind the prefix on.
    pub(crate) fn words_from(&self, from: usize) -> &[String] {
        self.words.get(from..).unwrap_or_default()
    }

    /// The connection it came over.
    pub(crate) fn connection(&self) -> Option<Connection> {
        Connection::of(&self.req)
    }

    /// The query string.
    pub(crate) fn query(&self) -> Query {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(self.req.query_string());
        Query(pairs.map(web::Query::into_inner).unwrap_or_default())
    }

    /// A header's text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.req.headers().get(name)?.to_str().ok()
    }

    /// Checks the permission to do `action` with this path's script, then the form of the answer.
    pub(crate) fn permit(&self, action: &str) -> Result<Format, Error> {
        self.check(self.id(), action)?;
        self.format()
    }

    /// Checks the permission to do `action` with all scripts, then the form of the answer.
    pub(crate) fn permit_all(&self, action: &str) -> Result<Format, Error> {
        if !permit::is_cloud_allowed(&self.principal, action) {
            return Err(Error::Forbidden(format!("cloud->dtrace->{action}")));
        }
        self.format()
    }

    /// Checks the permission to do `action` with the script `id`.
    pub(crate) fn check(&self, id: &str, action: &str) -> Result<(), Error> {
        match permit::is_script_allowed(&self.principal, id, action) {
            true => Ok(()),
            false => Err(Error::Forbidden(format!("dtrace->{id}->{action}"))),
        }
    }

    fn format(&self) -> Result<Format, Error> {
        let accepted: Vec<&str> =
            self.req.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()).collect();
        if accepted.is_empty() {
            return Ok(Format::Json);
        }
        Format::of_accept(&accepted.join(",")).ok_or(Error::NotAcceptable)
    }

    /// The body as JSON text, whichever form it came in.
    pub(crate) async fn body(&self, payload: web::Payload, config: &Config) -> Result<String, Error> {
        let format = self.header(header::CONTENT_TYPE).and_then(Format::of_content_type);
        let format = format.ok_or(Error::UnsupportedType)?;
        let bytes = shared::body::read(&self.req, payload, config.max_body_bytes).await?;
        format.json_text(&bytes).map_err(Error::Invalid)
    }

    /// As [`Call::body`], and an empty body of any type is an empty object.
    pub(crate) async fn optional_body(
        &self,
        payload: web::Payload,
        config: &Config,
    ) -> Result<String, Error> {
        let bytes = shared::body::read(&self.req, payload, config.max_body_bytes).await?;
        if bytes.is_empty() {
            return Ok("{}".into());
        }
        let format = self.header(header::CONTENT_TYPE).and_then(Format::of_content_type);
        format.ok_or(Error::UnsupportedType)?.json_text(&bytes).map_err(Error::Invalid)
    }

    /// Which revisions `If-Match` allows; all without it.
    pub(crate) fn expected_revisions(&self) -> impl Fn(i64) -> bool + Send + 'static {
        let wanted = tags(self.req.headers(), &header::IF_MATCH);
        move |revision| {
            wanted.as_ref().is_none_or(|tags| {
                tags.iter().any(|tag| {
                    tag == "*"
                        || *tag == etag(revision, Format::Json)
                        || *tag == etag(revision, Format::Msgpack)
                })
            })
        }
    }

    /// Whether the client has this form of the script already.
    pub(crate) fn is_known(&self, etag: &str) -> bool {
        let known = tags(self.req.headers(), &header::IF_NONE_MATCH).unwrap_or_default();
        known.iter().any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    }
}

/// A decoded query string.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// A parameter's last value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The strong tag of one form of a script: the forms differ in their bytes.
pub(crate) fn etag(revision: i64, format: Format) -> String {
    match format {
        Format::Json => format!("\"{revision}\""),
        Format::Msgpack => format!("\"{revision}-msgpack\""),
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let lines: Vec<&str> = headers.get_all(name).filter_map(|value| value.to_str().ok()).collect();
    let tags = lines.iter().flat_map(|line| line.split(',')).map(|tag| tag.trim().to_owned());
    (!lines.is_empty()).then(|| tags.collect())
}

/// Takes a path apart: the prefix as it came, and the decoded words behind it. A slash at the end says nothing.
fn split(path: &str) -> Result<(String, Vec<String>), Error> {
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/').skip(1);
    let prefix = match segments.clone().next() {
        Some("api") => 3,
        Some("v1") => 2,
        _ => 1,
    };
    let base: String = segments.by_ref().take(prefix).flat_map(|segment| ["/", segment]).collect();
    Ok((base, segments.map(decode).collect::<Result<_, _>>()?))
}

/// A path segment without its percent encoding.
fn decode(segment: &str) -> Result<String, Error> {
    let refuse = || Error::Invalid(format!("the path segment {segment} cannot be read"));
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, after) = tail.split_at_checked(2).ok_or_else(refuse)?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
        bytes.push(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(refuse)?);
        rest = after;
    }
    match String::from_utf8(bytes) {
        Ok(word) if !word.is_empty() => Ok(word),
        _ => Err(refuse()),
    }
}

/// Adds what every answer carries, refusals too.
pub(crate) async fn headers<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let origin = allowed_origin(&req);
    let mut answer = next.call(req).await?;
    let headers = answer.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if origin != "*" {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    Ok(answer)
}

/// The request's origin when the settings name it, else the original's `*`, with which browsers send no credentials.
fn allowed_origin(req: &ServiceRequest) -> HeaderValue {
    let origin = req.headers().get(header::ORIGIN);
    let named = origin.filter(|origin| {
        let config = req.app_data::<web::Data<Config>>();
        config.is_some_and(|config| config.cors_origins.iter().any(|named| *named == **origin))
    });
    named.cloned().unwrap_or(HeaderValue::from_static("*"))
}

/// An answer with `value`.
pub(crate) fn answer(format: Format, body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse::Ok().content_type(format.media_type()).body(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &str) -> Option<(String, Vec<String>)> {
        split(path).ok()
    }

    fn pair(base: &str, words: &[&str]) -> Option<(String, Vec<String>)> {
        Some((base.to_owned(), words.iter().map(|word| (*word).to_owned()).collect()))
    }

    #[test]
    fn a_path_is_its_prefix_and_its_decoded_words() {
        assert_eq!(words("/dtrace"), pair("/dtrace", &[]));
        assert_eq!(words("/dtrace/"), pair("/dtrace", &[]));
        assert_eq!(words("/v1/dtrace/x/stream"), pair("/v1/dtrace", &["x", "stream"]));
        assert_eq!(words("/api/dtrace/dtrace/x"), pair("/api/dtrace/dtrace", &["x"]));
        assert_eq!(words("/api/0.1.0/dtrace/x/metadata/a%2Fb/%C3%A4/c.d/"), {
            pair("/api/0.1.0/dtrace", &["x", "metadata", "a/b", "ä", "c.d"])
        });
    }

    #[test]
    fn segments_that_cannot_be_read_are_refused() {
        for path in ["/dtrace/%", "/dtrace/%4", "/dtrace/%zz", "/dtrace/%+1", "/dtrace/%ff", "/dtrace/x//y"] {
            assert_eq!(words(path), None, "{path}");
        }
    }
}
