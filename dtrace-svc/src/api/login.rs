//! Who a websocket belongs to: it may stay open for longer than a login lasts.

use crate::engine::Identify;
use shared::identity::Principal;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

/// Time between two looks at a token. With that of the question it stays under a second.
const PERIOD: Duration = Duration::from_millis(500);

/// Looks in a row that may be in vain; then the login counts as ended: a token that cannot be checked may have been revoked.
const BLIND_LOOKS: u32 = 20;

/// Comes to pass when a login ends.
pub(crate) type End = Pin<Box<dyn Future<Output = ()>>>;

/// A caller who is known, and by what.
pub(crate) enum Login {
    /// The handshake said who it is. The gateway ends the websocket when that login ends or may something else.
    Handshake(Principal),
    /// A message brought a token, of which the gateway knows nothing unless it is asked.
    Token(String),
}

impl Login {
    /// Who it is now; `None` when the login has ended.
    pub(crate) async fn who(&self, identify: &Identify) -> Option<Principal> {
        match self {
            Self::Handshake(who) => Some(who.clone()),
            Self::Token(token) => identify.bearer(token).await,
        }
    }

    /// The end of the login, or of what `who` might do when it was looked at last: whoever listens goes by that. The
    /// gateway sees to the end of a handshake's by itself.
    pub(crate) fn end(&self, who: Principal, identify: &Identify) -> End {
        let Self::Token(token) = self else { return Box::pin(pending()) };
        let (token, identify) = (token.clone(), identify.clone());
        Box::pin(async move {
            let mut blind_looks = 0;
            while blind_looks < BLIND_LOOKS {
                tokio::time::sleep(PERIOD).await;
                match identify.ask(&token).await {
                    Ok(Some(now)) if now == who => blind_looks = 0,
                    Ok(_) => return,
                    Err(_away) => blind_looks += 1,
                }
            }
        })
    }
}
