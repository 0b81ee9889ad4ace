//! What a request can fail with.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;
use shared::body::BodyError;
use shared::db::DbError;
use shared::server::WELL;

/// Everything a request can fail with (streams-events-v1.md, section 1).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query string, the path or the body is wrong; the text goes to the client.
    #[error("{0}")]
    Invalid(String),
    /// The body is larger than this service takes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// No such stream.
    #[error("stream {0} not found")]
    NotFound(i64),
    /// Somebody else changed the stream at the same time.
    #[error("stream {0} was changed at the same time")]
    Conflict(i64),
    /// There are too many of the kind; the client should come again.
    #[error("{0}")]
    Busy(String),
    /// Storage is busy or away; the client should come again.
    #[error("storage unavailable")]
    Unavailable(String),
    /// A fault of ours. The cause goes to the log, never to the client.
    #[error("storage failed")]
    Storage(String),
}

impl From<BodyError> for Error {
    fn from(cause: BodyError) -> Self {
        match cause {
            BodyError::TooLarge(most) => Self::TooLarge(most),
            BodyError::Busy => Self::Busy(cause.to_string()),
            BodyError::Encoding(_) | BodyError::Broken(_) => Self::Invalid(cause.to_string()),
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

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Storage(_) | Self::Unavailable(_) = self {
            log::error!("{self:?}");
        }
        let status = self.status_code();
        let mut answer = HttpResponse::build(status);
        if let Self::Busy(_) | Self::Unavailable(_) = self {
            answer.insert_header(("Retry-After", "1"));
        }
        if let Self::Busy(_) = self {
            answer.insert_header((WELL, "1"));
        }
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({ "title": title, "description": self.to_string() });
        answer.content_type("application/json; charset=utf-8").body(body.to_string())
    }
}
