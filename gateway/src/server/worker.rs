//! A worker: one thread, its runtime, and everything that belongs to it alone.

use super::drain::Drain;
use super::io::{ClientIo, Patience, Phase};
use super::listener::Door;
use crate::alarm::Alarm;
use crate::gateway::Gateway;
use crate::identity::{Logins, SignedCache};
use crate::metrics::Timers;
use crate::serve;
use crate::upstream::Backend;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use shared::stop::Stop;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

/// Bytes that are read from a client at once, at most.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Time between two looks at the idle connections to services.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);

/// An accepted connection on its way to a worker.
pub(super) struct Arrival {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) door: Arc<Door>,
    pub(super) place: OwnedSemaphorePermit,
}

/// A worker as the accepting task sees it.
pub(crate) struct WorkerHandle {
    connections: Arc<AtomicUsize>,
    arrivals: mpsc::UnboundedSender<(Arrival, Counted)>,
}

impl WorkerHandle {
    /// Connections the worker has.
    #[must_use]
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Gives the worker a connection. Each holds a place of a bounded number, so the way is never full.
    pub(super) fn hand(&self, arrival: Arrival) {
        let counted = Counted::new(&self.connections);
        if self.arrivals.send((arrival, counted)).is_err() {
            log::warn!("connection dropped: its worker has ended");
        }
    }
}

/// What belongs to one worker alone.
pub(crate) struct Worker {
    /// What all share.
    pub(crate) gateway: Arc<Gateway>,
    /// The services, in the order of `Service::ALL`.
    pub(crate) backends: Vec<Backend>,
    /// Identities signed a moment ago.
    pub(crate) signed: SignedCache,
    /// Credentials checked a moment ago.
    pub(crate) logins: Logins,
    /// Timers for services' answers, kept for the next request.
    pub(crate) alarms: RefCell<Vec<Alarm>>,
    /// Where durations go.
    pub(crate) timers: Timers,
    /// Told when this worker is to end.
    pub(crate) stop: Stop,
    /// Held by everything that is still under way.
    alive: mpsc::Sender<()>,
    drain: Rc<Drain>,
}

impl Worker {
    /// Starts a worker's thread; it ends when every clone of the handle's way in is gone and its connections have
    /// ended, `grace` later at the latest.
    ///
    /// # Errors
    /// When there is no thread or no runtime to be had.
    pub(crate) fn start(
        gateway: Arc<Gateway>,
        number: usize,
    ) -> io::Result<(WorkerHandle, std::thread::JoinHandle<()>)> {
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let handle = WorkerHandle { connections: Arc::default(), arrivals };
        // The runtime cannot move between threads; how its making went comes back this way.
        let (started, starting) = std::sync::mpsc::sync_channel(1);
        let work =
            move || match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    // The starter waits for this.
                    let _ = started.send(Ok(()));
                    runtime.block_on(run(gateway, number, arriving));
                }
                Err(cause) => {
                    let _ = started.send(Err(cause));
                }
            };
        let thread = std::thread::Builder::new().name(format!("gateway-{number}")).spawn(work)?;
        starting.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))?;
        Ok((handle, thread))
    }

    /// Runs `work` beside the requests; the worker waits for it before it ends.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let alive = self.alive.clone();
        tokio::task::spawn_local(async move {
            work.await;
            drop(alive);
        });
    }

    /// Whether the worker takes no new requests any more.
    #[must_use]
    pub(crate) fn is_draining(&self) -> bool {
        self.drain.has_begun()
    }
}

async fn run(
    gateway: Arc<Gateway>,
    number: usize,
    mut arriving: mpsc::UnboundedReceiver<(Arrival, Counted)>,
) {
    let (alive, mut all_ended) = mpsc::channel(1);
    let grace = gateway.grace;
    let worker = Rc::new(Worker {
        backends: gateway.backends(number),
        signed: SignedCache::default(),
        logins: Logins::default(),
        alarms: RefCell::default(),
        timers: gateway.metrics.timers(),
        gateway,
        stop: Stop::default(),
        alive,
        drain: Rc::default(),
    });
    tokio::task::spawn_local(sweep(Rc::downgrade(&worker)));
    while let Some((arrival, counted)) = arriving.recv().await {
        match tokio::net::TcpStream::from_std(arrival.stream) {
            Ok(stream) => {
                let held = (arrival.place, counted);
                let connection =
                    serve_connection(Rc::clone(&worker), stream, arrival.peer, arrival.door, held);
                worker.spawn(connection);
            }
            Err(cause) => log::warn!("connection lost on its way to a worker: {cause}"),
        }
    }
    worker.drain.begin();
    worker.stop.stop();
    drop(worker);
    // Every task holds a sender; when the last is gone there is nothing more to wait for.
    let ended = tokio::time::timeout(grace, all_ended.recv()).await;
    if ended.is_err() {
        log::warn!("requests were still open after {} s and were cut off", grace.as_secs());
    }
}

/// Closes connections to services that rest too long, whether requests come or not.
async fn sweep(worker: Weak<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_PERIOD).await;
        let Some(worker) = worker.upgrade() else { return };
        worker.backends.iter().for_each(|backend| backend.sweep(Instant::now()));
    }
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

async fn serve_connection(
    worker: Rc<Worker>,
    stream: tokio::net::TcpStream,
    peer: SocketAddr,
    door: Arc<Door>,
    _held: (OwnedSemaphorePermit, Counted),
) {
    let (limits, timeouts) = (&worker.gateway.config.limits, &worker.gateway.config.timeouts);
    let phase = Phase::default();
    let Ok(local) = stream.local_addr() else { return };
    let patience = Patience {
        idle: Duration::from_secs(timeouts.keep_alive_secs),
        busy: Duration::from_secs(timeouts.client_secs),
        body_bytes_per_sec: limits.min_body_bytes_per_sec,
    };
    let io = ClientIo::new(stream, phase.clone(), patience);
    let service = {
        let worker = Rc::clone(&worker);
        service_fn(move |request| {
            serve::serve(Rc::clone(&worker), Arc::clone(&door), (local, peer), phase.clone(), request)
        })
    };
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .half_close(true)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(READ_BUFFER_BYTES))
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut listening = None;
    let outcome = poll_fn(|cx| {
        if listening.is_none() {
            listening = Some(worker.drain.listen(cx.waker()));
        }
        if worker.drain.has_begun() {
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    if let Err(cause) = outcome.await {
        log::debug!("connection from {peer} ended: {cause}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_cannot_be_handed_over_is_not_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let stream = std::net::TcpStream::connect(peer).unwrap();
        let place = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let handle = WorkerHandle { connections: Arc::default(), arrivals };
        drop(arriving);
        handle.hand(Arrival { stream, peer, door: Arc::new(Door::new(None)), place });
        assert_eq!(handle.connections(), 0);
    }
}
