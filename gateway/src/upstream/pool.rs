//! A worker's connections to one replica: made when needed, used again when an answer has passed.

use super::wire::{Answer, Failure, Head, Link, Outgoing};
use crate::server;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
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
    /// Those without work, and when they had some.
    idle: RefCell<Vec<(Link, Instant)>>,
    /// When the last request went out; near enough for the age of connections.
    used_at: Cell<Instant>,
}

/// How one try went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// An answer has begun.
    Answered(Head, Answer),
    /// No connection; the request is where it was.
    NotSent,
    /// The request was on its way; whether the service has seen it, nobody knows.
    Failed(Failure),
}

impl Pool {
    /// No connections yet.
    #[must_use]
    pub(crate) fn new(address: SocketAddr, connect_timeout: Duration) -> Self {
        let used_at = Cell::new(Instant::now());
        Self { address, connect_timeout, idle: RefCell::default(), used_at }
    }

    /// Sends the request of `slot` on an idle connection, else on a new one. The request stays in its slot unless an
    /// answer came before all of it was out.
    pub(crate) async fn send(&self, slot: &mut Option<Outgoing>, now: Instant) -> Attempt {
        self.used_at.set(now);
        let link = match self.take_idle(now) {
            Some(link) => link,
            None => match self.connect().await {
                Some(link) => link,
                None => return Attempt::NotSent,
            },
        };
        match link.exchange(slot).await {
            Ok((head, answer)) => Attempt::Answered(head, answer),
            Err(failure) => Attempt::Failed(failure),
        }
    }

    /// Keeps a connection for the next request.
    pub(crate) fn give_back(&self, link: Link) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push((link, self.used_at.get()));
        }
    }

    fn take_idle(&self, now: Instant) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        while let Some((link, used_at)) = idle.pop() {
            if now.saturating_duration_since(used_at) >= IDLE_TIME {
                // The others are older still.
                idle.clear();
                return None;
            }
            if link.is_fit() {
                return Some(link);
            }
        }
        None
    }

    async fn connect(&self) -> Option<Link> {
        match timeout(self.connect_timeout, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => {
                server::keep_watch(&stream).ok()?;
                Some(Link::new(stream))
            }
            Ok(Err(cause)) => {
                log::debug!("no connection to {}: {cause}", self.address);
                None
            }
            Err(_elapsed) => {
                log::debug!("no connection to {}: timed out", self.address);
                None
            }
        }
    }
}
