//! Telling a worker's connections that it is time to end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

/// Whether the worker ends, and who wants to know. A connection looks at it each time it runs, which costs a look at a
/// number; nothing is locked.
#[derive(Debug, Default)]
pub(super) struct Drain {
    has_begun: Cell<bool>,
    waiting: RefCell<HashMap<u64, Waker>>,
    next: Cell<u64>,
}

/// A place among those who want to know.
#[derive(Debug)]
pub(super) struct Listening {
    drain: Rc<Drain>,
    number: u64,
}

impl Drain {
    /// Tells everybody.
    pub(super) fn begin(&self) {
        self.has_begun.set(true);
        for (_, waker) in self.waiting.borrow_mut().drain() {
            waker.wake();
        }
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Wakes `waker` when it begins.
    pub(super) fn listen(self: &Rc<Self>, waker: &Waker) -> Listening {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        self.waiting.borrow_mut().insert(number, waker.clone());
        Listening { drain: Rc::clone(self), number }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.drain.waiting.borrow_mut().remove(&self.number);
    }
}
