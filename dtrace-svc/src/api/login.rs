//! Who a websocket belongs to: it may stay open for longer than a login lasts.

use crate::engine::Identify;
use shared::identity::Principal;

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
}
