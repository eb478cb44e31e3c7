//! The contract in a form that can stand behind a pointer.
//!
//! `async fn` in a trait is not dyn-compatible, so each method has a twin that
//! boxes its future. The twins are private; [`SharedBackend`](super::SharedBackend)
//! is their only caller. Their names differ from the contract's, because equal
//! names would be ambiguous at every call.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use super::CacheBackend;
use crate::batch::{BatchReport, ScanPage};
use crate::capability::Capabilities;
use crate::entry::CacheEntry;
use crate::error::Result;
use crate::options::{SetOptions, TagMatch, Ttl, TtlState};
use crate::pattern::Pattern;
use crate::stats::CacheStats;

/// A boxed future of a result.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// [`CacheBackend`] with boxed futures.
pub(super) trait ErasedBackend: Send + Sync + 'static {
    fn name_dyn(&self) -> &'static str;
    fn capabilities_dyn(&self) -> Capabilities;
    fn get_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<Bytes>>;
    fn set_dyn<'a>(&'a self, key: &'a str, value: Bytes, options: SetOptions) -> Boxed<'a, bool>;
    fn delete_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, bool>;
    fn exists_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, bool>;
    fn clear_dyn(&self) -> Boxed<'_, u64>;
    fn stats_dyn(&self) -> Boxed<'_, CacheStats>;
    fn get_entry_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<CacheEntry>>;
    fn get_many_dyn<'a>(&'a self, keys: &'a [&'a str]) -> Boxed<'a, Vec<(String, Bytes)>>;
    fn get_entries_dyn<'a>(&'a self, keys: &'a [&'a str]) -> Boxed<'a, Vec<CacheEntry>>;
    fn set_many_dyn(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Boxed<'_, BatchReport>;
    fn delete_many_dyn<'a>(&'a self, keys: &'a [&'a str]) -> Boxed<'a, u64>;
    fn keys_dyn<'a>(&'a self, pattern: Option<&'a Pattern>) -> Boxed<'a, Vec<String>>;
    fn scan_dyn<'a>(
        &'a self,
        pattern: Option<&'a Pattern>,
        after: Option<&'a str>,
        limit: usize,
    ) -> Boxed<'a, ScanPage>;
    fn delete_pattern_dyn<'a>(&'a self, pattern: &'a Pattern) -> Boxed<'a, u64>;
    fn increment_dyn<'a>(&'a self, key: &'a str, delta: i64, ttl: Ttl) -> Boxed<'a, i64>;
    fn decrement_dyn<'a>(&'a self, key: &'a str, delta: i64, ttl: Ttl) -> Boxed<'a, i64>;
    fn touch_dyn<'a>(&'a self, key: &'a str, ttl: Ttl) -> Boxed<'a, bool>;
    fn ttl_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<TtlState>>;
    fn invalidate_tags_dyn<'a>(
        &'a self,
        tags: &'a [&'a str],
        which: TagMatch,
    ) -> Boxed<'a, Option<u64>>;
}

impl<B: CacheBackend> ErasedBackend for B {
    fn name_dyn(&self) -> &'static str {
        self.name()
    }

    fn capabilities_dyn(&self) -> Capabilities {
        self.capabilities()
    }

    fn get_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<Bytes>> {
        Box::pin(self.get(key))
    }

    fn set_dyn<'a>(&'a self, key: &'a str, value: Bytes, options: SetOptions) -> Boxed<'a, bool> {
        Box::pin(self.set(key, value, options))
    }

    fn delete_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, bool> {
        Box::pin(self.delete(key))
    }

    fn exists_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, bool> {
        Box::pin(self.exists(key))
    }

    fn clear_dyn(&self) -> Boxed<'_, u64> {
        Box::pin(self.clear())
    }

    fn stats_dyn(&self) -> Boxed<'_, CacheStats> {
        Box::pin(self.stats())
    }

    fn get_entry_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<CacheEntry>> {
        Box::pin(self.get_entry(key))
    }

    fn get_many_dyn<'a>(&'a self, keys: &'a [&'a str]) -> Boxed<'a, Vec<(String, Bytes)>> {
        Box::pin(self.get_many(keys))
    }

    fn get_entries_dyn<'a>(&'a self, keys: &'a [&'a str]) -> Boxed<'a, Vec<CacheEntry>> {
        Box::pin(self.get_entries(keys))
    }

    fn set_many_dyn(
        &self,
        items: Vec<(String, Bytes)>,
        options: SetOptions,
    ) -> Boxed<'_, BatchReport> {
        Box::pin(self.set_many(items, options))
    }

    fn delete_many_dyn<'a>(&'a self, keys: &'a [&'a str]) -> Boxed<'a, u64> {
        Box::pin(self.delete_many(keys))
    }

    fn keys_dyn<'a>(&'a self, pattern: Option<&'a Pattern>) -> Boxed<'a, Vec<String>> {
        Box::pin(self.keys(pattern))
    }

    fn scan_dyn<'a>(
        &'a self,
        pattern: Option<&'a Pattern>,
        after: Option<&'a str>,
        limit: usize,
    ) -> Boxed<'a, ScanPage> {
        Box::pin(self.scan(pattern, after, limit))
    }

    fn delete_pattern_dyn<'a>(&'a self, pattern: &'a Pattern) -> Boxed<'a, u64> {
        Box::pin(self.delete_pattern(pattern))
    }

    fn increment_dyn<'a>(&'a self, key: &'a str, delta: i64, ttl: Ttl) -> Boxed<'a, i64> {
        Box::pin(self.increment(key, delta, ttl))
    }

    fn decrement_dyn<'a>(&'a self, key: &'a str, delta: i64, ttl: Ttl) -> Boxed<'a, i64> {
        Box::pin(self.decrement(key, delta, ttl))
    }

    fn touch_dyn<'a>(&'a self, key: &'a str, ttl: Ttl) -> Boxed<'a, bool> {
        Box::pin(self.touch(key, ttl))
    }

    fn ttl_dyn<'a>(&'a self, key: &'a str) -> Boxed<'a, Option<TtlState>> {
        Box::pin(self.ttl(key))
    }

    fn invalidate_tags_dyn<'a>(
        &'a self,
        tags: &'a [&'a str],
        which: TagMatch,
    ) -> Boxed<'a, Option<u64>> {
        Box::pin(self.invalidate_tags(tags, which))
    }
}
