//! Hearing of what others have changed.

use std::sync::atomic::Ordering;

use larder_core::{CacheBackend, Pattern, Result};

use super::Inner;
use super::news::{Kind, News};

impl Inner {
    /// Tells the others what has been changed in the farthest tier.
    pub(super) async fn tell(&self, news: News) -> Result<()> {
        match &self.teller {
            Some(teller) => teller.tell(news).await,
            None => Ok(()),
        }
    }

    /// Tells the others of keys that are stored; later, if that cannot be done now.
    pub(super) async fn tell_of(&self, keys: &[&str]) {
        let told = self.tell(News::keys(keys)).await;
        self.if_away(&told, || self.missed.untold(keys));
    }

    /// Drops copies of what somebody else has changed.
    ///
    /// Whoever makes copies meanwhile finds out after it has made them.
    pub(super) async fn heard(&self, news: &News) {
        let outcome = match news {
            News::Keys(keys) => {
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                self.keyed.disturb(&keys);
                self.forget(&keys).await.map(drop)
            }
            News::Tags(tags, which) => {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                if let Some(tokens) = &self.tokens {
                    tokens.forget_all(&tags);
                }
                self.tag_changes.fetch_add(1, Ordering::Release);
                self.forget_tagged(&tags, *which).await
            }
            News::Pattern(Kind::Glob, text) => match Pattern::glob(text) {
                Ok(pattern) => self.heard_of(Some(&pattern)).await,
                Err(_) => self.heard_of(None).await,
            },
            News::Pattern(Kind::Other, _) | News::Everything => self.heard_of(None).await,
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a nearer tier did not take what was heard");
            self.distrust();
        }
    }

    async fn heard_of(&self, pattern: Option<&Pattern>) -> Result<()> {
        self.keyed.disturb_all();
        self.tag_changes.fetch_add(1, Ordering::Release);
        for tier in self.split().1 {
            match pattern {
                Some(pattern) => tier.forget_matching(pattern).await?,
                None => drop(tier.backend.clear().await?),
            }
        }
        Ok(())
    }

    /// Something may have been missed: copies in memory have to be compared before they
    /// are served again.
    pub(super) fn distrust(&self) {
        self.keyed.disturb_all();
        self.tag_changes.fetch_add(1, Ordering::Release);
        if let Some(tokens) = &self.tokens {
            tokens.forget_everything();
        }
        for tier in self.split().1 {
            if let Some(memory) = &tier.memory {
                memory.distrust();
            }
        }
    }
}
