//! What clients send to pages: parts of paths, arguments, bodies. Everything is bounded, and a text that no engine
//! could store is refused here.

use crate::fault::Fault;
use crate::routes::decoded;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::{Body, Incoming};
use serde_json::{Map, Value};

/// Bytes of a body.
const BODY_BYTES: usize = 64 << 10;

/// Rows in one answer, when nothing else is asked for and at most.
const PAGE: i64 = 100;
const LONGEST_PAGE: i64 = 1000;

const NOT_AN_OBJECT: Fault = Fault::BadRequest("Expected a JSON object.");

/// The whole body.
///
/// # Errors
/// [`Fault::TooLarge`], or [`Fault::BadRequest`] when it broke off.
pub(super) async fn body(request: &mut Request<Incoming>) -> Result<Bytes, Fault> {
    let limit_bytes = u64::try_from(BODY_BYTES).unwrap_or(u64::MAX);
    if request.body().size_hint().lower() > limit_bytes {
        return Err(Fault::TooLarge(limit_bytes));
    }
    let body = Limited::new(request.body_mut(), BODY_BYTES).collect().await;
    let body = body.map_err(|cause| {
        if cause.is::<http_body_util::LengthLimitError>() {
            Fault::TooLarge(limit_bytes)
        } else {
            Fault::BadRequest("The request body is malformed or broke off.")
        }
    })?;
    Ok(body.to_bytes())
}

/// The body as a JSON object.
///
/// # Errors
/// As [`body`], and [`Fault::BadRequest`] when it is none.
pub(super) async fn members(request: &mut Request<Incoming>) -> Result<Map<String, Value>, Fault> {
    serde_json::from_slice(&body(request).await?).map_err(|_cause| NOT_AN_OBJECT)
}

/// The text of a member; `None` when it is missing or null.
///
/// # Errors
/// [`Fault::BadRequest`] when it is no text.
pub(super) fn member(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Fault> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Fault::BadRequest("Names, passwords and ids must be texts.")),
    }
}

/// A part of the path or query, decoded.
///
/// # Errors
/// [`Fault::BadRequest`] for what could not be stored, and so is not there either.
pub(super) fn storable(part: &str) -> Result<String, Fault> {
    let text = decoded(part).into_owned();
    if text.contains('\0') {
        Err(Fault::BadRequest("A zero byte cannot be part of a name."))
    } else {
        Ok(text)
    }
}

/// An argument of the query, decoded.
#[must_use]
pub(super) fn argument(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(own, _)| *own == name)?;
    Some(decoded(&value.replace('+', " ")).replace('\0', ""))
}

/// The argument `limit`.
///
/// # Errors
/// [`Fault::BadRequest`] when it is no number from 1 to 1000.
pub(super) fn limit(query: &str) -> Result<i64, Fault> {
    let limit = argument(query, "limit").map_or(Ok(PAGE), |limit| limit.parse());
    let limit = limit.ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
    limit.ok_or(Fault::BadRequest("limit: expected 1 to 1000"))
}
