//! The lock of a shard: a hit takes it with one locked instruction.
//!
//! Unlocking is a plain store, where a lock that can wake sleepers needs a second
//! locked instruction; of a hit of some 20 ns that would be a third. In exchange a
//! waiter has to look again and again: at once, then after letting others run, then
//! after short naps, so that a holder that the system has paused costs little. Locks
//! are held for less than a microsecond, and never while the application runs, but
//! for the `Hash`, `Eq` and `Clone` of its keys and values and for closures that
//! say so.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// Looks without a pause between them that lets others run.
const SPINS: u32 = 64;
/// Looks with such a pause.
const YIELDS: u32 = 128;
/// After that, a nap before each look.
const NAP: Duration = Duration::from_micros(50);

/// Never signalled: a nap must not use up the caller's park token.
static NAPPING: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// An exclusive lock around what it protects.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(SpinMutex<T>);

/// Access, until it is dropped.
pub(crate) type Guard<'a, T> = SpinMutexGuard<'a, T>;

impl<T> Lock<T> {
    pub(crate) fn new(protected: T) -> Self {
        Self(SpinMutex::new(protected))
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        match self.0.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> Guard<'_, T> {
        let mut looks = 0;
        loop {
            // Looking first without writing leaves the line with the holder.
            if !self.0.is_locked()
                && let Some(guard) = self.0.try_lock()
            {
                return guard;
            }
            looks += 1;
            match looks {
                0..SPINS => std::hint::spin_loop(),
                SPINS..YIELDS => std::thread::yield_now(),
                _ => {
                    let (napping, never) = &NAPPING;
                    never.wait_for(&mut napping.lock(), NAP);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_even_with_more_threads_than_processors() {
        let lock = Lock::new(0_u64);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let mut guard = lock.lock();
                        let before = *guard;
                        *guard = std::hint::black_box(before) + 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 160_000);
    }

    #[test]
    fn a_panic_unlocks() {
        let lock = Lock::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = lock.lock();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.lock(), 1);
    }
}
