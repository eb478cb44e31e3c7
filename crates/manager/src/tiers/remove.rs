//! Removing from tiers: by key, by pattern, by tag, all.

use std::sync::atomic::Ordering;

use larder_core::{CacheBackend, Capability, Counter, Pattern, Result, TagMatch};

use super::Inner;
use super::news::News;
use super::tier::Tier;
use super::tokens::RESERVED;

impl Inner {
    pub(super) async fn delete_many(&self, keys: &[&str]) -> Result<u64> {
        self.check(keys)?;
        let _held = self.keyed.hold(keys).await;
        let near = self.forget(keys).await?;
        let far = self.delete_far(keys).await;
        self.if_away(&far, || self.missed.removed(keys));
        let far = far?;
        self.missed.done(keys);
        // What has left the far tier may still have been in a nearer one.
        let deleted = near.max(far);
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn delete_far(&self, keys: &[&str]) -> Result<u64> {
        if let Some(fences) = &self.fences {
            fences.before_removal(keys).await?;
        }
        let deleted = self.split().0.backend.delete_many(keys).await?;
        self.tell(News::keys(keys)).await?;
        Ok(deleted)
    }

    pub(super) async fn clear(&self) -> Result<u64> {
        let _swept = self.keyed.sweep().await;
        let (last, nearer) = self.split();
        for tier in nearer {
            tier.backend.clear().await?;
        }
        let cleared = self.clear_far(last).await;
        self.if_away(&cleared, || self.missed.cleared());
        cleared
    }

    async fn clear_far(&self, last: &Tier) -> Result<u64> {
        if self.has_own_keys() && last.has(Capability::Keys) {
            // They are no entries, so they are not counted as such.
            let own = Pattern::prefix(RESERVED);
            last.backend.delete_pattern(&own).await?;
        }
        let cleared = last.backend.clear().await?;
        if let Some(fences) = &self.fences {
            // For those who will ask whether it was cleared, and when.
            fences.before_pattern().await?;
        }
        self.tell(News::Everything).await?;
        Ok(cleared)
    }

    pub(super) async fn delete_pattern(&self, pattern: &Pattern) -> Result<u64> {
        let _swept = self.keyed.sweep().await;
        let (last, nearer) = self.split();
        for tier in nearer {
            tier.forget_matching(pattern).await?;
        }
        let deleted = self.delete_far_matching(last, pattern).await;
        self.if_away(&deleted, || self.missed.swept(pattern));
        let deleted = deleted?;
        self.stats.add(Counter::Delete, deleted);
        Ok(deleted)
    }

    async fn delete_far_matching(&self, last: &Tier, pattern: &Pattern) -> Result<u64> {
        if let Some(fences) = &self.fences {
            fences.before_pattern().await?;
        }
        let deleted = if self.may_match_tokens(pattern) {
            self.remove_matching(Some(pattern)).await?
        } else {
            last.backend.delete_pattern(pattern).await?
        };
        self.tell(News::pattern(pattern)).await?;
        Ok(deleted)
    }

    fn may_match_tokens(&self, pattern: &Pattern) -> bool {
        let beginning = pattern.beginning();
        self.has_own_keys() && (RESERVED.starts_with(&beginning) || beginning.starts_with(RESERVED))
    }

    /// The keys of entries.
    pub(super) async fn own_keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let mut keys = self.split().0.backend.keys(pattern).await?;
        if self.has_own_keys() {
            keys.retain(|key| !key.starts_with(RESERVED));
        }
        Ok(keys)
    }

    pub(super) async fn invalidate_tags(
        &self,
        tags: &[&str],
        which: TagMatch,
    ) -> Result<Option<u64>> {
        self.forget_tagged(tags, which).await?;
        let gone = self.invalidate_far(tags, which).await;
        self.if_away(&gone, || self.missed.invalidated(tags, which));
        // Ordering: release, for those who acquire it with the number. Who reads an old
        // value counted before this, and finds out after it has made its copy.
        self.tag_changes.fetch_add(1, Ordering::Release);
        self.forget_tagged(tags, which).await?;
        gone
    }

    pub(super) async fn invalidate_far(
        &self,
        tags: &[&str],
        which: TagMatch,
    ) -> Result<Option<u64>> {
        if let Some(fences) = &self.fences {
            fences.before_tags().await?;
        }
        let gone = match &self.tokens {
            Some(tokens) => tokens.invalidate(tags, which).await.map(|()| None)?,
            None => self.split().0.backend.invalidate_tags(tags, which).await?,
        };
        self.tell(News::tags(tags, which)).await?;
        Ok(gone)
    }

    /// Removes copies with these tags from tiers that know them.
    pub(super) async fn forget_tagged(&self, tags: &[&str], which: TagMatch) -> Result<()> {
        let nearer = self.split().1.iter().filter(|tier| tier.keeps_tags);
        for tier in nearer {
            tier.backend.invalidate_tags(tags, which).await?;
        }
        Ok(())
    }
}
