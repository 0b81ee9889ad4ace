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
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Idle connections kept to one replica by one worker.
const IDLE_CONNECTIONS: usize = 256;

/// Longest idleness after which a connection is used again; services close theirs after 75 s.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// Bytes of an answer's headers at most.
const ANSWER_HEAD_BYTES: usize = 256 << 10;

/// The connections of one worker to one replica.
#[derive(Debug)]
pub(crate) struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

/// A connection on its way back to its pool.
#[derive(Debug)]
pub(crate) struct Returned {
    pool: Rc<Pool>,
    sender: SendRequest<Upload>,
    upload: Rc<UploadState>,
}

/// How one try went.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// An answer, and its connection.
    Answered(Response<Incoming>, Returned),
    /// No connection; the request is unharmed.
    NotSent(Box<Request<Upload>>),
    /// The connection broke off after the request was on its way.
    BrokeOff(hyper::Error),
}

impl Returned {
    /// Puts the connection back for the next request, unless this one is not all out yet: a service may answer early.
    pub(crate) fn give_back(self, now: Instant) {
        let is_free = self.upload.end() == UploadEnd::Complete && !self.sender.is_closed();
        let mut idle = self.pool.idle.borrow_mut();
        if is_free && idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { sender: self.sender, since: now });
        }
    }
}

impl Pool {
    /// No connections yet.
    #[must_use]
    pub(crate) fn new(address: SocketAddr, connect_timeout: Duration) -> Self {
        Self { address, connect_timeout, idle: RefCell::new(Vec::new()) }
    }

    /// Sends `request` on an idle connection, else on a new one.
    pub(crate) async fn send(self: &Rc<Self>, mut request: Request<Upload>) -> Attempt {
        while let Some(mut sender) = self.take_idle() {
            // The service may have closed it meanwhile; then the request comes back and the next one is tried.
            if sender.ready().await.is_err() {
                continue;
            }
            match self.send_on(sender, request).await {
                Attempt::NotSent(unsent) => request = *unsent,
                outcome @ (Attempt::Answered(..) | Attempt::BrokeOff(_)) => return outcome,
            }
        }
        match self.connect().await {
            Some(sender) => self.send_on(sender, request).await,
            None => Attempt::NotSent(Box::new(request)),
        }
    }

    async fn send_on(self: &Rc<Self>, mut sender: SendRequest<Upload>, request: Request<Upload>) -> Attempt {
        let upload = request.body().state();
        match sender.try_send_request(request).await {
            Ok(answer) => Attempt::Answered(answer, Returned { pool: Rc::clone(self), sender, upload }),
            Err(mut failure) => match failure.take_message() {
                Some(unsent) => Attempt::NotSent(Box::new(unsent)),
                None => Attempt::BrokeOff(failure.into_error()),
            },
        }
    }

    fn take_idle(&self) -> Option<SendRequest<Upload>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(last) = idle.pop() {
            if last.since.elapsed() >= IDLE_TIME {
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
        let builder = Builder::new().max_header_size(ANSWER_HEAD_BYTES).clone();
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.ok()?;
        tokio::task::spawn_local(async move {
            // The request on it hears of its failure by itself.
            let _ = connection.with_upgrades().await;
        });
        Some(sender)
    }
}
