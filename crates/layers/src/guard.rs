//! What goes around every operation alike: repeating, ending, refusing, measuring.

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheEntry, CacheStats, Capabilities, Condition, Operation, Pattern,
    Result, ScanPage, SetOptions, SharedBackend, TagMatch, Ttl, TtlState,
};

/// One operation on its way to the backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// Doing it twice leaves the same behind as doing it once.
    #[cfg_attr(
        not(feature = "retry"),
        expect(dead_code, reason = "only who repeats wants to know")
    )]
    pub(crate) is_repeatable: bool,
}

impl Call {
    fn repeatable(operation: Operation) -> Self {
        Self {
            operation,
            is_repeatable: true,
        }
    }

    fn once(operation: Operation) -> Self {
        Self {
            operation,
            is_repeatable: false,
        }
    }

    /// Storing under a condition is not the same the second time.
    fn set(operation: Operation, options: &SetOptions) -> Self {
        Self {
            operation,
            is_repeatable: options.condition == Condition::Always,
        }
    }
}

/// Something that is done around operations, whatever they are.
pub(crate) trait Guard: fmt::Debug + Send + Sync + 'static {
    /// Does `work`, perhaps several times or not at all.
    fn run<T, F>(
        &self,
        call: Call,
        work: impl Fn() -> F + Send + Sync,
    ) -> impl Future<Output = Result<T>> + Send
    where
        T: Send,
        F: Future<Output = Result<T>> + Send;

    /// Adds what the guard knows to the statistics of the backend.
    fn add_to(&self, stats: CacheStats) -> CacheStats {
        stats
    }
}

/// A backend with a guard around each operation.
#[derive(Debug)]
pub(crate) struct Guarded<G> {
    guard: G,
    inner: SharedBackend,
}

impl<G: Guard> Guarded<G> {
    pub(crate) fn around(inner: SharedBackend, guard: G) -> SharedBackend {
        SharedBackend::new(Self { guard, inner })
    }
}

#[deny(clippy::missing_trait_methods)]
impl<G: Guard> CacheBackend for Guarded<G> {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let call = Call::repeatable(Operation::Get);
        self.guard.run(call, || self.inner.get(key)).await
    }

    async fn set(&self, key: &str, value: Bytes, options: SetOptions) -> Result<bool> {
        let call = Call::set(Operation::Set, &options);
        let work = || self.inner.set(key, value.clone(), options.clone());
        self.guard.run(call, work).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let call = Call::repeatable(Operation::Delete);
        self.guard.run(call, || self.inner.delete(key)).await
    }

    async fn exists(&self, key: &str) -> Result<bool> {
        let call = Call::repeatable(Operation::Exists);
        self.guard.run(call, || self.inner.exists(key)).await
    }

    async fn clear(&self) -> Result<u64> {
        let call = Call::repeatable(Operation::Clear);
        self.guard.run(call, || self.inner.clear()).await
    }

    async fn stats(&self) -> Result<CacheStats> {
        let call = Call::repeatable(Operation::Stats);
        let stats = self.guard.run(call, || self.inner.stats()).await?;
        Ok(self.guard.add_to(stats))
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get_entry(&self, key: &str) -> Result<Option<CacheEntry>> {
        let call = Call::repeatable(Operation::GetEntry);
        self.guard.run(call, || self.inner.get_entry(key)).await
    }

    async fn get_many(&self, keys: &[&str]) -> Result<Vec<(String, Bytes)>> {
        let call = Call::repeatable(Operation::GetMany);
        self.guard.run(call, || self.inner.get_many(keys)).await
    }

    async fn get_entries(&self, keys: &[&str]) -> Result<Vec<CacheEntry>> {
        let call = Call::repeatable(Operation::GetEntries);
        self.guard.run(call, || self.inner.get_entries(keys)).await
    }

    async fn set_many(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Result<BatchReport> {
        let call = Call::set(Operation::SetMany, &options);
        let work = || self.inner.set_many(items.clone(), options.clone());
        self.guard.run(call, work).await
    }

    async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        let call = Call::repeatable(Operation::DeleteMany);
        self.guard.run(call, || self.inner.delete_many(keys)).await
    }

    async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let call = Call::repeatable(Operation::Keys);
        self.guard.run(call, || self.inner.keys(pattern)).await
    }

    async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let call = Call::repeatable(Operation::Scan);
        let work = || self.inner.scan(pattern, after, limit);
        self.guard.run(call, work).await
    }

    async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let call = Call::repeatable(Operation::DeletePattern);
        let work = || self.inner.delete_pattern(pattern);
        self.guard.run(call, work).await
    }

    async fn increment(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let call = Call::once(Operation::Increment);
        let work = || self.inner.increment(key, delta, ttl);
        self.guard.run(call, work).await
    }

    async fn decrement(&self, key: &str, delta: i64, ttl: Ttl) -> Result<i64> {
        let call = Call::once(Operation::Decrement);
        let work = || self.inner.decrement(key, delta, ttl);
        self.guard.run(call, work).await
    }

    async fn touch(&self, key: &str, ttl: Ttl) -> Result<bool> {
        let call = Call::repeatable(Operation::Touch);
        self.guard.run(call, || self.inner.touch(key, ttl)).await
    }

    async fn ttl(&self, key: &str) -> Result<Option<TtlState>> {
        let call = Call::repeatable(Operation::Ttl);
        self.guard.run(call, || self.inner.ttl(key)).await
    }

    async fn invalidate_tags(&self, tags: &[&str], which: TagMatch) -> Result<Option<u64>> {
        let call = Call::repeatable(Operation::InvalidateTags);
        let work = || self.inner.invalidate_tags(tags, which);
        self.guard.run(call, work).await
    }
}
