//! How refusals look to clients of OAuth 2 (RFC 6749, section 5.2; contract `dtrace`, section 5).

use crate::body::Body;
use crate::fault::Fault;
use crate::pages::{object, unstored};
use hyper::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

/// The word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Something is missing, malformed, or there twice.
    InvalidRequest,
    /// The client is unknown, or its secret wrong.
    InvalidClient,
    /// The client may not do this.
    UnauthorizedClient,
    /// The code or refresh token is not good.
    InvalidGrant,
    /// No such scope, or not this one.
    InvalidScope,
    /// The user's name or password is wrong. Quirk: the original's word; the RFC's would be `invalid_grant`.
    AccessDenied,
    /// No answer of this type is given.
    UnsupportedResponseType,
    /// Tokens of this type are revoked elsewhere (RFC 7009, section 2.2.1).
    UnsupportedTokenType,
    /// Try again later.
    TemporarilyUnavailable,
}

impl Code {
    /// As it is written.
    #[must_use]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::InvalidScope
            | Self::AccessDenied
            | Self::UnsupportedResponseType
            | Self::UnsupportedTokenType => StatusCode::BAD_REQUEST,
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::UnauthorizedClient => StatusCode::FORBIDDEN,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OAuthError {
    /// The word for programs.
    pub(super) code: Code,
    description: String,
    status: StatusCode,
    retry_after_secs: Option<u64>,
}

impl OAuthError {
    pub(super) fn new(code: Code, description: &str) -> Self {
        Self { code, description: description.to_owned(), status: code.status(), retry_after_secs: None }
    }

    /// The answer that says so.
    #[must_use]
    pub(super) fn answer(&self) -> Response<Body> {
        let body = json!({ "error": self.code.name(), "error_description": self.description });
        let mut answer = unstored(object(&body));
        *answer.status_mut() = self.status;
        if self.code == Code::InvalidClient {
            answer
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"quintet\""));
        }
        if let Some(secs) = self.retry_after_secs {
            answer.headers_mut().insert(RETRY_AFTER, secs.into());
        }
        answer
    }
}

impl From<Fault> for OAuthError {
    fn from(fault: Fault) -> Self {
        let status = fault.status();
        let is_late = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let code = if is_late { Code::TemporarilyUnavailable } else { Code::InvalidRequest };
        let retry_after_secs = fault.retry_after_secs();
        Self { code, description: fault.to_string(), status, retry_after_secs }
    }
}
