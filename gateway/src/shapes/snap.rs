//! Errors of plugins, metrics, tasks and tribe: plain text from the router, an envelope in version 1, a bare object
//! in version 2, and one text for a wrong password in both (`snap-plugins`, sections 1.1, 1.9 and 2).

use super::text;
use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

const VERSION_2: &str = "application/json; version=2; charset=utf-8";

/// The original's words, which send its users to the right flag.
const NOT_AUTHORIZED: &str = "Not authorized. Please specify the same password that used to start snapteld. \
    E.g: [snaptel -p plugin list] or [curl http://localhost:8181/v2/plugins -u snap]";

pub(super) fn answer_v1(fault: &Fault) -> Response<Body> {
    router_answer(fault).unwrap_or_else(|| {
        let (words, status) = (fault.to_string(), fault.status().as_u16());
        let envelope = json!({
            "meta": { "code": status, "message": words, "type": "error", "version": 1 },
            "body": { "message": words, "fields": {} },
        });
        let mut answer = text(fault, "application/json", pretty(&envelope));
        answer.headers_mut().insert(HeaderName::from_static("deprecated"), HeaderValue::from_static("true"));
        answer
    })
}

pub(super) fn answer_v2(fault: &Fault) -> Response<Body> {
    router_answer(fault).unwrap_or_else(|| {
        let object = json!({ "message": fault.to_string(), "fields": {} });
        beta(text(fault, VERSION_2, pretty(&object) + "\n"))
    })
}

/// What the original says before any handler runs.
fn router_answer(fault: &Fault) -> Option<Response<Body>> {
    match fault {
        Fault::NotFound => Some(text(fault, "text/plain; charset=utf-8", "404 page not found\n".into())),
        Fault::MethodNotAllowed(_) => {
            Some(text(fault, "text/plain; charset=utf-8", "Method Not Allowed\n".into()))
        }
        Fault::Unauthorized(_) => {
            let object = json!({ "code": 401, "message": NOT_AUTHORIZED });
            Some(beta(text(fault, VERSION_2, pretty(&object))))
        }
        Fault::BadRequest(_)
        | Fault::Forbidden(_)
        | Fault::Conflict(_)
        | Fault::Stalled
        | Fault::TooManyHeaders(_)
        | Fault::TooLarge(_)
        | Fault::TooMany { .. }
        | Fault::Unreachable(_)
        | Fault::Busy { .. }
        | Fault::NotInstalled(_)
        | Fault::TimedOut(_)
        | Fault::StoreAway => None,
    }
}

fn beta(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(HeaderName::from_static("version"), HeaderValue::from_static("beta"));
    answer
}

/// Indented by two, as the original prints.
fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
