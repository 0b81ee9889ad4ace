//! Errors of events v2: a fault object, or a text for faults of the access and routing layer, both in the language
//! that `Accept` asks for (`events-v2`, section 4).

use super::{Asked, text};
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use shared::accept::Accept;

const JSON: &str = "application/json";
const XML: &str = "application/xml";
const TEXT_XML: &str = "text/xml";

/// Header with the request's id in `OpenStack`'s form; clients read it from every answer under `/v2`.
pub(crate) const REQUEST_ID: &str = "x-openstack-request-id";

pub(super) fn answer(fault: &Fault, asked: &Asked) -> Response<Body> {
    let accepted = Accepted::read(&asked.accept());
    let mut answer = if accepted.is_xml {
        text(fault, XML, format!("<error_message>{}</error_message>", xml(fault, &accepted)))
    } else {
        text(fault, JSON, json!({ "error_message": message(fault, &accepted) }).to_string())
    };
    if let Fault::Unauthorized(_) = fault {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"quintet\""));
    }
    let id = format!("req-{}", uuid::Uuid::new_v4());
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
    }
    answer
}

/// Whether the original's access or routing layer says this, not its controllers.
fn is_layer_fault(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::NotFound | Fault::MethodNotAllowed(_) | Fault::Unauthorized(_) | Fault::Forbidden(_)
    )
}

fn message(fault: &Fault, accepted: &Accepted) -> Value {
    if is_layer_fault(fault) {
        return layer_message(fault, accepted.page);
    }
    if accepted.is_answer_xml {
        return fault_element(fault).into();
    }
    json!({ "faultcode": fault_code(fault), "faultstring": fault.to_string(), "debuginfo": null })
}

fn fault_code(fault: &Fault) -> &'static str {
    if fault.status().is_server_error() { "Server" } else { "Client" }
}

fn layer_message(fault: &Fault, page: Page) -> Value {
    let status = fault.status();
    let title = status.canonical_reason().unwrap_or_default();
    match page {
        Page::Object => {
            let detail =
                matches!(fault, Fault::Unauthorized(_) | Fault::Forbidden(_)).then(|| fault.to_string());
            json!({ "code": status.as_u16(), "title": title, "description": detail })
        }
        Page::Html => html(fault).into(),
        Page::Text => format!("{status}\n\n{fault}\n").into(),
    }
}

fn html(fault: &Fault) -> String {
    let status = fault.status();
    format!(
        "<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n  {}\n </body>\n</html>",
        escaped(&fault.to_string())
    )
}

fn xml(fault: &Fault, accepted: &Accepted) -> String {
    match (is_layer_fault(fault), accepted.page) {
        (false, _) if accepted.is_answer_xml => fault_element(fault),
        // Quirk: an HTML page passes for XML; what is neither is replaced by the bare status.
        (true, Page::Html) => html(fault),
        (true | false, _) => fault.status().as_u16().to_string(),
    }
}

fn fault_element(fault: &Fault) -> String {
    format!(
        "<error><faultcode>{}</faultcode><faultstring>{}</faultstring><debuginfo/></error>",
        fault_code(fault),
        escaped(&fault.to_string())
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a request accepts, as far as errors look at it. Chosen as the event service chooses, which knows the original's
/// libraries: the same request gets the same form from both.
struct Accepted {
    is_xml: bool,
    /// Whether a 200 would be XML: then a fault object is written so, even within JSON.
    is_answer_xml: bool,
    page: Page,
}

/// The form of a fault of the access and routing layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Object,
    Html,
    Text,
}

impl Accepted {
    fn read(header: &str) -> Self {
        let accept = Accept::parse(header);
        let answer =
            if matches!(accept.text(), "" | "*/*") { None } else { accept.preferred(&[XML, TEXT_XML, JSON]) };
        let page = match accept.acceptable(&["text/html", JSON]) {
            Some(JSON) => Page::Object,
            Some(_) => Page::Html,
            None => Page::Text,
        };
        Self { is_xml: accept.ranks(XML, JSON), is_answer_xml: matches!(answer, Some(XML | TEXT_XML)), page }
    }
}
