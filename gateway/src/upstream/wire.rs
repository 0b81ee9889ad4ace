//! HTTP/1.1 as spoken to services (RFC 9112), on one connection in one task.
//!
//! A ready-made client runs each connection as a task of its own and hands requests, answers and pieces of bodies to and
//! fro through channels; that was a quarter of the gateway's work (`e2e/bench/README.md`). Here whoever waits for an
//! answer moves the connection itself. A request is written out once, as bytes, and so can be sent again elsewhere.
//!
//! | file | what |
//! |---|---|
//! | `head` | the head of an answer, from bytes |
//! | `framing` | where an answer's body ends |
//! | `sending` | a request on its way out |
//! | `link` | one connection |

mod framing;
mod head;
mod link;
mod sending;

pub(crate) use head::{Head, is_of_connection, is_of_house};
pub(crate) use link::{Answer, Failure, Link};
pub(crate) use sending::Outgoing;
