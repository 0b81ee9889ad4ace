//! `/`: what there is, for people and programs.

use super::{object, typed};
use crate::body::Body;
use hyper::Response;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, VARY};
use serde_json::{Value, json};

/// The APIs: name, where they come from, their first path. Events v2 starts with what anybody may ask, as a browser does
/// when the link is followed: its lists want a user and a project.
const APIS: [(&str, &str, &str); 8] = [
    ("Events", "StackTach v3", "/v1/events"),
    ("Streams", "StackTach v3", "/v1/streams"),
    ("Events v2", "OpenStack Panko", "/v2/capabilities"),
    ("Plugins", "Snap", "/v1/plugins"),
    ("Tasks", "Snap", "/v1/tasks"),
    ("Tribe", "Snap", "/v1/tribe/agreements"),
    ("DTrace scripts", "Project-FiFo", "/v1/dtrace"),
    ("Annotations", "Bosun annotate", "/v1/annotation/query"),
];

/// Pages for people.
const PAGES: [(&str, &str); 5] = [
    ("Annotations", "/annotate"),
    ("API documents", "/docs"),
    ("Health", "/readyz?verbose"),
    ("Metrics", "/metrics"),
    ("Version", "/version"),
];

/// HTML for browsers, JSON for others.
pub(super) fn show(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut answer = if accept.contains("text/html") {
        typed("text/html; charset=utf-8", page())
    } else {
        let apis: Vec<Value> = APIS
            .iter()
            .map(|(name, origin, path)| json!({ "name": name, "origin": origin, "path": path }))
            .collect();
        let pages: Vec<Value> =
            PAGES.iter().map(|(name, path)| json!({ "name": name, "path": path })).collect();
        object(
            &json!({ "product": "quintet", "version": env!("CARGO_PKG_VERSION"), "apis": apis, "pages": pages }),
        )
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

fn page() -> String {
    let apis = APIS.iter().map(|(name, origin, path)| {
        format!(
            "<tr><td>{name}</td><td>{origin}</td><td><a href=\"{path}\"><code>{path}</code></a></td></tr>"
        )
    });
    let pages = PAGES.iter().map(|(name, path)| format!("<li><a href=\"{path}\">{name}</a></li>"));
    include_str!("index.html")
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{apis}}", &apis.collect::<String>())
        .replace("{{pages}}", &pages.collect::<String>())
}
