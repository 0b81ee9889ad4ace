//! `GET /v2/capabilities`: what the original's SQL storage can do; ours can as well.

use super::accept::Representation;
use super::error::Fault;
use super::received::Received;
use actix_web::HttpResponse;

const JSON: &str =
    "{\"api\": {\"events:query:simple\": true}, \"event_storage\": {\"storage:production_ready\": true}}";

const XML: &str = "<result><api><item><key>events:query:simple</key><value>true</value></item></api>\
     <event_storage><item><key>storage:production_ready</key><value>true</value></item></event_storage></result>";

/// Answers everybody.
pub(super) async fn list_capabilities(to: Representation, received: Received) -> Result<HttpResponse, Fault> {
    received.refuse_arguments()?;
    let body = if to.is_xml() { XML } else { JSON };
    Ok(HttpResponse::Ok().content_type(to.content_type()).body(body))
}
