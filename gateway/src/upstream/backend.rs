//! One service as one worker sees it: its replicas with the worker's connections to them, and whom to ask next.

use super::budget::Budget;
use super::connection::Pool;
use super::names::{Replicas, Upstream};
use super::peer::{Peer, Ticket};
use super::replica::Replica;
use crate::routes::Service;
use shared::clock::SharedClock;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A service, in one worker.
pub(crate) struct Backend {
    /// Which service.
    pub(crate) service: Service,
    /// Pays for retries.
    pub(crate) budget: Budget,
    is_installed: bool,
    connect_timeout: Duration,
    clock: SharedClock,
    news: RefCell<watch::Receiver<Replicas>>,
    peers: RefCell<Rc<[Rc<Peer>]>>,
    dice: Cell<u32>,
}

/// Why nobody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such service here.
    NotInstalled,
    /// Its name has no address.
    NoReplica,
    /// Every replica is resting.
    AllResting,
}

impl Backend {
    /// Sees the service through `upstream`.
    #[must_use]
    pub(crate) fn new(upstream: &Upstream, connect_timeout: Duration, clock: SharedClock, seed: u32) -> Self {
        let mut news = upstream.watch();
        news.mark_changed();
        Self {
            service: upstream.service,
            budget: Budget::default(),
            is_installed: upstream.is_installed(),
            connect_timeout,
            clock,
            news: RefCell::new(news),
            peers: RefCell::new(Rc::new([])),
            dice: Cell::new(seed | 1),
        }
    }

    /// The better of two replicas chosen by chance (M. Mitzenmacher, *The Power of Two Choices*): the one with less to
    /// do. `avoid` is the one that has just failed; it is asked again only when no other can be.
    ///
    /// Where all rest, one that still answers is asked what changes nothing (`is_safe`): a full disk refuses every
    /// write, and people want to read what is going on.
    ///
    /// # Errors
    /// [`Refusal`] when nobody can be asked.
    pub(crate) fn choose(&self, avoid: Option<&Rc<Pool>>, is_safe: bool) -> Result<Ticket, Refusal> {
        let peers = self.peers();
        if peers.is_empty() {
            return Err(if self.is_installed { Refusal::NoReplica } else { Refusal::NotInstalled });
        }
        // The time matters only to replicas that rest.
        let is_any_open = peers.iter().any(|peer| peer.replica.breaker().is_open());
        let now = if is_any_open { self.clock.now().timestamp_micros() } else { 0 };
        let is_avoided = |peer: &Rc<Peer>| avoid.is_some_and(|pool| Rc::ptr_eq(pool, &peer.pool));
        if let Some(ticket) =
            self.better_of_two(&peers, now).filter(|peer| !is_avoided(peer)).and_then(|peer| peer.enter(now))
        {
            return Ok(ticket);
        }
        let start = self.roll(peers.len());
        let in_turn = || peers.iter().cycle().skip(start).take(peers.len());
        let others =
            || in_turn().filter(|peer| !is_avoided(peer)).chain(in_turn().filter(|peer| is_avoided(peer)));
        let resting = || others().find_map(Peer::enter_resting).filter(|_| is_safe);
        others().find_map(|peer| peer.enter(now)).or_else(resting).ok_or(Refusal::AllResting)
    }

    /// Whether the service is part of this installation.
    #[must_use]
    pub(crate) fn is_installed(&self) -> bool {
        self.is_installed
    }

    /// Address and connections of every replica.
    #[must_use]
    pub(crate) fn replicas(&self) -> Vec<(SocketAddr, Rc<Pool>)> {
        self.peers().iter().map(|peer| (peer.replica.address(), Rc::clone(&peer.pool))).collect()
    }

    /// Closes connections that are of no more use; those to replicas that are no more go, too.
    pub(crate) fn sweep(&self, now: Instant) {
        self.peers().iter().for_each(|peer| peer.pool.sweep(now));
    }

    /// How many replicas there are.
    #[must_use]
    pub(crate) fn replica_count(&self) -> usize {
        self.peers().len()
    }

    fn better_of_two<'p>(&self, peers: &'p [Rc<Peer>], now: i64) -> Option<&'p Rc<Peer>> {
        if let [only] = peers {
            return Some(only);
        }
        let first = self.roll(peers.len());
        let second = (first + 1 + self.roll(peers.len() - 1)) % peers.len();
        let candidates = [peers.get(first)?, peers.get(second)?];
        let passable = candidates.into_iter().filter(|peer| peer.replica.breaker().is_passable(now));
        passable.min_by_key(|peer| peer.replica.load())
    }

    /// The replicas, up to date; asking whether there is news takes no lock.
    fn peers(&self) -> Rc<[Rc<Peer>]> {
        let mut news = self.news.borrow_mut();
        if news.has_changed().unwrap_or(false) {
            let replicas = news.borrow_and_update().clone();
            let known = self.peers.borrow().clone();
            let pool_of = |replica: &Arc<Replica>| {
                let kept = known.iter().find(|peer| Arc::ptr_eq(&peer.replica, replica));
                kept.map_or_else(
                    || Rc::new(Pool::new(replica.address(), self.connect_timeout)),
                    |peer| Rc::clone(&peer.pool),
                )
            };
            let peer = |replica: &Arc<Replica>| {
                Rc::new(Peer::new(Arc::clone(replica), pool_of(replica), Arc::clone(&self.clock)))
            };
            *self.peers.borrow_mut() = replicas.iter().map(peer).collect();
        }
        Rc::clone(&self.peers.borrow())
    }

    /// A number below `sides` (G. Marsaglia, *Xorshift RNGs*); good enough for spreading, and free of locks.
    fn roll(&self, sides: usize) -> usize {
        let mut x = self.dice.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.dice.set(x);
        usize::try_from(x).unwrap_or(0) % sides.max(1)
    }
}
