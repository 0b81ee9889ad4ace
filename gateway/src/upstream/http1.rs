//! HTTP/1.1 as a client speaks it (RFC 9112): a connection to a service, one exchange at a time, driven by the task of
//! the request that it carries.
//!
//! Why not the library that serves the clients: its client's end has a task of its own for each connection, two channels
//! between that and the request, and took two fifths of all instructions of a small request
//! (`e2e/bench/README.md`). The grammar stays with the parser that the library uses, too.

mod body;
mod head;
mod link;
mod sending;

pub(super) use link::Link;

use crate::body::BrokenBody;
use std::io;

/// Bytes of an answer's head, or of what is read at once of its body, at most. Larger pieces made answers of 100 KiB
/// slower: they leave the processor's cache before they are written.
const READ_BYTES: usize = 64 << 10;

/// Headers of one answer at most.
const MAX_HEADERS: usize = 100;

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The service closed it before its answer was whole.
    #[error("closed in the middle of an answer")]
    Closed,
    /// What it sent is no answer.
    #[error("not an answer: {0}")]
    Malformed(&'static str),
    /// The request's body broke off.
    #[error(transparent)]
    Upload(#[from] BrokenBody),
}

impl LinkError {
    /// Whether the connection broke without an end. A service that closes it well first, and then does not take what we
    /// still send, makes it a broken pipe: all that it said is there.
    fn is_reset(&self) -> bool {
        matches!(self, Self::Io(cause) if cause.kind() != io::ErrorKind::BrokenPipe)
    }
}
