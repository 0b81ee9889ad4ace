//! Accepting connections, and handing them out to the workers.

use super::worker::{Arrival, WorkerHandle};
use crate::routes::{Api, Router};
use shared::logging::Seldom;
use shared::stop::Stop;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Pause after a failed accept (usually: out of file descriptors), so that it is not tried in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time without a word after which a peer is asked whether it is still there, and between two such questions.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// What comes in through one listener: which routes there are, and whose they are.
#[derive(Debug)]
pub(crate) struct Door {
    /// The API that owns this listener; none for the main one.
    pub(crate) pinned: Option<Api>,
    /// Its routes.
    pub(crate) router: Router,
}

impl Door {
    /// The main listener, or one that belongs to an API.
    #[must_use]
    pub(crate) fn new(pinned: Option<Api>) -> Self {
        Self { pinned, router: pinned.map_or_else(Router::main, Router::pinned_to) }
    }
}

/// A bound address.
pub(crate) struct Listener {
    listener: TcpListener,
    door: Arc<Door>,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// What the system says, with the address.
    pub(crate) async fn bind(address: &str, door: Door) -> io::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| io::Error::new(cause.kind(), format!("{address}: {cause}")))?;
        Ok(Self { listener, door: Arc::new(door) })
    }

    /// The address with its real port.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until `stop`. A connection is accepted only when there is a place for it among `places`.
    pub(crate) async fn accept(self, workers: Arc<[WorkerHandle]>, places: Arc<Semaphore>, stop: Stop) {
        let accepting = async {
            loop {
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match self.listener.accept().await.and_then(prepared) {
                    Ok((stream, peer)) => {
                        let arrival = Arrival { stream, peer, door: Arc::clone(&self.door), place };
                        let idlest = workers.iter().min_by_key(|worker| worker.connections());
                        if let Some(worker) = idlest {
                            worker.hand(arrival);
                        }
                    }
                    Err(cause) => {
                        static FAILED: Seldom = Seldom::new();
                        FAILED.say(|held_back| log::warn!(held_back; "connection not accepted: {cause}"));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stop.stopped() => (),
            () = accepting => (),
        }
    }
}

/// The socket in the form in which it can move to another thread's runtime.
fn prepared((stream, peer): (TcpStream, SocketAddr)) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    keep_watch(&stream)?;
    Ok((stream.into_std()?, peer))
}

/// Sends small pieces at once, and notices when the other machine has gone without a word: a stream may be quiet for
/// hours.
pub(crate) fn keep_watch(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
