//! What proves a login, also some time later and without its secret.

/// What is kept of what somebody has shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// An API token with this hash.
    Api(String),
    /// An access token with this hash. A one-time token is as good as the one that it was made with.
    Access(String),
    /// A password: it fitted this holder's secret. Snap's is another, and its client has none.
    Holder {
        /// Id of the holder.
        id: String,
        /// The secret's hash at that time.
        secret_hash: Option<String>,
    },
}

impl Proof {
    /// The hash of the access token, if it is one.
    #[must_use]
    pub(crate) fn access(&self) -> Option<&str> {
        match self {
            Self::Access(hash) => Some(hash),
            Self::Api(_) | Self::Holder { .. } => None,
        }
    }
}
