//! Loading one key: what callers see.

use larder_core::Result;

use super::{Cause, Load, LoadOptions};
use crate::manager::{CacheManager, Inner, Value};

/// # Loading
///
/// What is missing in all tiers is loaded, stored in them, and returned. Of several
/// callers at the same time one loads and the others wait for its value; if it fails, the
/// next of them runs its own loader. What is stored is never older than a change or a
/// removal that was made meanwhile.
///
/// No tier that is away keeps a value from being loaded, and an old value that may still
/// be served ([`LoadOptions::stale_for`]) is better than an error: a call fails only if
/// neither a tier nor the loader has an answer.
impl CacheManager {
    /// The value of a key, loaded if it is missing.
    ///
    /// The loader is given a [`Load`] with which it can decide about lifetime and tags. It
    /// owns what it needs, so that it can go on in the background when there is something
    /// stale to serve meanwhile; that needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Of kind [`Load`](larder_core::ErrorKind::Load), with what the loader said as its
    /// source; of kind [`Timeout`](larder_core::ErrorKind::Timeout) if it took too long;
    /// and those of the caller.
    ///
    /// ```
    /// use larder_manager::CacheManager;
    /// use std::time::Duration;
    ///
    /// # async fn query(id: u64) -> std::io::Result<String> { Ok(format!("user {id}")) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let cache = CacheManager::memory();
    /// let minute = Duration::from_secs(60);
    /// let user: String = cache.get_or_load("user:7", minute, |_| query(7)).await?;
    /// assert_eq!(user, "user 7");
    /// # Ok::<(), larder_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[inline]
    pub async fn get_or_load<T, L, F, E>(
        &self,
        key: &str,
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        let options = options.into();
        if options.refresh_after.is_none()
            && let Some(value) = self.0.near(key)
        {
            return Ok(value);
        }
        let refresh = Inner::refresh::<T, L>;
        Box::pin(self.0.find_or_load(key, options, load, Some(refresh))).await
    }

    /// The value of a key, loaded if it is missing, by a loader that may borrow: so it ends
    /// when the caller gives up, and nothing is refreshed in the background.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load).
    #[inline]
    pub async fn get_or_load_here<T, L, F, E>(
        &self,
        key: &str,
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        let options = options.into();
        if let Some(value) = self.0.near(key) {
            return Ok(value);
        }
        Box::pin(self.0.find_or_load(key, options, load, None)).await
    }

    /// Loads a value whether it is there or not, and stores it.
    ///
    /// # Errors
    ///
    /// As [`get_or_load`](Self::get_or_load), but nothing stale stands for the value.
    pub async fn refresh<T, L, F, E>(
        &self,
        key: &str,
        options: impl Into<LoadOptions> + Send,
        load: L,
    ) -> Result<T>
    where
        T: Value,
        L: FnOnce(Load) -> F + Send,
        F: Future<Output = Result<T, E>> + Send,
        E: Into<Cause>,
    {
        let options = options.into();
        let begun = self.0.begin(key, &options).await;
        self.0.load(key, options, load, begun).await?.take()
    }
}
