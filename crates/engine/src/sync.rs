//! Locks and atomics of the engine, in one place so that a checker can replace them.
//!
//! Orderings: every atomic of the engine is either a hint that is checked again
//! under a lock, or a number that publishes nothing but itself, so `Relaxed` is
//! enough everywhere; entries are published by the locks alone.

pub(crate) use crate::lock::{Guard, Lock};
pub(crate) use parking_lot::{Condvar, Mutex};
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed,
};
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;
