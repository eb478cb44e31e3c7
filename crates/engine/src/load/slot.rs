//! One load: who runs the loader, who waits, and how the turn passes on.
//!
//! A slot is *loading* (somebody runs their loader), *vacant* (nobody does, the
//! first in the queue has the turn), or *loaded* (every waiter takes a clone).
//! It keeps true that nobody waits for nothing: while the slot is vacant its first
//! waiter has been woken since it became the first, and when the slot is loaded
//! all have been. So whoever makes it vacant, or leaves a vacant one, gets the
//! next waker to wake; and a waiter that was woken and then dropped passes the
//! turn on by leaving.
//!
//! An *overtaken* slot gives its value to those who wait, but takes no further
//! turns: they begin anew, one after the other.
//!
//! Wakers belong to the application: they are woken and dropped outside all locks.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

use crate::sync::Mutex;

/// A load as its loader and its waiters share it.
#[derive(Debug)]
pub(crate) struct Slot<V> {
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    stage: Stage<V>,
    overtaken: bool,
    /// By ticket, so in the order of arrival; without a waker before the first look.
    waiters: BTreeMap<u64, Option<Waker>>,
    tickets: u64,
}

#[derive(Debug)]
enum Stage<V> {
    Loading,
    Vacant,
    Loaded(V),
}

/// What a waiter has waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<V> {
    /// To run its own loader; the slot is loading on its behalf now.
    Load,
    /// The value.
    Loaded(V),
    /// Nothing: something newer than this load is to be looked for.
    Again,
}

impl<V> Slot<V> {
    /// A slot that is loading on behalf of its creator.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Loading,
                overtaken: false,
                waiters: BTreeMap::new(),
                tickets: 0,
            }),
        }
    }

    /// Joins the queue and gets a ticket, to be looked after until it has had its
    /// turn or leaves.
    pub(crate) fn join(&self) -> u64 {
        let mut state = self.state.lock();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiters.insert(ticket, None);
        ticket
    }

    /// Whether a waiter has its turn; if not, its waker will tell.
    ///
    /// Once it has, the ticket is used up.
    pub(crate) fn poll(&self, ticket: u64, waker: &Waker) -> Poll<Turn<V>>
    where
        V: Clone,
    {
        let mut state = self.state.lock();
        let is_first = state.first() == Some(ticket);
        let turn = match &state.stage {
            Stage::Loaded(value) => Turn::Loaded(value.clone()),
            Stage::Vacant if state.overtaken => Turn::Again,
            Stage::Vacant if is_first => {
                state.stage = Stage::Loading;
                Turn::Load
            }
            Stage::Vacant | Stage::Loading => {
                let old = state.waiters.insert(ticket, Some(waker.clone()));
                drop(state);
                drop(old);
                return Poll::Pending;
            }
        };
        let old = state.waiters.remove(&ticket);
        let next = state.next();
        drop(state);
        drop(old);
        wake(next);
        Poll::Ready(turn)
    }

    /// Leaves the queue; returns whom to wake, if that passes the turn on.
    pub(crate) fn leave(&self, ticket: u64) -> Option<Waker> {
        let mut state = self.state.lock();
        let old = state.waiters.remove(&ticket);
        let next = state.next();
        drop(state);
        drop(old);
        next
    }

    /// Ends a load without a value; returns whom to wake.
    pub(crate) fn fail(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.stage = Stage::Vacant;
        state.next()
    }

    /// Ends a load with a value that every waiter gets.
    ///
    /// `value` is asked for only if somebody waits, so nobody may join any more.
    pub(crate) fn succeed(&self, value: impl FnOnce() -> V) {
        if self.state.lock().waiters.is_empty() {
            return;
        }
        let value = value();
        let waiters = {
            let mut state = self.state.lock();
            state.stage = Stage::Loaded(value);
            std::mem::take(&mut state.waiters)
        };
        waiters.into_values().for_each(wake);
    }

    /// Whether nobody loads and nobody waits.
    pub(crate) fn is_deserted(&self) -> bool {
        let state = self.state.lock();
        matches!(state.stage, Stage::Vacant) && state.waiters.is_empty()
    }

    /// Marks the load as older than a change of its key.
    ///
    /// Nobody has to be woken: those who wait notice when they have their turn.
    pub(crate) fn overtake(&self) {
        self.state.lock().overtaken = true;
    }

    /// Whether the key has been changed since the load began.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.state.lock().overtaken
    }
}

impl<V> State<V> {
    fn first(&self) -> Option<u64> {
        self.waiters.first_key_value().map(|(ticket, _)| *ticket)
    }

    /// The waker of the one who has the turn now.
    fn next(&self) -> Option<Waker> {
        match self.stage {
            // Without a waker it has yet to look, and will see for itself.
            Stage::Vacant => self.waiters.first_key_value()?.1.clone(),
            Stage::Loading | Stage::Loaded(_) => None,
        }
    }
}

/// Wakes a waiter, if there is one to wake.
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn waiter(slot: &Slot<u8>) -> (u64, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        let ticket = slot.join();
        let waker = Waker::from(Arc::clone(&bell));
        assert!(slot.poll(ticket, &waker).is_pending());
        (ticket, bell)
    }

    fn look(slot: &Slot<u8>, ticket: u64) -> Poll<Turn<u8>> {
        slot.poll(ticket, Waker::noop())
    }

    fn rings(bells: [&Bell; 3]) -> [u32; 3] {
        bells.map(|bell| bell.0.load(Relaxed))
    }

    #[test]
    fn a_value_wakes_all_and_a_failure_only_the_first() {
        let slot = Slot::new();
        let [(a, bell_a), (b, bell_b), (c, bell_c)] = [(); 3].map(|()| waiter(&slot));
        wake(slot.fail());
        assert_eq!(rings([&bell_a, &bell_b, &bell_c]), [1, 0, 0]);
        assert!(look(&slot, b).is_pending());
        assert_eq!(look(&slot, a), Poll::Ready(Turn::Load));
        slot.succeed(|| 7);
        assert_eq!(
            rings([&bell_a, &bell_b, &bell_c]),
            [1, 0, 1],
            "b looked last without its bell"
        );
        assert_eq!(look(&slot, b), Poll::Ready(Turn::Loaded(7)));
        assert_eq!(look(&slot, c), Poll::Ready(Turn::Loaded(7)));
    }

    #[test]
    fn whoever_leaves_with_the_turn_passes_it_on() {
        let slot = Slot::new();
        let [(a, bell_a), (b, bell_b), (c, bell_c)] = [(); 3].map(|()| waiter(&slot));
        wake(slot.leave(b));
        wake(slot.fail());
        assert_eq!(rings([&bell_a, &bell_b, &bell_c]), [1, 0, 0]);
        wake(slot.leave(a));
        assert_eq!(rings([&bell_a, &bell_b, &bell_c]), [1, 0, 1]);
        assert_eq!(look(&slot, c), Poll::Ready(Turn::Load));
        assert!(!slot.is_deserted());
        assert!(slot.fail().is_none() && slot.is_deserted());
    }

    #[test]
    fn those_who_wait_for_an_overtaken_load_begin_anew_one_by_one() {
        let slot = Slot::new();
        let [(a, bell_a), (b, bell_b), (c, bell_c)] = [(); 3].map(|()| waiter(&slot));
        slot.overtake();
        wake(slot.fail());
        assert_eq!(rings([&bell_a, &bell_b, &bell_c]), [1, 0, 0]);
        assert_eq!(look(&slot, a), Poll::Ready(Turn::Again));
        assert_eq!(rings([&bell_a, &bell_b, &bell_c]), [1, 1, 0]);
        assert_eq!(look(&slot, b), Poll::Ready(Turn::Again));
        assert_eq!(look(&slot, c), Poll::Ready(Turn::Again));
    }

    #[test]
    fn a_value_nobody_waits_for_is_not_asked_for() {
        Slot::<u8>::new().succeed(|| unreachable!("nobody waits"));
    }
}
