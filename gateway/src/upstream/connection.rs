//! A worker's connections to one replica: made when needed, used again when an answer has passed.
//!
//! Why not a ready-made client: here a request that could not be sent comes back whole, so that it can go to another
//! replica with its body, and a connection is known to be free the moment the last piece of an answer has passed.

use crate::body::{Upload, UploadEnd, UploadState};
use crate::server;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Idle connections kept to one replica by one worker.
const IDLE_CONNECTIONS: usize = 256;

/// Longest idleness after which a connection is used again; services close theirs after 75 s.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// Bytes that are read from a service at once, and that the headers of an answer may have, at most. Larger pieces
/// made answers of 100 KiB slower: they leave the processor's cache before they are written.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// The connections of one worker to one replica.
#[derive(Debug)]
pub(crate) struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    idle: RefCell<Vec<Idle>>,
    /// When the last request went out; near enough for the age of connections.
    used_at: Cell<Instant>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Upload>,
    used_at: Instant,
}

/// A connection on its way back to its pool.
#[derive(Debug)]
pub(crate) struct Returned {
    pool: Rc<Pool>,
    sender: SendRequest<Upload>,
    upload: UploadState,
}

/// How one try went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// An answer, and its connection.
    Answered(Response<Incoming>, Returned),
    /// No connection; the request is where it was.
    NotSent,
    /// The connection broke off after the request was on its way.
    BrokeOff(hyper::Error),
}

impl Returned {
    /// Puts the connection back for the next request, unless this one is not all out yet: a service may answer early.
    pub(crate) fn give_back(self) {
        let is_free = self.upload.end() == UploadEnd::Complete && !self.sender.is_closed();
        let mut idle = self.pool.idle.borrow_mut();
        if is_free && idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { sender: self.sender, used_at: self.pool.used_at.get() });
        }
    }
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
        while let Some(mut sender) = self.take_idle(now) {
            // The service may have closed it meanwhile; then the request stays and the next connection is tried.
            if !sender.is_ready() && sender.ready().await.is_err() {
                continue;
            }
            let outcome = self.send_on(sender, slot).await;
            if !matches!(outcome, Attempt::NotSent) {
                return outcome;
            }
        }
        match self.connect().await {
            Some(sender) => self.send_on(sender, slot).await,
            None => Attempt::NotSent,
        }
    }

    async fn send_on(
        self: &Rc<Self>,
        mut sender: SendRequest<Upload>,
        slot: &mut Option<Request<Upload>>,
    ) -> Attempt {
        let Some(request) = slot.take() else { return Attempt::NotSent };
        let upload = request.body().state();
        match sender.try_send_request(request).await {
            Ok(answer) => Attempt::Answered(answer, Returned { pool: Rc::clone(self), sender, upload }),
            Err(mut failure) => match failure.take_message() {
                Some(unsent) => {
                    *slot = Some(unsent);
                    Attempt::NotSent
                }
                None => Attempt::BrokeOff(failure.into_error()),
            },
        }
    }

    fn take_idle(&self, now: Instant) -> Option<SendRequest<Upload>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop() {
            if now.saturating_duration_since(last.used_at) >= IDLE_TIME {
                // The others are older still.
                idle.clear();
                return None;
            }
            if !last.sender.is_closed() {
                return Some(last.sender);
            }
        }
        None
    }

    async fn connect(&self) -> Option<SendRequest<Upload>> {
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
        let mut builder = Builder::new();
        builder.max_buf_size(READ_BUFFER_BYTES);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.ok()?;
        tokio::task::spawn_local(async move {
            // The request on it hears of its failure by itself.
            let _ = connection.with_upgrades().await;
        });
        Some(sender)
    }
}
