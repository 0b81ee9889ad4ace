//! `/internal/identity`: whose a token is. Services ask when a client brings its token in a message and not in a header.

use super::{Call, nothing};
use crate::body::Body;
use crate::fault::Fault;
use crate::identity::{Caller, Credentials};
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use shared::config::AuthMode;
use shared::identity::HEADER;
use std::sync::Arc;

/// Answers with the signed identity of the bearer, in the header in which services expect it. Only services may ask;
/// they sign for themselves. Failures are not counted: they are not the service's own, and no guess can succeed.
pub(super) async fn tell(call: Call<'_>) -> Result<Response<Body>, Fault> {
    let gateway = call.gateway();
    let (headers, now) = (call.request.headers(), gateway.clock.now());
    let signed = headers.get(HEADER).and_then(|value| value.to_str().ok());
    let service = signed.and_then(|signed| gateway.key.verify(signed, now).ok());
    if !service.is_some_and(|service| service.subject.starts_with("service:")) {
        return Err(Fault::NotFound);
    }
    let caller = match (gateway.mode, Credentials::read(headers)) {
        (AuthMode::Open, _) => Some(Arc::clone(&gateway.everybody)),
        (AuthMode::Secure, Some(Credentials::Token(token))) => {
            gateway.accounts.token_holder(&token).await?.map(|identity| Arc::new(Caller::of(identity)))
        }
        (AuthMode::Secure, _) => None,
    };
    let caller = caller.ok_or(Fault::Unauthorized("The credentials are not valid."))?;
    let mut answer = nothing(StatusCode::OK);
    if let Ok(signed) = HeaderValue::from_str(&gateway.key.sign(&caller.principal, now)) {
        answer.headers_mut().insert(HEADER, signed);
    }
    Ok(answer)
}
