//! `GET /` and `GET /healthcheck`: what clients and load balancers ask before anything else (events-v2.md, sections 9
//! and 10).

use super::accept::Accept;
use super::error::Fault;
use crate::config::Config;
use crate::wire::quoted;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use shared::server::WELL;

/// `GET /`: the version document. It knows JSON only.
///
/// Quirk: written with a blank after each colon and comma, because a test suite looks for `"base": "application/json"`.
pub(super) async fn list_versions(req: HttpRequest) -> Result<HttpResponse, Fault> {
    if !Accept::of(req.headers()).takes_json() {
        return Err(Fault::NotAcceptable);
    }
    let link = quoted(&format!("{}/v2", base(&req)));
    let body = format!(
        "{{\"versions\": {{\"values\": [{{\"id\": \"v2\", \"links\": [{{\"href\": {link}, \"rel\": \"self\"}}, \
         {{\"href\": \"https://docs.openstack.org/\", \"rel\": \"describedby\", \"type\": \"text/html\"}}], \
         \"media-types\": [{{\"base\": \"application/json\", \"type\": \"application/vnd.openstack.telemetry-v2+json\"}}, \
         {{\"base\": \"application/xml\", \"type\": \"application/vnd.openstack.telemetry-v2+xml\"}}], \
         \"status\": \"stable\", \"updated\": \"2013-02-13T00:00:00Z\"}}]}}}}"
    );
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}

/// Scheme, host and mount prefix as the client sees them: `Forwarded` before `X-Forwarded-*` before the request's own.
fn base(req: &HttpRequest) -> String {
    let prefix = req.headers().get("x-forwarded-prefix").and_then(|value| value.to_str().ok());
    let prefix = prefix.map_or("", |prefix| prefix.trim().trim_matches('/'));
    let slash = if prefix.is_empty() { "" } else { "/" };
    let seen = req.connection_info();
    format!("{}://{}{slash}{prefix}", seen.scheme(), seen.host())
}

/// `GET /healthcheck`: `OK`, or 503 while an operator's file says that this instance takes no more work.
pub(super) async fn healthcheck(req: HttpRequest, config: Data<Config>) -> HttpResponse {
    let is_disabled = match config.disable_by_file_path.clone() {
        // Looking for a file may wait for a disk.
        Some(file) => actix_web::web::block(move || file.exists()).await.unwrap_or(false),
        None => false,
    };
    let (mut answer, reason) = if is_disabled {
        let mut refused = HttpResponse::ServiceUnavailable();
        refused.insert_header((WELL, "1"));
        (refused, "DISABLED BY FILE")
    } else {
        (HttpResponse::Ok(), "OK")
    };
    if Accept::of(req.headers()).names_json() {
        let body = format!("{{\"detailed\": false, \"reasons\": [\"{reason}\"]}}");
        return answer.content_type("application/json").body(body);
    }
    answer.content_type("text/plain; charset=UTF-8").body(reason)
}
