//! Settings of the file backend, checked when it is built.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Clock, ConfigError, Error, ErrorKind, Result, SystemClock};

use crate::backend::FileBackend;
use crate::folder::Folder;
use crate::store::{Rules, Store};
use crate::sweeper::Sweeper;

/// 1 GiB.
const DEFAULT_MAX_SIZE_BYTES: u64 = 1 << 30;
/// 64 MiB.
const DEFAULT_MAX_VALUE_BYTES: usize = 64 << 20;

/// Settings of a [`FileBackend`].
///
/// Without any: 1 GiB of files, values up to 64 MiB, no default lifetime.
///
/// ```
/// use larder_file::FileBackend;
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let cache = FileBackend::builder(folder)
///     .max_size_bytes(100 << 20)
///     .default_ttl(Duration::from_secs(3_600))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct FileBuilder {
    folder: PathBuf,
    max_size_bytes: u64,
    max_value_bytes: usize,
    default_ttl: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
}

impl FileBuilder {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            max_size_bytes: DEFAULT_MAX_SIZE_BYTES,
            max_value_bytes: DEFAULT_MAX_VALUE_BYTES,
            default_ttl: None,
            clock: None,
        }
    }

    /// Most bytes of all files together, at least 1; the least recently used go first.
    pub fn max_size_bytes(mut self, bytes: u64) -> Self {
        self.max_size_bytes = bytes;
        self
    }

    /// Most bytes of one value; larger ones are refused.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// How long entries live unless told otherwise.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = Some(ttl);
        self
    }

    /// Where the time comes from.
    ///
    /// With a clock of your own nothing happens in the background: call
    /// [`FileBackend::sweep`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The backend. It makes the folder if it is missing; what is in it is learned in
    /// the background and can be read at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] if a setting is out of range,
    /// [`ErrorKind::Unavailable`] if the folder cannot be made or written to.
    pub fn build(self) -> Result<FileBackend> {
        if self.max_size_bytes == 0 {
            return Err(ConfigError::new("max_size_bytes", 0, "at least 1").into());
        }
        let unavailable = |error| {
            let folder = self.folder.display();
            let message = format!("cannot use the folder {folder}: {error}");
            Error::new(ErrorKind::Unavailable, message).with_source(error)
        };
        let folder = Folder::open(&self.folder).map_err(unavailable)?;
        let in_background = self.clock.is_none();
        let rules = Rules {
            max_size_bytes: self.max_size_bytes,
            default_ttl: self.default_ttl,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
        };
        let store = Arc::new(Store::new(folder, rules));
        let sweeper = if in_background {
            Some(Sweeper::start(Arc::downgrade(&store)).map_err(unavailable)?)
        } else {
            None
        };
        Ok(FileBackend::new(store, self.max_value_bytes, sweeper))
    }
}
