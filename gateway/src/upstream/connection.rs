//! A worker's connections to one replica: made when needed, used again when an answer has passed.
//!
//! A request for which there is no connection stays whole, so that it can go to another replica with its body.

use super::answer::Answer;
use super::http1::{Link, LinkError};
use crate::body::Upload;
use crate::server;
use hyper::{Request, Response};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
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
    /// The one used last is used next.
    idle: RefCell<Vec<Idle>>,
    /// When the last request went out; near enough for the age of connections.
    used_at: Cell<Instant>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    used_at: Instant,
}

impl Idle {
    /// Whether it can be used: the service may have closed it meanwhile.
    fn is_fit(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used_at) < IDLE_TIME && self.link.is_quiet()
    }
}

/// How one try went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// An answer.
    Answered(Response<Answer>),
    /// No connection; the request is where it was.
    NotSent(io::Error),
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
    ///
    /// A service may close an idle connection while a request is on its way there. If that breaks off before a byte of an
    /// answer, the request is sent once more on a new connection, when it has no body and `may_repeat` agrees.
    pub(crate) async fn send(
        self: &Rc<Self>,
        slot: &mut Option<Request<Upload>>,
        now: Instant,
        may_repeat: impl FnOnce() -> bool,
    ) -> Attempt {
        self.used_at.set(now);
        if let Some(link) = self.take_idle(now) {
            let attempt = self.ask(link, slot).await;
            match &attempt {
                Attempt::BrokeOff(cause) if slot.is_some() && may_repeat() => {
                    log::debug!("a kept connection to {} was of no more use: {cause}", self.address);
                }
                Attempt::Answered(_) | Attempt::NotSent(_) | Attempt::BrokeOff(_) => return attempt,
            }
        }
        match self.connect().await {
            Ok(link) => self.ask(link, slot).await,
            Err(cause) => Attempt::NotSent(cause),
        }
    }

    /// Sends the request of `slot` on `link`. One of which nothing is lost when it breaks off is back in its slot.
    async fn ask(self: &Rc<Self>, mut link: Box<Link>, slot: &mut Option<Request<Upload>>) -> Attempt {
        let Some(request) = slot.take() else {
            return Attempt::NotSent(io::ErrorKind::InvalidInput.into());
        };
        link.begin(request);
        match poll_fn(|cx| link.poll_head(cx)).await {
            Ok(head) => Attempt::Answered(head.map(|()| Answer::new(link, self))),
            Err(cause) => {
                *slot = link.take_unanswered();
                Attempt::BrokeOff(cause)
            }
        }
    }

    /// Keeps a free connection for the next request.
    pub(super) fn give_back(&self, link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { link, used_at: self.used_at.get() });
        }
    }

    /// Closes idle connections that are too old, and those that the service has closed.
    pub(super) fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|idle| idle.is_fit(now));
    }

    fn take_idle(&self, now: Instant) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop() {
            if last.is_fit(now) {
                return Some(last.link);
            }
        }
        None
    }

    async fn connect(&self) -> io::Result<Box<Link>> {
        let stream = timeout(self.connect_timeout, TcpStream::connect(self.address)).await;
        let stream = stream.map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        server::keep_watch(&stream)?;
        Ok(Box::new(Link::new(stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn resting_connections_close_when_they_are_old_or_the_service_has_closed_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(listener.local_addr().unwrap(), Duration::from_secs(5));
        let (now, count) = (pool.used_at.get(), || pool.idle.borrow().len());
        let mut services = Vec::new();
        for _ in 0..2 {
            pool.give_back(pool.connect().await.unwrap());
            services.push(listener.accept().await.unwrap().0);
        }
        pool.sweep(now);
        assert_eq!(count(), 2);
        drop(services.pop());
        let swept = async {
            while count() > 1 {
                tokio::task::yield_now().await;
                pool.sweep(now);
            }
        };
        timeout(Duration::from_secs(20), swept).await.unwrap();
        pool.sweep(now + IDLE_TIME - Duration::from_millis(1));
        assert_eq!(count(), 1, "the other one is still there");
        pool.sweep(now + IDLE_TIME);
        assert_eq!(count(), 0);
    }
}
