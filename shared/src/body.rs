//! Reading a request's body with a bound, inflated when the client says so. All bodies of the process that are in hand
//! together have a bound too: small gzip bodies can grow large.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::{Bytes, Payload};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use std::io::Read;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most bytes of all bodies in hand, in pieces of [`PIECE`].
const IN_HAND: usize = 256 << 20;

/// What a body's growth is counted in, in bytes.
const PIECE: usize = 64 << 10;

static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(IN_HAND / PIECE)));

/// A body, read whole. It counts as in hand until it is dropped.
#[derive(Debug)]
pub struct Body {
    bytes: Bytes,
    _held: Held,
}

impl Deref for Body {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// The room that a growing body has taken.
#[derive(Debug)]
struct Held {
    room: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn new(room: &Arc<Semaphore>) -> Self {
        Self { room: Arc::clone(room), permit: None }
    }

    /// Takes what a body of `bytes` needs more.
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(PIECE).saturating_sub(held)).unwrap_or(u32::MAX);
        if more > 0 {
            let more =
                Arc::clone(&self.room).try_acquire_many_owned(more).map_err(|_full| BodyError::Busy)?;
            match &mut self.permit {
                Some(permit) => permit.merge(more),
                None => self.permit = Some(more),
            }
        }
        Ok(())
    }
}

/// Why a body was not taken. Each service turns it into an error of its own API's shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the bound, as sent or as inflated.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Too many bytes of bodies are in hand; the client should come again.
    #[error("too many bodies at once")]
    Busy,
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
pub async fn read(req: &HttpRequest, mut payload: Payload, most: usize) -> Result<Body, BodyError> {
    let is_gzip = match req.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("" | "identity") => false,
        Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => true,
        Some(name) => return Err(BodyError::Encoding(name.to_owned())),
    };
    let (mut body, mut held) = (Vec::new(), Held::new(&ROOM));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|cause| BodyError::Broken(format!("the body cannot be read: {cause}")))?;
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLarge(most));
        }
        held.grow(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    if is_gzip {
        // Inflating is work: it goes to the blocking pool.
        let inflated = tokio::task::spawn_blocking(move || inflate(&body, most, &ROOM)).await;
        (body, held) = inflated.map_err(|cause| BodyError::Broken(cause.to_string()))??;
    }
    Ok(Body { bytes: body.into(), _held: held })
}

fn inflate(body: &[u8], most: usize, room: &Arc<Semaphore>) -> Result<(Vec<u8>, Held), BodyError> {
    let (mut inflated, mut held) = (Vec::new(), Held::new(room));
    let mut decoder = MultiGzDecoder::new(body);
    let piece = u64::try_from(PIECE).unwrap_or(u64::MAX);
    loop {
        held.grow(inflated.len() + PIECE)?;
        let read = decoder.by_ref().take(piece).read_to_end(&mut inflated);
        let read = read.map_err(|cause| BodyError::Broken(format!("the body is not valid gzip: {cause}")))?;
        if inflated.len() > most {
            return Err(BodyError::TooLarge(most));
        }
        if read == 0 {
            return Ok((inflated, held));
        }
    }
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

    fn room(pieces: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(pieces))
    }

    #[test]
    fn inflating_stops_at_the_bound() {
        let inflate = |body: &[u8], most| inflate(body, most, &room(100)).map(|(inflated, _held)| inflated);
        assert_eq!(inflate(&gzip(b"abc"), 3).unwrap(), b"abc");
        assert_eq!(inflate(&gzip(&[0; 1 << 20]), 1 << 10), Err(BodyError::TooLarge(1024)));
        assert!(matches!(inflate(b"not gzip", 100), Err(BodyError::Broken(_))));
        let mut cut = gzip(b"abc");
        cut.truncate(12);
        assert!(matches!(inflate(&cut, 100), Err(BodyError::Broken(_))));
    }

    #[test]
    fn bodies_share_their_room_and_give_it_back() {
        let room = room(8);
        let body = gzip(&vec![7; 5 * PIECE]);
        let first = inflate(&body, usize::MAX, &room).unwrap();
        assert_eq!(first.0.len(), 5 * PIECE);
        assert!(matches!(inflate(&body, usize::MAX, &room), Err(BodyError::Busy)));
        drop(first);
        assert_eq!(room.available_permits(), 8, "what was not finished has given back too");
        assert!(inflate(&body, usize::MAX, &room).is_ok());
    }
}
