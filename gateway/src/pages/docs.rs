//! `/docs`: the API documents, and a page that shows them and can try them. Everything is in the program; nothing is
//! loaded from elsewhere.

#[cfg(test)]
mod tests;

use super::{object, typed};
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use serde_json::{Value, json};
use shared::yaml;
use std::sync::OnceLock;

/// Name and text of every document.
const DOCUMENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/documents.rs"));

/// The page may load and ask only what comes from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file below `/docs`.
pub(super) fn show(path: &str) -> Result<Response<Body>, Fault> {
    let file = path.strip_prefix("/docs").unwrap_or_default().trim_start_matches('/');
    let mut answer = match file {
        "" => typed("text/html; charset=utf-8", include_str!("docs/page.html")),
        "page.js" => typed("text/javascript; charset=utf-8", include_str!("docs/page.js")),
        "page.css" => typed("text/css; charset=utf-8", include_str!("docs/page.css")),
        "openapi" => object(&list()),
        _ => document(file.strip_prefix("openapi/").ok_or(Fault::NotFound)?)?,
    };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// Name, title and address of each document.
fn list() -> Value {
    let documents = parsed().iter().map(|(name, document)| {
        let title = document.pointer("/info/title").and_then(Value::as_str).unwrap_or(name);
        json!({ "name": name, "title": title, "url": format!("/docs/openapi/{name}.json") })
    });
    documents.collect()
}

/// One document, as JSON or as it was written.
fn document(file: &str) -> Result<Response<Body>, Fault> {
    if let Some(name) = file.strip_suffix(".json") {
        let (_, document) = parsed().iter().find(|(own, _)| *own == name).ok_or(Fault::NotFound)?;
        return Ok(object(document));
    }
    let name = file.strip_suffix(".yaml").ok_or(Fault::NotFound)?;
    let (_, text) = DOCUMENTS.iter().find(|(own, _)| *own == name).ok_or(Fault::NotFound)?;
    Ok(typed("application/yaml", *text))
}

/// The documents as JSON, read once. A test makes sure that each can be read.
fn parsed() -> &'static [(&'static str, Value)] {
    static PARSED: OnceLock<Vec<(&str, Value)>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let read = |(name, text): &(&'static str, &str)| match yaml::parse(name, text) {
            Ok(document) => Some((*name, document.to_json())),
            Err(cause) => {
                log::error!("API document cannot be read: {cause}");
                None
            }
        };
        DOCUMENTS.iter().filter_map(read).collect()
    })
}
