//! Which pages of other origins may read and write (annotate.md, section 7).

use super::answer::set;
use super::route::Kind;
use crate::config::Config;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

/// Headers that a page may send to our own routes.
const HEADERS: &str =
    "accept, content-type, authorization, idempotency-key, if-match, if-none-match, last-event-id";

/// Headers that a page may send as a data source (annotate.md, section 11).
const DATA_SOURCE_HEADERS: &str = "accept, content-type";

/// Headers of answers that a page may see.
const EXPOSED: &str = "ETag, X-Next-Cursor, X-Total-Count";

/// `OPTIONS`: what is allowed here, and for a preflight what the page's origin may send.
pub(super) async fn preflight(req: HttpRequest, kind: Data<Kind>) -> HttpResponse {
    let kind = *kind.get_ref();
    let mut answer = HttpResponse::new(StatusCode::NO_CONTENT);
    set(&mut answer, header::ALLOW.as_str(), &format!("{}, OPTIONS", kind.methods()));
    let method = asked_method(req.method(), req.headers());
    let methods = format!("{}, OPTIONS", kind.methods_of_pages(&method));
    set(&mut answer, "access-control-allow-methods", &methods);
    let headers = if kind == Kind::ReadByPost { DATA_SOURCE_HEADERS } else { HEADERS };
    set(&mut answer, "access-control-allow-headers", headers);
    set(&mut answer, "access-control-max-age", "600");
    answer
}

/// Adds what lets a page of an allowed origin see the answer.
pub(super) async fn cors(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let allowed = match (req.app_data::<Data<Config>>(), req.app_data::<Data<Kind>>()) {
        (Some(config), Some(kind)) => allowed(config, *kind.get_ref(), req.method(), req.headers()),
        _ => Vec::new(),
    };
    let mut answer = next.call(req).await?;
    for (name, value) in allowed {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    Ok(answer)
}

/// The method that the page wants to use: that of the request, or the one a preflight asks about.
fn asked_method(method: &Method, headers: &HeaderMap) -> String {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD).and_then(|method| method.to_str().ok());
    if *method == Method::OPTIONS { asked.unwrap_or("GET").to_owned() } else { method.as_str().to_owned() }
}

fn allowed(config: &Config, kind: Kind, method: &Method, headers: &HeaderMap) -> Vec<(&'static str, String)> {
    const ORIGIN: &str = "access-control-allow-origin";
    let vary = ("vary", "Origin".to_owned());
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let is_listed = |list: &[String]| list.iter().any(|listed| listed == origin);
    if is_listed(&config.cors_write_origins) {
        let credentials = ("access-control-allow-credentials", "true".to_owned());
        let exposed = ("access-control-expose-headers", EXPOSED.to_owned());
        return vec![(ORIGIN, origin.to_owned()), credentials, exposed, vary];
    }
    if !kind.is_read(&asked_method(method, headers)) {
        return vec![vary];
    }
    let exposed = ("access-control-expose-headers", EXPOSED.to_owned());
    if config.cors_origins.iter().any(|listed| listed == "*") {
        let vary = if config.cors_write_origins.is_empty() { None } else { Some(vary) };
        return [(ORIGIN, "*".to_owned()), exposed].into_iter().chain(vary).collect();
    }
    if is_listed(&config.cors_origins) {
        vec![(ORIGIN, origin.to_owned()), exposed, vary]
    } else {
        vec![vary]
    }
}
