//! A backend that keeps entries in files: one file per entry, in 256 folders.
//!
//! Entries survive restarts, and a process that is killed in the middle of a write: a
//! file is written under another name, then renamed, and has a checksum. Several
//! processes may share a folder. Keys never become paths: a file is named after the
//! hash of its key, and the key is inside.
//!
//! ```
//! use larder_core::{SetOptions, SharedBackend};
//! use larder_file::FileBackend;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! # let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
//! # runtime.block_on(async {
//! use larder_core::CacheBackend;
//!
//! let cache = SharedBackend::new(FileBackend::builder(folder).build()?);
//! cache.set("../../greeting", "hello".into(), SetOptions::new()).await?;
//!
//! let after_a_restart = SharedBackend::new(FileBackend::builder(folder).build()?);
//! assert_eq!(after_a_restart.get("../../greeting").await?, Some("hello".into()));
//! # Ok::<(), larder_core::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod builder;
mod folder;
mod index;
mod record;
mod store;
mod sweeper;

pub use backend::FileBackend;
pub use builder::FileBuilder;
