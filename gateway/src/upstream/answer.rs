//! A service's answer on its way: its body, and the connection on which it comes.

use super::connection::Pool;
use super::http1::{Link, LinkError};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The body of an answer. Its connection goes back to the others when all of it has passed; dropped before, it closes.
#[derive(Debug)]
pub(crate) struct Answer {
    link: Option<Box<Link>>,
    home: Rc<Pool>,
}

impl Answer {
    /// What comes on `link`, whose head has been read.
    #[must_use]
    pub(super) fn new(link: Box<Link>, home: &Rc<Pool>) -> Self {
        let mut answer = Self { link: Some(link), home: Rc::clone(home) };
        answer.go_home_at_end();
        answer
    }

    /// Both ways of the connection, and what has been read of the one, when the service has agreed to another protocol.
    #[must_use]
    pub(crate) fn into_parts(self) -> Option<(Bytes, OwnedReadHalf, OwnedWriteHalf)> {
        self.link?.into_parts()
    }

    fn go_home_at_end(&mut self) {
        match self.link.take_if(|link| link.is_end() && !link.is_switched()) {
            Some(mut link) if link.is_free() => {
                link.shrink();
                self.home.give_back(link);
            }
            Some(_) | None => (),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = LinkError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, LinkError>>> {
        let Some(link) = &mut self.link else { return Poll::Ready(None) };
        let piece = std::task::ready!(link.poll_body(cx));
        if let Some(Err(_)) = &piece {
            self.link = None;
        }
        self.go_home_at_end();
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.is_end())
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.link.as_ref().map_or(Some(0), |link| link.known_bytes());
        bytes.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
