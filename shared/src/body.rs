//! Reading a request's body with a bound, inflated when the client says so.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::{Bytes, Payload};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use std::io::Read;

/// Why a body was not taken. Each service turns it into an error of its own API's shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the bound, as sent or as inflated.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// `Content-Encoding` names something other than gzip.
    #[error("content encoding {0} is not supported")]
    Encoding(String),
    /// The body broke off, or is not the gzip it says it is.
    #[error("{0}")]
    Broken(String),
}

/// The whole body, at most `most` bytes as sent and as inflated (`Content-Encoding: gzip`).
///
/// # Errors
/// [`BodyError`].
pub async fn read(req: &HttpRequest, mut payload: Payload, most: usize) -> Result<Bytes, BodyError> {
    let is_gzip = match req.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => false,
        Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => true,
        Some(name) => return Err(BodyError::Encoding(name.to_owned())),
    };
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|cause| BodyError::Broken(format!("the body cannot be read: {cause}")))?;
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    if is_gzip {
        // Inflating is work: it goes to the blocking pool.
        let inflated = tokio::task::spawn_blocking(move || inflate(&body, most)).await;
        body = inflated.map_err(|cause| BodyError::Broken(cause.to_string()))??;
    }
    Ok(body.into())
}

fn inflate(body: &[u8], most: usize) -> Result<Vec<u8>, BodyError> {
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(body).take(bound).read_to_end(&mut inflated);
    read.map_err(|cause| BodyError::Broken(format!("the body is not valid gzip: {cause}")))?;
    if inflated.len() > most { Err(BodyError::TooLarge(most)) } else { Ok(inflated) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn inflating_stops_at_the_bound() {
        assert_eq!(inflate(&gzip(b"abc"), 3).unwrap(), b"abc");
        assert_eq!(inflate(&gzip(&[0; 1 << 20]), 1 << 10), Err(BodyError::TooLarge(1024)));
        assert!(matches!(inflate(b"not gzip", 100), Err(BodyError::Broken(_))));
        let mut cut = gzip(b"abc");
        cut.truncate(12);
        assert!(matches!(inflate(&cut, 100), Err(BodyError::Broken(_))));
    }
}
