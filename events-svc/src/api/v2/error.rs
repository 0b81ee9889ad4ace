//! What a v2 request can fail with, and how the client reads it (events-v2.md, section 4).
//!
//! A fault is dressed when the whole answer is made ([`super::dress`]): its shape depends on the request's `Accept`.

use super::accept::{Accept, Page, Representation};
use super::xml;
use crate::store::StoreError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};
use shared::body::BodyError;
use shared::commit::CommitError;
use shared::db::DbError;
use shared::server::WELL;

/// Everything a v2 request can fail with.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No route has this path.
    #[error("")]
    NoSuchPath,
    /// The path has no such method; the second part is what it has.
    #[error("The method {0} is not allowed for this resource.")]
    MethodNotAllowed(Method, &'static str),
    /// No representation that the client accepts.
    #[error("")]
    NotAcceptable,
    /// The URL is not UTF-8.
    #[error("")]
    Malformed,
    /// User or project are missing.
    #[error("RBAC Authorization Failed")]
    Forbidden,
    /// Only an admin may see this; the caller's project is named.
    #[error("Not Authorized to access project {0}")]
    NotAdmin(String),
    /// An argument or the body is wrong; the text goes to the client.
    #[error("{0}")]
    Invalid(String),
    /// A body in a language that is not read here.
    #[error("Unknown mimetype: {0}")]
    UnknownMimetype(String),
    /// The body is larger than this service takes, in bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body holds more events than are taken at once.
    #[error("more than {0} events at once: send them in parts")]
    TooMany(usize),
    /// The search was given up.
    #[error("{}", StoreError::TooLong)]
    TooLong,
    /// No event has this id, or the caller may not see it.
    #[error("Event {0} Not Found")]
    EventNotFound(String),
    /// A route of the contract that has never held anything.
    #[error("The resource could not be found.")]
    NothingHere,
    /// Too many bodies are in hand; the client should come again.
    #[error("{}", BodyError::Busy)]
    Busy,
    /// Storage is busy or away; the client should come again.
    #[error("storage unavailable")]
    Unavailable(String),
    /// A fault of ours. The cause goes to the log, never to the client.
    #[error("storage failed")]
    Storage(String),
}

/// Which layer of the original raises the fault; each wraps it in its own way.
enum Layer {
    /// Routing and access: a page; the text says more than the status line.
    Access(&'static str),
    /// The API itself: faultcode and faultstring.
    Api(&'static str),
}

impl Fault {
    /// The answer for a client that accepts this.
    pub(super) fn answer(&self, accept: &Accept) -> HttpResponse {
        if let Self::Unavailable(_) | Self::Storage(_) = self {
            log::error!("{self:?}");
        }
        let mut answer = HttpResponse::build(self.status_code());
        if let Self::MethodNotAllowed(_, allowed) = self {
            answer.insert_header((header::ALLOW, *allowed));
        }
        if let Self::Busy | Self::Unavailable(_) = self {
            answer.insert_header((header::RETRY_AFTER, "1"));
        }
        if let Self::Busy | Self::TooLong = self {
            answer.insert_header((WELL, "1"));
        }
        if accept.prefers_xml_error() {
            let body = format!("<error_message>{}</error_message>", self.xml(accept));
            return answer.content_type("application/xml").body(body);
        }
        let body = json!({ "error_message": self.json(accept) });
        answer.content_type("application/json").body(body.to_string())
    }

    fn layer(&self) -> Layer {
        match self {
            Self::NoSuchPath => Layer::Access("The resource could not be found."),
            Self::MethodNotAllowed(..) => Layer::Access(""),
            Self::NotAcceptable => {
                Layer::Access("No representation of the resource is acceptable to the client.")
            }
            Self::Malformed => Layer::Access("The request is malformed."),
            Self::Forbidden => Layer::Access("Access was denied to this resource."),
            Self::NotAdmin(_) => Layer::Access("The caller may not use this resource."),
            Self::Invalid(_)
            | Self::UnknownMimetype(_)
            | Self::TooLarge(_)
            | Self::TooMany(_)
            | Self::EventNotFound(_)
            | Self::NothingHere => Layer::Api("Client"),
            Self::Busy | Self::Unavailable(_) | Self::TooLong | Self::Storage(_) => Layer::Api("Server"),
        }
    }

    fn xml(&self, accept: &Accept) -> String {
        match (self.layer(), accept.representation(), accept.page()) {
            (Layer::Api(code), Some(Representation::Xml | Representation::TextXml), _) => {
                self.xml_fault(code)
            }
            // Quirk: an HTML page passes for XML; what is neither is replaced by the bare status.
            (Layer::Access(explanation), _, Page::Html) => self.html(explanation),
            (Layer::Api(_) | Layer::Access(_), _, _) => self.status_code().as_u16().to_string(),
        }
    }

    fn json(&self, accept: &Accept) -> Value {
        match (self.layer(), accept.representation()) {
            (Layer::Api(code), Some(Representation::Xml | Representation::TextXml)) => {
                self.xml_fault(code).into()
            }
            (Layer::Api(code), Some(Representation::Json) | None) => {
                json!({ "faultcode": code, "faultstring": self.to_string(), "debuginfo": null })
            }
            (Layer::Access(explanation), _) => self.page(accept.page(), explanation),
        }
    }

    fn xml_fault(&self, code: &str) -> String {
        let text = xml::escaped(&self.to_string());
        format!("<error><faultcode>{code}</faultcode><faultstring>{text}</faultstring><debuginfo/></error>")
    }

    fn page(&self, page: Page, explanation: &str) -> Value {
        let (status, detail) = (self.status_code(), self.to_string());
        match page {
            Page::Object => {
                let title = status.canonical_reason().unwrap_or_default();
                let description = Some(detail).filter(|detail| !detail.is_empty());
                json!({ "code": status.as_u16(), "title": title, "description": description })
            }
            Page::Html => self.html(explanation).into(),
            Page::Plain => format!("{status}\n\n{explanation}\n\n {detail}  ").into(),
        }
    }

    fn html(&self, explanation: &str) -> String {
        let (status, detail) = (self.status_code(), xml::escaped(&self.to_string()));
        format!(
            "<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n  \
             {explanation}<br/><br/>\n{detail}\n </body>\n</html>"
        )
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::EventNotFound(_) | Self::NothingHere => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(..) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Malformed | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotAdmin(_) => StatusCode::UNAUTHORIZED,
            Self::UnknownMimetype(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) | Self::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy | Self::Unavailable(_) | Self::TooLong => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The bare status; [`super::dress`] writes the answer.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<StoreError> for Fault {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::MarkerNotFound(_) => Self::Invalid(cause.to_string()),
            StoreError::TooLong => Self::TooLong,
            StoreError::Database(cause) => cause.into(),
        }
    }
}

impl From<DbError> for Fault {
    fn from(cause: DbError) -> Self {
        match cause {
            DbError::Unavailable(cause) => Self::Unavailable(cause),
            DbError::Query(cause) => Self::Storage(cause.to_string()),
        }
    }
}

impl From<CommitError> for Fault {
    fn from(cause: CommitError) -> Self {
        match cause {
            CommitError::Busy | CommitError::Unavailable(_) => Self::Unavailable(cause.to_string()),
            CommitError::Storage(cause) => Self::Storage(cause),
        }
    }
}

impl From<BodyError> for Fault {
    fn from(cause: BodyError) -> Self {
        match cause {
            BodyError::TooLarge(most) => Self::TooLarge(most),
            BodyError::Busy => Self::Busy,
            BodyError::Encoding(_) | BodyError::Broken(_) => Self::Invalid(cause.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use actix_web::http::header::{ACCEPT, HeaderMap, HeaderValue};

    async fn said(fault: &Fault, accept: &'static str) -> (StatusCode, HeaderMap, String) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let answer = fault.answer(&Accept::of(&headers));
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = to_bytes(answer.into_body()).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn our_own_faults_are_told_without_their_cause() {
        let cause = || "secret-host:5432".to_owned();
        for (fault, status, text) in [
            (DbError::Unavailable(cause()).into(), 503, "storage unavailable"),
            (CommitError::Busy.into(), 503, "storage unavailable"),
            (BodyError::Busy.into(), 503, "too many bodies at once"),
            (CommitError::Unavailable(cause()).into(), 503, "storage unavailable"),
            (CommitError::Storage(cause()).into(), 500, "storage failed"),
            (StoreError::from(diesel::result::Error::NotFound).into(), 500, "storage failed"),
        ] {
            let fault: Fault = fault;
            let (answered, headers, body) = said(&fault, "*/*").await;
            let message = json!({ "faultcode": "Server", "faultstring": text, "debuginfo": null });
            assert_eq!(answered.as_u16(), status);
            assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({ "error_message": message }));
            assert_eq!(headers.contains_key(header::RETRY_AFTER), status == 503);
            assert_eq!(headers.contains_key(WELL), text == "too many bodies at once", "{text}");
            let xml = format!(
                "<error_message><error><faultcode>Server</faultcode><faultstring>{text}</faultstring><debuginfo/>\
                 </error></error_message>"
            );
            assert_eq!(said(&fault, "application/xml").await.2, xml);
        }
    }

    #[actix_web::test]
    async fn markup_in_a_detail_is_escaped() {
        let fault = Fault::NotAdmin("<script>".into());
        let (status, _, body) = said(&fault, "text/html").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(body.contains("project &lt;script&gt;") && !body.contains("<script>"), "{body}");
    }
}
