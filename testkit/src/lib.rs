//! The behaviour suite that every Larder backend passes.
//!
//! A case of the [`suite`] is a function that takes a [`Subject`], a backend on a
//! clock that tests move, and panics if a promise of
//! [`CacheBackend`](larder_core::CacheBackend) is broken. Authors of backends run
//! all cases with one line, [`conformance!`]; [`SixMethods`] is a complete small
//! backend to start from.
//!
//! ```
//! use larder_testkit::{CASES, SixMethods, Subject};
//!
//! for case in CASES {
//!     case.run(&Subject::new(SixMethods::with_clock));
//! }
//! ```

mod conformance;
#[cfg(feature = "servers")]
mod kill;
mod model;
mod model_backend;
#[cfg(feature = "servers")]
pub mod servers;
mod six_methods;
mod subject;
pub mod suite;

#[cfg(feature = "servers")]
pub use kill::kill_while_writing;
pub use larder_core::{ManualClock, SharedBackend};
pub use model::{Item, Model};
pub use model_backend::ModelBackend;
pub use six_methods::SixMethods;
pub use subject::Subject;
pub use suite::{CASES, Case};
