//! One stop signal for every background task of a process.

use tokio::sync::watch;

/// Told to every task; [`Stop::stop`] ends them all. Cloning gives another handle on the same signal.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Tells everyone to stop; more than once is harmless.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether the signal was given.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal.
    pub async fn stopped(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as `self`, so this cannot fail before the signal.
        let _ = seen.wait_for(|stopped| *stopped).await;
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the process may not install signal handlers.
pub async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
    Ok(())
}
