//! The crate is described in its README, which follows.

#![doc = include_str!("../README.md")]

mod bounds;
mod budget;
mod builder;
mod cache;
mod expiry;
mod load;
mod lock;
mod lookup;
mod policy;
mod removal;
mod room;
mod scan;
mod shard;
mod sync;
mod write;

pub use builder::CacheBuilder;
pub use cache::Cache;
pub use equivalent::Equivalent;
pub use policy::Policy;
pub use removal::RemovalCause;
pub use scan::Iter;
pub use write::{Change, Computed};
