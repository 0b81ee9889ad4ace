//! Reading a body with a bound, inflated when the client says so.

use crate::error::Error;
use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::{Bytes, Payload};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use std::io::Read;

/// The whole body, at most `most` bytes as sent and as inflated (`Content-Encoding: gzip`).
///
/// # Errors
/// [`Error::TooLarge`], [`Error::UnsupportedType`] for an unknown encoding, [`Error::Invalid`] for a body that breaks
/// off or bad gzip.
pub(crate) async fn read(req: &HttpRequest, mut payload: Payload, most: usize) -> Result<Bytes, Error> {
    let is_gzip = match req.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => false,
        Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => true,
        Some(_unknown) => return Err(Error::UnsupportedType),
    };
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|cause| Error::Invalid(format!("the body cannot be read: {cause}")))?;
        if body.len() + chunk.len() > most {
            return Err(Error::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    if is_gzip {
        // Inflating is work: it goes to the blocking pool.
        let inflated = tokio::task::spawn_blocking(move || inflate(&body, most)).await;
        body = inflated.map_err(|cause| Error::Storage(cause.to_string()))??;
    }
    Ok(body.into())
}

fn inflate(body: &[u8], most: usize) -> Result<Vec<u8>, Error> {
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(body).take(bound).read_to_end(&mut inflated);
    read.map_err(|cause| Error::Invalid(format!("the body is not valid gzip: {cause}")))?;
    if inflated.len() > most { Err(Error::TooLarge(most)) } else { Ok(inflated) }
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
        assert!(matches!(inflate(&gzip(&[0; 1 << 20]), 1 << 10), Err(Error::TooLarge(1024))));
        assert!(matches!(inflate(b"not gzip", 100), Err(Error::Invalid(_))));
        let mut cut = gzip(b"abc");
        cut.truncate(12);
        assert!(matches!(inflate(&cut, 100), Err(Error::Invalid(_))));
    }
}
