//! A worker's connections to one replica: made when needed, used again when an answer has passed.
//!
//! A request that could not be sent comes back whole, so that it can go to another replica with its body.

use super::answer::Answer;
use super::http1::{Link, LinkError};
use crate::body::Upload;
use crate::server;
use hyper::{Request, Response};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Idle connections kept to one replica by one worker.
const IDLE_CONNECTIONS: usize = 256;

/// Longest idleness after which a connection is used again; services close theirs after 75 s.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// The connections of one worker to one replica.
#[derive(Debug)]
pub(crate) struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    /// The one used last is used next; the others may rest until they are too old.
    idle: RefCell<VecDeque<Idle>>,
    /// When the last request went out; near enough for the age of connections.
    used_at: Cell<Instant>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    used_at: Instant,
}

/// How one try went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// An answer.
    Answered(Response<Answer>),
    /// No connection; the request is where it was.
    NotSent,
    /// The connection broke off after the request was on its way.
    BrokeOff(LinkError),
}

impl Pool {
    /// No connections yet.
    #[must_use]
    pub(crate) fn new(address: SocketAddr, connect_timeout: Duration) -> Self {
        Self { address, connect_timeout, idle: RefCell::default(), used_at: Cell::new(Instant::now()) }
    }

    /// Sends the request of `slot` on an idle connection, else on a new one. A request that was not sent stays in its
    /// slot.
    pub(crate) async fn send(self: &Rc<Self>, slot: &mut Option<Request<Upload>>, now: Instant) -> Attempt {
        self.used_at.set(now);
        let link = match self.take_idle(now) {
            Some(link) => Some(link),
            None => self.connect().await,
        };
        let Some(mut link) = link else { return Attempt::NotSent };
        let Some(request) = slot.take() else { return Attempt::NotSent };
        link.begin(request);
        match poll_fn(|cx| link.poll_head(cx)).await {
            Ok(head) => Attempt::Answered(head.map(|()| Answer::new(link, self))),
            Err(cause) => Attempt::BrokeOff(cause),
        }
    }

    /// Keeps a free connection for the next request.
    pub(super) fn give_back(&self, link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        let used_at = self.used_at.get();
        let is_old = |idle: &mut Idle| used_at.saturating_duration_since(idle.used_at) >= IDLE_TIME;
        // One at a time: more do not grow old than come back.
        let _ = idle.pop_front_if(is_old);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push_back(Idle { link, used_at });
        }
    }

    fn take_idle(&self, now: Instant) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop_back() {
            if now.saturating_duration_since(last.used_at) >= IDLE_TIME {
                // The others are older still.
                idle.clear();
                return None;
            }
            // The service may have closed it meanwhile.
            if last.link.is_quiet() {
                return Some(last.link);
            }
        }
        None
    }

    async fn connect(&self) -> Option<Box<Link>> {
        let stream = match timeout(self.connect_timeout, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(cause)) => {
                log::debug!("no connection to {}: {cause}", self.address);
                return None;
            }
            Err(_elapsed) => {
                log::debug!("no connection to {}: timed out", self.address);
                return None;
            }
        };
        server::keep_watch(&stream).ok()?;
        Some(Box::new(Link::new(stream)))
    }
}
