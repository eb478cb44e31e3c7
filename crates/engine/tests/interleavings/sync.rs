//! The locks and atomics of the engine, as the checker has them.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed,
};
pub(crate) use shuttle::thread::yield_now;
pub(crate) use shuttle::thread_local;

// The engine's locks are not poisoned by a panic.

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// Empty only while its thread waits on a [`Condvar`].
pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

const LOCKED: &str = "only a waiting thread lets go of its guard";

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard(Some(guard))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(LOCKED)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(LOCKED)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let locked = guard.0.take().expect(LOCKED);
        let locked = self.0.wait(locked).unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(locked);
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// The lock of a shard.
pub(crate) type Lock<T> = Mutex<T>;
/// See [`Lock`].
pub(crate) type Guard<'a, T> = MutexGuard<'a, T>;
