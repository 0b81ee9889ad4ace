//! Everything the gateway itself refuses a request for. How the refusal looks is the matter of [`crate::shapes`].

use hyper::StatusCode;
use hyper::header::HeaderValue;

/// Why a request was not forwarded, or got no answer. The text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The request itself is malformed.
    #[error("{0}")]
    BadRequest(&'static str),
    /// No credentials, or wrong ones.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The caller may not do this, or a foreign web page asked.
    #[error("{0}")]
    Forbidden(String),
    /// Nobody owns the path.
    #[error("The resource could not be found.")]
    NotFound,
    /// It would contradict what is there.
    #[error("{0}")]
    Conflict(&'static str),
    /// The path has other methods.
    #[error("The method is not allowed for this resource.")]
    MethodNotAllowed(HeaderValue),
    /// The client stopped in the middle of its body.
    #[error("The rest of the request body did not arrive in time.")]
    Stalled,
    /// More headers than services take.
    #[error("The request has more than {0} headers.")]
    TooManyHeaders(usize),
    /// The body is over the limit.
    #[error("The request body is larger than {0} bytes.")]
    TooLarge(u64),
    /// This client asks too often.
    #[error("Too many requests.")]
    TooMany {
        /// Seconds after which it may ask again.
        retry_after_secs: u64,
    },
    /// A replica could not be reached, or broke off.
    #[error("The {0} service could not be reached.")]
    Unreachable(&'static str),
    /// More is under way than the area takes at once, or its replicas are resting.
    #[error("The {service} service is busy or recovering.")]
    Busy {
        /// The service.
        service: &'static str,
        /// Seconds after which asking again makes sense.
        retry_after_secs: u64,
    },
    /// No such service here.
    #[error("The {0} service is not part of this installation.")]
    NotInstalled(&'static str),
    /// The service took too long.
    #[error("The {0} service did not answer in time.")]
    TimedOut(&'static str),
    /// The gateway's own store is away. The cause goes to the log.
    #[error("Logins cannot be checked at the moment.")]
    StoreAway,
}

impl Fault {
    /// The status of the answer.
    #[must_use]
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyHeaders(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Self::Busy { .. } | Self::NotInstalled(_) | Self::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Seconds for `Retry-After`, where waiting helps.
    #[must_use]
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_secs } | Self::Busy { retry_after_secs, .. } => {
                Some(*retry_after_secs)
            }
            Self::StoreAway => Some(1),
            Self::BadRequest(_)
            | Self::Unauthorized(_)
            | Self::Forbidden(_)
            | Self::NotFound
            | Self::Conflict(_)
            | Self::MethodNotAllowed(_)
            | Self::Stalled
            | Self::TooManyHeaders(_)
            | Self::TooLarge(_)
            | Self::Unreachable(_)
            | Self::NotInstalled(_)
            | Self::TimedOut(_) => None,
        }
    }
}
