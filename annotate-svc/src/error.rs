//! What a request can fail with. A mistake of the client in the original's own parts is 500, as the original answers
//! (annotate.md, section 6); in ours it is 4xx.

use crate::engine::WriteError;
use crate::model::{EndsBeforeStart, FilterError, QueryError, Unreadable};
use crate::store::Refusal;
use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;
use shared::body::BodyError;
use shared::commit::CommitError;
use shared::db::DbError;
use shared::server::WELL;

/// Everything a request can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake for which the original answers 500 with this text.
    #[error("{0}")]
    Original(String),
    /// There is no annotation of this id to read.
    #[error("not found")]
    NotFound,
    /// There is no annotation of this id, in the words of the original's first version.
    #[error("elastic: Error 404 (Not Found)")]
    ElasticNotFound(StatusCode),
    /// A mistake in a part that the original does not have.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not do this.
    #[error("not permitted: {0}")]
    Forbidden(String),
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The annotation has another version than the client expects.
    #[error("the annotation has changed: its version is {0}")]
    OtherVersion(i64),
    /// More annotations match than one answer is made of.
    #[error("more than {0} annotations match: narrow the window or the filter")]
    TooMany(usize),
    /// The resource does not have this method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// What the client asks for does not fit the state of things.
    #[error("{0}")]
    Conflict(String),
    /// The idempotency key was used for another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// Nobody else can listen to changes now.
    #[error("too many listeners")]
    TooManyListeners,
    /// Storage is busy or away; the client should come again.
    #[error("storage unavailable")]
    Unavailable(String),
    /// A fault of ours. The cause goes to the log, never to the client.
    #[error("storage failed")]
    Storage(String),
}

impl Error {
    /// A mistake of the client with 400, for answers that are not the original's.
    pub(crate) fn in_usual_status(self) -> Self {
        if let Self::Original(text) = self { Self::Invalid(text) } else { self }
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

impl From<WriteError> for Error {
    fn from(cause: WriteError) -> Self {
        match cause {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Failed(CommitError::Busy) => Self::Unavailable(cause.to_string()),
            WriteError::Failed(CommitError::Unavailable(cause)) => Self::Unavailable(cause),
            WriteError::Failed(CommitError::Storage(cause)) => Self::Storage(cause),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(_) => Self::NotFound,
            Refusal::OtherVersion(version) => Self::OtherVersion(version),
            Refusal::EndsBeforeStart => EndsBeforeStart.into(),
            Refusal::NotDeleted(id) => Self::Conflict(format!("annotation {id} is not deleted")),
            Refusal::KeyReused => Self::KeyReused,
        }
    }
}

impl From<EndsBeforeStart> for Error {
    fn from(cause: EndsBeforeStart) -> Self {
        Self::Original(cause.to_string())
    }
}

impl From<Unreadable> for Error {
    fn from(cause: Unreadable) -> Self {
        match cause {
            Unreadable::Document(..) | Unreadable::Element(..) => Self::Original(cause.to_string()),
            Unreadable::TooMany(_) | Unreadable::Nul(_) => Self::Invalid(cause.to_string()),
        }
    }
}

impl From<FilterError> for Error {
    fn from(cause: FilterError) -> Self {
        Self::Invalid(cause.to_string())
    }
}

impl From<QueryError> for Error {
    fn from(cause: QueryError) -> Self {
        match cause {
            QueryError::UnknownName(_)
            | QueryError::Date(..)
            | QueryError::UnknownVerb(_)
            | QueryError::EmptyMessage => Self::Original(cause.to_string()),
            QueryError::TooManyConditions | QueryError::Invalid(_) => Self::Invalid(cause.to_string()),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Original(_) | Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::ElasticNotFound(status) => *status,
            Self::Invalid(_) | Self::TooMany(_) | Self::Body(BodyError::Broken(_)) => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(BodyError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(BodyError::Encoding(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::OtherVersion(_) => StatusCode::PRECONDITION_FAILED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(_) | Self::TooManyListeners => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if let Self::Storage(_) | Self::Unavailable(_) = self {
            log::error!("{self:?}");
        }
        let mut answer = HttpResponse::build(self.status_code());
        if let Self::Unavailable(_) | Self::TooManyListeners | Self::Body(BodyError::Busy) = self {
            answer.insert_header(("Retry-After", "1"));
        }
        if let Self::TooManyListeners | Self::Body(BodyError::Busy) = self {
            answer.insert_header((WELL, "1"));
        }
        let body = json!({ "error": self.to_string() });
        answer.content_type("application/json").body(format!("{body}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_full_says_nothing_about_the_service() {
        for (error, is_well) in [
            (Error::TooManyListeners, true),
            (Error::Body(BodyError::Busy), true),
            (Error::Unavailable("away".into()), false),
        ] {
            let answer = error.error_response();
            assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
            assert_eq!(answer.headers().contains_key(WELL), is_well, "{error}");
        }
    }
}
