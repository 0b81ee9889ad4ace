//! What a program asks of the system, and how it ends.

use rustix::process::{Resource, getrlimit, setrlimit};
use std::time::Duration;
use tokio::runtime::Builder;

/// Longest wait, at the end of a program, for threads that wait for a database: nobody waits any more for what they were
/// asked, and what they write is stored whole or not at all.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a program to its end, and no longer, with as many open files as the system allows it.
///
/// # Errors
/// When the system gives no threads.
pub fn run<T>(mut runtime: Builder, program: impl Future<Output = T>) -> std::io::Result<T> {
    raise_open_files();
    let runtime = runtime.enable_all().build()?;
    let outcome = runtime.block_on(program);
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    Ok(outcome)
}

/// How many files and connections this process may have open; `None` for as many as it likes.
#[must_use]
pub fn open_files() -> Option<usize> {
    getrlimit(Resource::Nofile).current.map(|most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Login shells give 1024, for programs that are older than the wait for many (`select`), and allow far more.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(cause) = setrlimit(Resource::Nofile, limit) {
            log::warn!("the limit of open files stays as it is: {cause}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_thread_that_waits_for_ever_does_not_keep_a_program_from_ending() {
        let (end, ended) = mpsc::channel::<()>();
        let program = async {
            tokio::task::spawn_blocking(move || ended.recv());
            7
        };
        assert_eq!(run(Builder::new_multi_thread(), program).unwrap(), 7);
        assert!(end.send(()).is_ok(), "the thread still waits");
    }

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        raise_open_files();
        let most = getrlimit(Resource::Nofile).maximum.map(|most| usize::try_from(most).unwrap());
        assert_eq!(open_files(), most);
    }
}
