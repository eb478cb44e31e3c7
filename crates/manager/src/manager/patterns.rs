//! Keys by pattern.

use larder_core::{CacheBackend, Pattern, Result, ScanPage};

use super::{CacheManager, Inner};

/// What can be given where keys are picked by a pattern: text is a glob.
///
/// ```
/// use larder_core::Pattern;
/// use larder_manager::ToPattern;
///
/// assert!("user:*".to_pattern()?.matches("user:1"));
/// assert!(Pattern::like("user:_")?.to_pattern()?.matches("user:1"));
/// # Ok::<(), larder_core::Error>(())
/// ```
pub trait ToPattern {
    /// The pattern.
    ///
    /// # Errors
    ///
    /// If there is none of this text.
    fn to_pattern(&self) -> Result<Pattern>;

    /// The text of a glob.
    fn as_glob(&self) -> Option<&str> {
        None
    }
}

impl ToPattern for str {
    fn to_pattern(&self) -> Result<Pattern> {
        Pattern::glob(self)
    }

    fn as_glob(&self) -> Option<&str> {
        Some(self)
    }
}

impl ToPattern for String {
    fn to_pattern(&self) -> Result<Pattern> {
        self.as_str().to_pattern()
    }

    fn as_glob(&self) -> Option<&str> {
        Some(self)
    }
}

impl ToPattern for Pattern {
    fn to_pattern(&self) -> Result<Pattern> {
        Ok(self.clone())
    }
}

impl<P: ToPattern + ?Sized> ToPattern for &P {
    fn to_pattern(&self) -> Result<Pattern> {
        (**self).to_pattern()
    }

    fn as_glob(&self) -> Option<&str> {
        (**self).as_glob()
    }
}

/// # Many keys by a pattern
///
/// A glob is relative to the prefix of the cache; one that begins with the prefix means
/// the same. Errors are as for one key; a tier that cannot list its keys says so.
impl CacheManager {
    /// The keys that match, in no particular order. They can be given to all other verbs.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn keys(&self, pattern: impl ToPattern + Send) -> Result<Vec<String>> {
        let pattern = self.0.relative(&pattern)?;
        let keys = self.0.cache.keys(Some(&pattern)).await;
        self.0.lenient(keys, Vec::new())
    }

    /// At most `limit` keys that match and come after `after`, in lexicographic order.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn scan(
        &self,
        pattern: impl ToPattern + Send,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let pattern = self.0.relative(&pattern)?;
        let page = self.0.cache.scan(Some(&pattern), after, limit).await;
        self.0.lenient(page, ScanPage::default())
    }

    /// Removes the keys that match from every tier, and tells how many there were.
    ///
    /// # Errors
    ///
    /// As described above.
    pub async fn delete_pattern(&self, pattern: impl ToPattern + Send) -> Result<u64> {
        let pattern = self.0.relative(&pattern)?;
        tracing::debug!(%pattern, "delete");
        let deleted = self.0.cache.delete_pattern(&pattern).await;
        self.0.loads.overtake_all();
        self.0.lenient(deleted, 0)
    }
}

impl Inner {
    /// The pattern without the prefix, if it is a glob that begins with it.
    fn relative(&self, pattern: &impl ToPattern) -> Result<Pattern> {
        let glob = pattern.as_glob().filter(|_| !self.prefix.is_empty());
        match glob.and_then(|glob| glob.strip_prefix(&self.prefix)) {
            Some(rest) => Pattern::glob(rest),
            None => pattern.to_pattern(),
        }
    }
}
