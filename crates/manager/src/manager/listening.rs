//! Listening to what other programs change.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Inner;
use crate::tiers::{Hearing, News, Told};

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listening {
    pub(super) fn start(runtime: &Handle, mut hearing: Hearing, cache: &Arc<Inner>) -> Self {
        let (cache, clock) = (Arc::downgrade(cache), Arc::clone(&cache.clock));
        let listening = async move {
            while let Some(told) = hearing.next(&*clock).await {
                let Some(cache) = cache.upgrade() else {
                    return;
                };
                cache.go_by(&told).await;
            }
        };
        Self(runtime.spawn(listening).abort_handle())
    }
}

impl Inner {
    async fn go_by(&self, told: &Told) {
        match told {
            Told::News(News::Keys(keys)) => {
                for key in keys {
                    self.loads.overtake(key);
                }
            }
            Told::News(_) | Told::Listening | Told::Gap => self.loads.overtake_all(),
            Told::Lost => {}
        }
        tracing::trace!(?told, "heard");
        self.tiers.go_by(told).await;
    }
}
