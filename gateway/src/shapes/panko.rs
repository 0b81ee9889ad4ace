//! Errors of events v2: a fault object, or a text for faults of the access and routing layer, both in the language
//! that `Accept` asks for (`events-v2`, section 4).

use super::{Asked, text};
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};

/// Header with the request's id in `OpenStack`'s form; clients read it from every answer under `/v2`.
pub(crate) const REQUEST_ID: &str = "x-openstack-request-id";

pub(super) fn answer(fault: &Fault, asked: &Asked) -> Response<Body> {
    let accept = Accept::read(asked.accept());
    let mut answer = if accept.prefers_xml {
        text(fault, "application/xml; charset=UTF-8", xml(fault))
    } else {
        let message = if is_layer_fault(fault) { layer_message(fault, accept) } else { fault_object(fault) };
        text(fault, "application/json", json!({ "error_message": message }).to_string())
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

fn fault_object(fault: &Fault) -> Value {
    json!({ "faultcode": fault_code(fault), "faultstring": fault.to_string(), "debuginfo": null })
}

fn fault_code(fault: &Fault) -> &'static str {
    if fault.status().is_server_error() { "Server" } else { "Client" }
}

fn layer_message(fault: &Fault, accept: Accept) -> Value {
    let status = fault.status();
    let title = status.canonical_reason().unwrap_or_default();
    match accept.wants {
        Wants::Object => {
            let detail = matches!(fault, Fault::Unauthorized(_) | Fault::Forbidden(_)).then(|| fault.to_string());
            json!({ "code": status.as_u16(), "title": title, "description": detail })
        }
        Wants::Html => format!(
            "<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n  {}\n </body>\n</html>",
            escaped(&fault.to_string())
        )
        .into(),
        Wants::Text => format!("{status}\n\n{fault}\n").into(),
    }
}

fn xml(fault: &Fault) -> String {
    if is_layer_fault(fault) {
        return format!("<error_message>{}</error_message>", fault.status().as_u16());
    }
    format!(
        "<error_message><error><faultcode>{}</faultcode><faultstring>{}</faultstring><debuginfo/></error></error_message>",
        fault_code(fault),
        escaped(&fault.to_string())
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What a request accepts, as far as errors look at it.
#[derive(Debug, Clone, Copy)]
struct Accept {
    prefers_xml: bool,
    wants: Wants,
}

/// The form of `error_message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Object,
    Html,
    Text,
}

impl Accept {
    fn read(header: Option<&str>) -> Self {
        let ranges: Vec<(String, f32)> = header.unwrap_or_default().split(',').filter_map(range).collect();
        let names = |names: &[&str]| ranges.iter().any(|(range, _)| names.contains(&range.as_str()));
        let wants = if names(&["application/json", "application/*"]) {
            Wants::Object
        } else if names(&["*/*", "text/html"]) {
            Wants::Html
        } else {
            Wants::Text
        };
        let quality = |name: &str| {
            let of =
                |wanted: &str| ranges.iter().find(|(range, _)| range == wanted).map(|(_, quality)| *quality);
            of(name).or_else(|| of("application/*")).or_else(|| of("*/*")).unwrap_or(0.0)
        };
        Self { prefers_xml: quality("application/xml") > quality("application/json"), wants }
    }
}

/// One media range with its quality, lower case; parameters other than `q` say nothing here.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    Some((name, quality))
}
