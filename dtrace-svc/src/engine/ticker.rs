//! When messages of a run are due. No clock in here: the caller says what time it is.

use std::time::Duration;
use tokio::time::Instant;

/// How long text and figures that the script prints itself wait for more of their kind.
const GATHER: Duration = Duration::from_millis(15);

/// How much later than an interval a message comes when a server does not say that its tick is over.
const SLACK: Duration = Duration::from_millis(250);

/// What a server of a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It traces; it has, or has not yet, told all of this tick.
    Tracing { has_ticked: bool },
    /// It is being started; nobody waits for it.
    Away,
    /// It will not come back.
    Over,
}

/// Keeps the time of one run.
#[derive(Debug)]
pub(super) struct Ticker {
    servers: Vec<Server>,
    interval: Duration,
    /// When the last figures went out.
    last: Instant,
    /// When figures came that no tick will end.
    loose_figures: Option<Instant>,
    /// When the first line came that has not gone out.
    lines: Option<Instant>,
}

impl Ticker {
    /// For so many servers, all of them away.
    pub(super) fn new(servers: usize, interval: Duration, now: Instant) -> Self {
        Self { servers: vec![Server::Away; servers], interval, last: now, loose_figures: None, lines: None }
    }

    /// A server traces.
    pub(super) fn started(&mut self, server: usize, now: Instant) {
        if !self.is_tracing() {
            self.last = now;
        }
        self.set(server, Server::Tracing { has_ticked: false });
    }

    /// A server has ended and may be started again.
    pub(super) fn away(&mut self, server: usize) {
        self.set(server, Server::Away);
    }

    /// A server has ended for good.
    pub(super) fn over(&mut self, server: usize) {
        self.set(server, Server::Over);
    }

    /// A server has told all figures of its tick.
    pub(super) fn ticked(&mut self, server: usize) {
        self.set(server, Server::Tracing { has_ticked: true });
    }

    /// Figures came that the script has printed itself.
    pub(super) fn printed(&mut self, now: Instant) {
        self.loose_figures.get_or_insert(now);
    }

    /// A line came.
    pub(super) fn line(&mut self, now: Instant) {
        self.lines.get_or_insert(now);
    }

    /// Whether any server traces.
    pub(super) fn is_tracing(&self) -> bool {
        self.servers.iter().any(|server| matches!(server, Server::Tracing { .. }))
    }

    /// Whether all servers have ended for good.
    pub(super) fn is_over(&self) -> bool {
        self.servers.iter().all(|server| *server == Server::Over)
    }

    /// Whether figures are to go out now; then a new tick begins.
    pub(super) fn take_figures_due(&mut self, now: Instant) -> bool {
        let mut tracing =
            self.servers.iter().filter(|server| matches!(server, Server::Tracing { .. })).peekable();
        let is_complete =
            tracing.peek().is_some() && tracing.all(|one| *one == Server::Tracing { has_ticked: true });
        let is_gathered = self.loose_figures.is_some_and(|since| now >= since + GATHER);
        let is_due = is_complete || is_gathered || now >= self.last + self.interval + SLACK;
        if is_due {
            (self.last, self.loose_figures) = (now, None);
            for server in &mut self.servers {
                if let Server::Tracing { has_ticked } = server {
                    *has_ticked = false;
                }
            }
        }
        is_due
    }

    /// Whether lines are to go out now.
    pub(super) fn take_lines_due(&mut self, now: Instant) -> bool {
        let is_due = self.lines.is_some_and(|since| now >= since + GATHER);
        if is_due {
            self.lines = None;
        }
        is_due
    }

    /// When to ask again, if nothing comes before.
    pub(super) fn deadline(&self) -> Instant {
        let silence = self.last + self.interval + SLACK;
        let gathered = [self.loose_figures, self.lines].into_iter().flatten().map(|since| since + GATHER);
        gathered.fold(silence, Instant::min)
    }

    fn set(&mut self, server: usize, state: Server) {
        if let Some(server) = self.servers.get_mut(server) {
            *server = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn with_one_server_figures_go_out_when_its_tick_is_over() {
        let start = Instant::now();
        let mut ticker = Ticker::new(1, SECOND, start);
        ticker.started(0, start);
        assert!(!ticker.take_figures_due(start + ms(999)));
        ticker.ticked(0);
        assert!(ticker.take_figures_due(start + ms(1000)));
        assert!(!ticker.take_figures_due(start + ms(1001)), "a tick goes out once");
    }

    #[test]
    fn with_several_servers_the_last_one_decides_and_those_away_are_not_waited_for() {
        let start = Instant::now();
        let mut ticker = Ticker::new(3, SECOND, start);
        ticker.started(0, start);
        ticker.started(1, start);
        ticker.ticked(0);
        assert!(!ticker.take_figures_due(start + ms(1000)));
        ticker.ticked(1);
        assert!(ticker.take_figures_due(start + ms(1001)));
        ticker.ticked(0);
        ticker.away(1);
        assert!(ticker.take_figures_due(start + ms(2000)));
        ticker.over(0);
        ticker.over(1);
        assert!(!ticker.is_over());
        ticker.over(2);
        assert!(ticker.is_over());
    }

    #[test]
    fn a_silent_server_holds_figures_back_for_the_slack_only() {
        let start = Instant::now();
        let mut ticker = Ticker::new(2, SECOND, start);
        ticker.started(0, start);
        ticker.started(1, start);
        ticker.ticked(0);
        assert_eq!(ticker.deadline(), start + ms(1250));
        assert!(!ticker.take_figures_due(start + ms(1249)));
        assert!(ticker.take_figures_due(start + ms(1250)));
        assert_eq!(ticker.deadline(), start + ms(2500));
    }

    #[test]
    fn what_the_script_prints_goes_out_at_once() {
        let start = Instant::now();
        let mut ticker = Ticker::new(1, SECOND, start);
        ticker.started(0, start);
        ticker.line(start + ms(100));
        ticker.line(start + ms(110));
        assert_eq!(ticker.deadline(), start + ms(115));
        assert!(!ticker.take_lines_due(start + ms(114)));
        assert!(ticker.take_lines_due(start + ms(115)));
        assert!(!ticker.take_lines_due(start + ms(130)));
        ticker.printed(start + ms(200));
        assert!(!ticker.take_figures_due(start + ms(214)));
        assert!(ticker.take_figures_due(start + ms(215)));
    }
}
