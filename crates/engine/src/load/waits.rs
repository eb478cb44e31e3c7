//! Which load waits for which, so that no load ever waits for itself.
//!
//! A load has no thread of its own, but while its loader runs (a closure) or is
//! polled (a future) it is on the stack of a thread. That stack tells on whose
//! behalf something is asked for: a caller that has to wait makes all loads on
//! the stack wait. Looking for a way from the load to wait for back to the stack,
//! and noting the wait, is one step under one lock; so of the waits that would
//! close a circle the last one always finds it.
//!
//! Callers outside of any load cannot close a circle and take no lock. The waits
//! of the whole process are in one place, because a circle may lead through
//! several caches. What all of them share is not of `crate::sync`: a checker has
//! nothing to try out while that lock is held, and runs many times in one process.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::sync::thread_local;

/// A load of any cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LoadId(u64);

impl LoadId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

thread_local! {
    /// The loads that run on this thread right now, outermost first.
    static RUNNING: RefCell<Vec<LoadId>> = const { RefCell::new(Vec::new()) };
}

/// What each load waits for; several, if its future waits for several at once.
///
static WAITS: Mutex<BTreeMap<LoadId, Vec<LoadId>>> = Mutex::new(BTreeMap::new());

/// Runs a piece of a load, with the load on this thread's stack.
pub(crate) fn running<T>(load: LoadId, piece: impl FnOnce() -> T) -> T {
    let _on_stack = OnStack::new(load);
    piece()
}

struct OnStack;

impl OnStack {
    fn new(load: LoadId) -> Self {
        // A thread at its very end has no stack any more, and no circle is found.
        let _ = RUNNING.try_with(|running| running.borrow_mut().push(load));
        Self
    }
}

impl Drop for OnStack {
    fn drop(&mut self) {
        let _ = RUNNING.try_with(|running| running.borrow_mut().pop());
    }
}

/// That the loads on a stack wait for another one, while this lives.
#[derive(Debug)]
pub(crate) struct Wait {
    waiting: Vec<LoadId>,
    awaited: LoadId,
}

impl Wait {
    /// Waits for a load on behalf of those that run on this thread; `None` if one
    /// of them would wait for itself.
    pub(crate) fn begin(awaited: LoadId) -> Option<Self> {
        let waiting = RUNNING
            .try_with(|running| running.borrow().clone())
            .unwrap_or_default();
        if !waiting.is_empty() {
            let mut waits = WAITS.lock();
            if leads_to(&waits, awaited, &waiting) {
                return None;
            }
            for load in &waiting {
                waits.entry(*load).or_default().push(awaited);
            }
        }
        Some(Self { waiting, awaited })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waits = WAITS.lock();
        for load in &self.waiting {
            let Some(awaited) = waits.get_mut(load) else {
                continue;
            };
            if let Some(position) = awaited.iter().position(|load| *load == self.awaited) {
                awaited.swap_remove(position);
            }
            if awaited.is_empty() {
                waits.remove(load);
            }
        }
    }
}

/// Whether a load is one of `ends`, or waits for one, however indirectly.
fn leads_to(waits: &BTreeMap<LoadId, Vec<LoadId>>, start: LoadId, ends: &[LoadId]) -> bool {
    let (mut seen, mut next) = (Vec::new(), vec![start]);
    while let Some(load) = next.pop() {
        if ends.contains(&load) {
            return true;
        }
        if !seen.contains(&load) {
            seen.push(load);
            next.extend(waits.get(&load).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: D45
    #[test]
    fn the_wait_that_closes_a_circle_is_refused() {
        let [a, b, c, d] = [(); 4].map(|()| LoadId::new());
        let begin = |load, awaited| running(load, || Wait::begin(awaited));
        assert!(begin(a, a).is_none(), "for itself");
        let inner = running(a, || begin(b, a));
        assert!(inner.is_none(), "for the load that it is part of");
        let first = running(a, || begin(b, c)).expect("no circle yet");
        let second = begin(c, d).expect("no circle yet");
        assert!(begin(d, a).is_none() && begin(d, b).is_none());
        assert!(Wait::begin(a).is_some(), "outside of any load");
        drop(second);
        assert!(begin(d, a).is_some(), "c waits no more");
        drop(first);
        let left = WAITS.lock();
        assert!([a, b, c, d].iter().all(|load| !left.contains_key(load)));
    }
}
