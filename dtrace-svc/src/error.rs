//! What a request can fail with.

use crate::executor::Diagnostic;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use shared::body::BodyError;
use shared::db::DbError;

/// Everything a request can fail with (contract `dtrace`, section 2). The original sent bare statuses; ours add a
/// JSON text for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body, a header or the path is wrong; the text goes to the client.
    #[error("{0}")]
    Invalid(String),
    /// The caller holds no pattern that allows this permission.
    #[error("not permitted: {0}")]
    Forbidden(String),
    /// No such script, metadata or run.
    #[error("{0} not found")]
    NotFound(String),
    /// The path has no such method; the methods it has.
    #[error("method not allowed")]
    MethodNotAllowed(&'static str),
    /// Neither JSON nor msgpack will do.
    #[error("this can be answered as application/json or application/x-msgpack only")]
    NotAcceptable,
    /// The script is another than the one `If-Match` names.
    #[error("the script has changed")]
    Changed,
    /// The body, or the script with it, is larger than this service takes.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// The body is neither JSON nor msgpack, or encoded in an unknown way.
    #[error("the body must be application/json or application/x-msgpack, plain or gzip")]
    UnsupportedType,
    /// The tracer refuses the script; its text goes to the client.
    #[error("{text}")]
    Script {
        /// What the tracer said.
        text: String,
        /// Line of the script, from 1.
        line: Option<u32>,
        /// Column, from 1.
        column: Option<u32>,
    },
    /// This machine has no tracer for the script; what is missing goes to the client.
    #[error("{0}")]
    NoTracer(String),
    /// A limit on what may go on at once is reached.
    #[error("{0}")]
    Busy(String),
    /// Storage is busy or away; the client should come again.
    #[error("storage unavailable")]
    Unavailable(String),
    /// A fault of ours. The cause goes to the log, never to the client.
    #[error("storage failed")]
    Storage(String),
}

impl From<Diagnostic> for Error {
    fn from(refused: Diagnostic) -> Self {
        match refused {
            Diagnostic { text, is_without_tracer: true, .. } => Self::NoTracer(text),
            Diagnostic { text, line, column, .. } => Self::Script { text, line, column },
        }
    }
}

impl From<DbError> for Error {
    fn from(cause: DbError) -> Self {
        match cause {
            DbError::Unavailable(cause) => Self::Unavailable(cause),
            DbError::Query(cause) => Self::Storage(cause.to_string()),
        }
    }
}

impl From<StoreError> for Error {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::Database(cause) => cause.into(),
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Changed => Self::Changed,
            StoreError::Refused(refused) => refused.into(),
        }
    }
}

impl From<BodyError> for Error {
    fn from(cause: BodyError) -> Self {
        match cause {
            BodyError::TooLarge(most) => Self::TooLarge(most),
            BodyError::Busy => Self::Busy(cause.to_string()),
            BodyError::Encoding(_) => Self::UnsupportedType,
            BodyError::Broken(text) => Self::Invalid(text),
        }
    }
}

impl From<crate::model::Refused> for Error {
    fn from(cause: crate::model::Refused) -> Self {
        match cause {
            crate::model::Refused::Invalid(text) => Self::Invalid(text),
            crate::model::Refused::TooLarge(most) => Self::TooLarge(most),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Changed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Script { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            // 503 would be a service out of order, which gateways leave alone for a while; all else works here.
            Self::NoTracer(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Storage(_) | Self::Unavailable(_) = self {
            log::error!("{self:?}");
        }
        let mut answer = HttpResponse::build(self.status_code());
        if let Self::Unavailable(_) | Self::Busy(_) = self {
            answer.insert_header(("retry-after", "1"));
        }
        if let Self::MethodNotAllowed(methods) = self {
            answer.insert_header(("allow", *methods));
        }
        if let Self::Script { text, line: Some(line), column } = self {
            return answer.json(json!({ "error": text, "line": line, "column": column }));
        }
        answer.json(json!({ "error": self.to_string() }))
    }
}
