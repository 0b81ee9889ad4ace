//! Work without a request: runs of scripts, shared by their listeners.
//!
//! | file | what |
//! |---|---|
//! | `plan` | what to run where: stored config and start message put together and checked |
//! | `tally` | figures of many servers added up to one message |
//! | `ticker` | when a message is due (pure) |
//! | `message` | a message encoded once for all listeners |
//! | `server` | one server of a run: started, and started again when it fails |
//! | `drive` | one run: its servers' events in, messages out |
//! | `runs` | all runs: who shares which, within which limits |
//! | `fleet` | the servers there are |
//! | `identify` | who a bearer token belongs to |
//! | `record` | runs kept for later |

mod drive;
mod fleet;
mod identify;
mod message;
mod plan;
mod record;
mod runs;
mod server;
mod tally;
mod ticker;

pub use fleet::Fleet;
pub use identify::{ANONYMOUS, Away, Identify};
pub use message::{Encoded, Ending, Message};
pub use plan::{Plan, Refusal};
pub use runs::{Heard, JoinError, Listener, Runs};
