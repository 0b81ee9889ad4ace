//! What a v1 request can fail with; v2 has its own shapes in `api/v2/error.rs`.

use crate::store::StoreError;
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;
use shared::body::BodyError;
use shared::commit::CommitError;
use shared::db::DbError;
use shared::server::WELL;

/// Everything a v1 or internal request can fail with (streams-events-v1.md, section 1).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The query string, the path or the body is wrong; the text goes to the client.
    #[error("{0}")]
    Invalid(String),
    /// The body is larger than this service takes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body holds more notifications than are taken at once.
    #[error("more than {0} notifications at once: send them in parts")]
    TooMany(usize),
    /// No such event or letter.
    #[error("{0} not found")]
    NotFound(String),
    /// Too many bodies are in hand; the client should come again.
    #[error("{}", BodyError::Busy)]
    Busy,
    /// Storage is busy or away; the client should come again.
    #[error("storage unavailable")]
    Unavailable(String),
    /// The search was given up.
    #[error("{}", StoreError::TooLong)]
    TooLong,
    /// A fault of ours. The cause goes to the log, never to the client.
    #[error("storage failed")]
    Storage(String),
}

impl From<BodyError> for Error {
    fn from(cause: BodyError) -> Self {
        match cause {
            BodyError::TooLarge(most) => Self::TooLarge(most),
            BodyError::Busy => Self::Busy,
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

impl From<StoreError> for Error {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::Database(cause) => cause.into(),
            StoreError::MarkerNotFound(_) => Self::Invalid(cause.to_string()),
            StoreError::TooLong => Self::TooLong,
        }
    }
}

impl From<CommitError> for Error {
    fn from(cause: CommitError) -> Self {
        match cause {
            CommitError::Busy => Self::Unavailable(cause.to_string()),
            CommitError::Unavailable(cause) => Self::Unavailable(cause),
            CommitError::Storage(cause) => Self::Storage(cause),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) | Self::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Busy | Self::Unavailable(_) | Self::TooLong => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Storage(_) | Self::Unavailable(_) = self {
            log::error!("{self:?}");
        }
        let status = self.status_code();
        let mut answer = HttpResponse::build(status);
        if let Self::Busy | Self::Unavailable(_) = self {
            answer.insert_header(("Retry-After", "1"));
        }
        if let Self::Busy | Self::TooLong = self {
            answer.insert_header((WELL, "1"));
        }
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({ "title": title, "description": self.to_string() });
        answer.content_type("application/json; charset=utf-8").body(body.to_string())
    }
}
