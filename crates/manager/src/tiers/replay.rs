//! Doing what the farthest tier has missed, when it is back.
//!
//! Other programs may have changed the same keys meanwhile. A removal is done in any
//! case. What was stored is stored again only if nobody has removed the key since, which
//! its fence tells by its age, and nobody has stored something later, by the clocks of
//! both programs; otherwise the key is removed, and whoever needs it loads it.

use std::sync::Weak;
use std::time::{Duration, SystemTime};

use larder_core::{
    CacheBackend, Capability, Condition, Error, ErrorKind, Pattern, Result, SetOptions, Ttl,
};

use super::Inner;
use super::missed::Change;
use super::news::News;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// Keys that are removed at once.
const CHUNK: usize = 500;

/// Whether a tier is away, which is nobody's fault who called, and not that it refused.
pub(crate) fn is_away(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Denied
            | ErrorKind::Corrupted
            | ErrorKind::Other
    )
}

impl Inner {
    /// Remembers a change that the farthest tier missed, if it is away.
    pub(super) fn if_away<T>(&self, outcome: &Result<T>, remember: impl FnOnce()) {
        if let Err(error) = outcome
            && is_away(error)
        {
            remember();
            self.replay_later();
        }
    }

    /// Has what was missed done in the background, if there is a runtime.
    pub(super) fn replay_later(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut replaying = self.replaying.lock();
        if replaying.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        *replaying = Some(runtime.spawn(replay_until_done(Weak::clone(&self.me))));
    }

    /// Does what was missed.
    pub(super) async fn replay(&self) -> Result<()> {
        if self.missed.is_empty() {
            return Ok(());
        }
        let all = self.missed.all();
        let (last, _) = self.split();
        if all.everything {
            let _swept = self.keyed.sweep().await;
            if let Some(fences) = &self.fences {
                fences.before_pattern().await?;
            }
            if last.has(Capability::Keys) {
                self.remove_matching(None).await?;
            } else {
                last.backend.clear().await?;
            }
            self.tell(News::Everything).await?;
        }
        for pattern in &all.patterns {
            let _swept = self.keyed.sweep().await;
            if let Some(fences) = &self.fences {
                fences.before_pattern().await?;
            }
            self.remove_matching(Some(pattern)).await?;
            self.tell(News::pattern(pattern)).await?;
        }
        for (tags, which) in &all.tags {
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            self.invalidate_far(&tags, *which).await?;
        }
        if !all.untold.is_empty() {
            let keys: Vec<&str> = all.untold.iter().map(String::as_str).collect();
            self.tell(News::keys(&keys)).await?;
        }
        self.missed.done_sweeping(&all);
        let keys: Vec<&str> = all.keys.keys().map(String::as_str).collect();
        for chunk in keys.chunks(CHUNK) {
            self.replay_keys(chunk).await?;
        }
        Ok(())
    }

    /// Removes keys from the farthest tier, but not those that are the cache's own.
    pub(super) async fn remove_matching(&self, pattern: Option<&Pattern>) -> Result<u64> {
        let keys = self.own_keys(pattern).await?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut removed = 0;
        for chunk in keys.chunks(CHUNK) {
            removed += self.split().0.backend.delete_many(chunk).await?;
        }
        Ok(removed)
    }

    async fn replay_keys(&self, keys: &[&str]) -> Result<()> {
        let _held = self.keyed.hold(keys).await;
        let (last, _) = self.split();
        // Whoever changed one meanwhile has done it already.
        let changes = keys
            .iter()
            .filter_map(|key| Some((*key, self.missed.change_of(key)?)));
        let changes: Vec<(&str, Change)> = changes.collect();
        let keys: Vec<&str> = changes.iter().map(|(key, _)| *key).collect();
        let mut latest = Vec::new();
        for (key, change) in &changes {
            if let Change::Stored { value, options, at } = change
                && let Some(options) = self.still_good(key, options, *at).await?
            {
                latest.push((*key, value.clone(), options));
            }
        }
        if let Some(fences) = &self.fences {
            fences.before_removal(&keys).await?;
        }
        last.backend.delete_many(&keys).await?;
        for (key, value, options) in latest {
            // Unless somebody has been faster.
            last.set(key, value, &options, None).await?;
        }
        self.tell(News::keys(&keys)).await?;
        self.forget(&keys).await?;
        self.missed.done(&keys);
        Ok(())
    }

    /// What a missed value is stored with now, if it is still the last word on its key.
    async fn still_good(
        &self,
        key: &str,
        options: &SetOptions,
        (at, elapsed): (SystemTime, Duration),
    ) -> Result<Option<SetOptions>> {
        let (last, _) = self.split();
        let age = self.clock.elapsed().saturating_sub(elapsed);
        let mut options = options.clone();
        if let Ttl::After(ttl) = options.ttl {
            let Some(rest) = ttl.checked_sub(age).filter(|rest| !rest.is_zero()) else {
                return Ok(None);
            };
            options.ttl = Ttl::After(rest);
        }
        if last.has(Capability::Conditions) {
            options.condition = Condition::IfAbsent;
        }
        let there = last.backend.get_entry(key).await?;
        if there.is_some_and(|there| there.created_at > at) {
            return Ok(None);
        }
        let was_removed = match &self.fences {
            Some(fences) => fences.was_removed_within(key, age).await?,
            None => false,
        };
        Ok((!was_removed).then_some(options))
    }
}

/// Tries again and again, as long as the tiers are used by somebody.
async fn replay_until_done(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(PAUSE);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        match inner.replay().await {
            Ok(()) if inner.missed.is_empty() => {
                tracing::info!("the farthest tier is back and knows what it missed");
                return;
            }
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "the farthest tier is still away"),
        }
    }
}
