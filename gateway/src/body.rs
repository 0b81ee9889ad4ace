//! Bodies on their way through: [`Upload`] from the client to a service, [`Body`] back to the client.
//!
//! Nothing is collected: a piece is asked for only when the other side has taken the one before, so that memory stays
//! small and a slow reader slows the writer down.

mod download;
mod upload;

pub(crate) use download::{Download, Lease};
pub(crate) use upload::{Upload, UploadEnd, UploadState};

use crate::server::Phase;
use crate::upstream::LinkError;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Why a body broke off; the connection that carries it ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBody {
    /// The client broke off.
    #[error(transparent)]
    Lost(#[from] hyper::Error),
    /// The service broke off.
    #[error(transparent)]
    Service(#[from] Box<LinkError>),
    /// Larger than allowed.
    #[error("body over the limit")]
    TooLarge,
    /// Nothing came for too long.
    #[error("body stalled")]
    Stalled,
    /// The caller may have no more of it.
    #[error("login ended or changed")]
    CutOff,
    /// The gateway is stopping.
    #[error("gateway stopping")]
    Stopping,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    /// Told when the body has passed: then the client may send its next request.
    phase: Option<Phase>,
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(phase) = &self.phase {
            phase.answered();
        }
    }
}

#[derive(Debug)]
enum Source {
    Own(Option<Bytes>),
    Service(Box<Download>),
}

impl Body {
    /// No body.
    #[must_use]
    pub(crate) fn empty() -> Self {
        Self { source: Source::Own(None), phase: None }
    }

    /// A body of one piece.
    pub(crate) fn full(text: impl Into<Bytes>) -> Self {
        Self { source: Source::Own(Some(text.into()).filter(|bytes| !bytes.is_empty())), phase: None }
    }

    /// What a service sends.
    #[must_use]
    pub(crate) fn streamed(download: Download) -> Self {
        Self { source: Source::Service(Box::new(download)), phase: None }
    }

    /// Tells `phase` when it has passed.
    pub(crate) fn then_answered(&mut self, phase: Phase) {
        self.phase = Some(phase);
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match &mut self.source {
            Source::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Service(download) => download.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Service(download) => download.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Source::Service(download) => download.size_hint(),
        }
    }
}
