//! Stops websocket frames that are too large at their head. The codec below looks at a frame's length only when all
//! of it has come, and would keep it in memory until then.

use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;

/// A payload that ends with [`PayloadError::Overflow`] at a frame of more than `most` bytes.
///
/// # Errors
/// Never: the extractor that wraps the payload takes it as it is.
pub(crate) fn guard(req: &HttpRequest, payload: Payload, most: usize) -> Result<Payload, actix_web::Error> {
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    let mut frames = Frames { most, head: Vec::new(), left: 0 };
    let checked = payload.map(move |chunk: Result<Bytes, PayloadError>| {
        let chunk = chunk?;
        if frames.pass(&chunk) { Ok(chunk) } else { Err(PayloadError::Overflow) }
    });
    let mut checked = dev::Payload::Stream { payload: checked.boxed_local() };
    Payload::from_request(req, &mut checked).into_inner()
}

/// Follows the frames of a stream of bytes (RFC 6455, section 5.2).
struct Frames {
    most: u64,
    /// The head of a frame, as far as it has come.
    head: Vec<u8>,
    /// Bytes of the frame's body that are still to come.
    left: u64,
}

impl Frames {
    /// Whether no frame of these bytes is too large.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= u64::try_from(skipped).unwrap_or(0);
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((first, rest)) = bytes.split_first() else { return true };
            self.head.push(*first);
            bytes = rest;
            if let Some(length) = self.length() {
                if length > self.most {
                    return false;
                }
                self.left = length;
                self.head.clear();
            }
        }
        true
    }

    /// The length of the body, once the whole head has come: two bytes, up to eight of length, four of mask.
    fn length(&self) -> Option<u64> {
        let second = self.head.get(1)?;
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let digits = self.head.get(2..2 + extended)?;
        if self.head.len() < 2 + extended + mask {
            return None;
        }
        let length = digits.iter().fold(0, |length, digit| length << 8 | u64::from(*digit));
        Some(if extended == 0 { u64::from(second & 0x7f) } else { length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(length: u64, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x81];
        match length {
            0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=65_535 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(vec![0; if is_masked { 4 } else { 0 }]);
        frame
    }

    fn passes(bytes: &[u8], chunk: usize) -> bool {
        let mut frames = Frames { most: 1000, head: Vec::new(), left: 0 };
        bytes.chunks(chunk).all(|chunk| frames.pass(chunk))
    }

    #[test]
    fn a_frame_is_stopped_when_its_head_has_come() {
        for length in [1001, 65_535, 65_536, 1 << 40, u64::MAX] {
            for is_masked in [false, true] {
                assert!(!passes(&frame(length, is_masked), 100), "{length}");
                assert!(!passes(&frame(length, is_masked), 1), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn frames_within_the_bound_pass_however_they_are_cut(
            lengths in proptest::collection::vec((0..=1000_u64, any::<bool>()), 1..6),
            chunk in 1..400_usize,
            last in any::<bool>(),
        ) {
            let mut bytes = Vec::new();
            for (length, is_masked) in lengths {
                bytes.extend(frame(length, is_masked));
                // A body that looks like the head of a large frame.
                bytes.extend(vec![0xff; usize::try_from(length).unwrap()]);
            }
            prop_assert!(passes(&bytes, chunk));
            if last {
                bytes.extend(frame(1001, true));
                prop_assert!(!passes(&bytes, chunk));
            }
        }
    }
}
