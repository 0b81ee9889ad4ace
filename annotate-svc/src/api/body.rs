//! Reading a body with a bound.

use crate::error::Error;
use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt;

/// The whole body, at most `most` bytes, whatever its content type.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::Encoding`], or [`Error::Invalid`] for a body that breaks off.
pub(super) async fn read(req: &HttpRequest, mut payload: Payload, most: usize) -> Result<Bytes, Error> {
    match req.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => {}
        Some(name) => return Err(Error::Encoding(name.to_owned())),
    }
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|cause| Error::Invalid(format!("the body cannot be read: {cause}")))?;
        if body.len() + chunk.len() > most {
            return Err(Error::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}
