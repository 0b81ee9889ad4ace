//! The page of annotations, and Grafana's connection tests: every other GET. Everything is in the program; nothing is
//! loaded from elsewhere (annotate.md, section 8).

use crate::error::Error;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

/// Where the page is on a listener that has more than annotations.
const PREFIX: &str = "/annotate";

/// The page may load and ask only what comes from here, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files below `/static`.
const FILES: [(&str, &str); 9] = [
    ("page.css", include_str!("../page/page.css")),
    ("page.js", include_str!("../page/page.js")),
    ("api.js", include_str!("../page/api.js")),
    ("dates.js", include_str!("../page/dates.js")),
    ("element.js", include_str!("../page/element.js")),
    ("filters.js", include_str!("../page/filters.js")),
    ("form.js", include_str!("../page/form.js")),
    ("list.js", include_str!("../page/list.js")),
    ("timeline.js", include_str!("../page/timeline.js")),
];

/// `GET` of anything else answers the page, as the original's does; unknown files and other methods are unknown.
pub(super) fn routes(cfg: &mut ServiceConfig) {
    let unknown = || async { Error::NotFound.error_response() };
    for prefix in ["", PREFIX] {
        let files = web::resource(format!("{prefix}/static/{{file:.*}}"));
        cfg.service(files.get(file).default_service(web::to(unknown)));
    }
    cfg.service(web::resource("/{page:.*}").get(page).default_service(web::to(unknown)));
}

/// The page.
pub(super) async fn page(req: HttpRequest) -> HttpResponse {
    let rest = req.path().strip_prefix(PREFIX);
    let base =
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) { "/annotate/" } else { "/" };
    let root = mount(&req);
    let text = include_str!("../page/page.html").replace("{{base}}", &format!("{root}{base}"));
    let mut answer = typed("text/html; charset=utf-8", text.replace("{{root}}", root));
    // A cache that several prefixes share must not mix them up.
    answer.headers_mut().insert(VARY, HeaderValue::from_static("x-forwarded-prefix"));
    answer
}

/// The path below which a proxy has put everything, without a slash at its end. Of what could be more than a path in the
/// page's markup nothing is taken.
fn mount(req: &HttpRequest) -> &str {
    let prefix = req.headers().get("x-forwarded-prefix").and_then(|value| value.to_str().ok()).unwrap_or("");
    let prefix = prefix.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let mut parts = prefix.split('/');
    let is_name = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(is_plain);
    let is_path = parts.next() == Some("") && parts.all(is_name);
    if is_path { prefix } else { "" }
}

async fn file(name: web::Path<String>) -> HttpResponse {
    match FILES.iter().find(|(own, _)| *own == name.as_str()) {
        Some((name, text)) if name.ends_with(".css") => typed("text/css; charset=utf-8", (*text).to_owned()),
        Some((_, text)) => typed("text/javascript; charset=utf-8", (*text).to_owned()),
        None => Error::NotFound.error_response(),
    }
}

fn typed(kind: &str, text: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}
