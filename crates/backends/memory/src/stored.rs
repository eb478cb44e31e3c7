//! What is kept under a key.

use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use larder_core::{CacheEntry, Metadata};

use crate::tagged::Tags;

/// A value with what is known of it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Bytes,
    pub(crate) created_at: SystemTime,
    metadata: Option<Arc<Metadata>>,
    tags: Option<Arc<Tags>>,
    /// When it was stored or last found to be right, in the count of `distrust`.
    epoch: AtomicU32,
    /// What somebody made of the bytes.
    decoded: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Stored {
    pub(crate) fn new(value: Bytes, created_at: SystemTime, epoch: u32) -> Self {
        Self {
            value,
            created_at,
            metadata: None,
            tags: None,
            epoch: AtomicU32::new(epoch),
            decoded: OnceLock::new(),
        }
    }

    pub(crate) fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = (!metadata.is_empty()).then(|| Arc::new(metadata));
        self
    }

    pub(crate) fn with_tags(mut self, tags: Option<Arc<Tags>>) -> Self {
        self.tags = tags;
        self
    }

    /// Another value of the same entry.
    pub(crate) fn with_value(&self, value: Bytes, tags: Option<Arc<Tags>>) -> Self {
        Self {
            metadata: self.metadata.clone(),
            tags,
            ..Self::new(value, self.created_at, self.epoch())
        }
    }

    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        // Ordering: relaxed, the lock of the entry orders it.
        self.epoch.load(Ordering::Relaxed)
    }

    /// It is as right as what is stored in this epoch.
    pub(crate) fn renew(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.value.len() as u64
    }

    pub(crate) fn tags(&self) -> Option<&Tags> {
        self.tags.as_deref()
    }

    pub(crate) fn tag_names(&self) -> &[String] {
        self.tags().map_or(&[], |tags| &tags.names)
    }

    /// The number of a tagged value.
    pub(crate) fn number(&self) -> Option<u64> {
        self.tags().map(Tags::number)
    }

    /// Adds metadata and tags to an entry.
    pub(crate) fn tell(self, entry: &mut CacheEntry) {
        entry.tags = self.tag_names().to_vec();
        let metadata = self.metadata.map(Arc::unwrap_or_clone);
        entry.metadata = metadata.unwrap_or_default();
    }

    /// What somebody made of the bytes, if it was this type.
    #[inline]
    pub(crate) fn decoded<T: Clone + 'static>(&self) -> Option<T> {
        self.decoded.get()?.downcast_ref::<T>().cloned()
    }

    /// Keeps what was made of these bytes, unless there are others now, or somebody made
    /// something of them already.
    pub(crate) fn keep_decoded<T: Send + Sync + 'static>(&self, bytes: &Bytes, value: &Arc<T>) {
        if self.value.as_ptr() == bytes.as_ptr() && self.value.len() == bytes.len() {
            self.decoded.get_or_init(|| Arc::clone(value) as _);
        }
    }
}

impl Clone for Stored {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            created_at: self.created_at,
            metadata: self.metadata.clone(),
            tags: self.tags.clone(),
            epoch: AtomicU32::new(self.epoch()),
            decoded: self.decoded.clone(),
        }
    }
}
