//! What is loaded from, in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use larder_core::ManualClock;
use larder_manager::{CacheManager, Load};
use tokio::sync::Semaphore;

use super::MANY;

/// What is loaded from: it counts, and can be slow and fail.
#[derive(Debug, Clone)]
pub struct Source(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    loads: AtomicU32,
    /// Each load needs a permit.
    answers: Semaphore,
    /// Loads that have begun.
    begun: Semaphore,
}

impl Source {
    pub fn new() -> Self {
        Self(Arc::new(Counted {
            loads: AtomicU32::new(0),
            answers: Semaphore::new(MANY),
            begun: Semaphore::new(0),
        }))
    }

    pub fn slow() -> Self {
        let source = Self::new();
        source.0.answers.forget_permits(MANY);
        source
    }

    pub fn answer(&self) {
        self.0.answers.add_permits(MANY);
    }

    pub async fn has_begun(&self) {
        self.0
            .begun
            .acquire()
            .await
            .expect("it is never closed")
            .forget();
    }

    pub fn loads(&self) -> u32 {
        self.0.loads.load(Ordering::Relaxed)
    }

    /// The how manieth load it is.
    pub async fn load(self) -> std::io::Result<u32> {
        let number = self.0.loads.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.begun.add_permits(1);
        self.0
            .answers
            .acquire()
            .await
            .expect("it is never closed")
            .forget();
        Ok(number)
    }

    pub fn loader(&self) -> impl FnOnce(Load) -> Loading + Send + use<> {
        let source = self.clone();
        move |_| Box::pin(source.load())
    }
}

pub type Loading = std::pin::Pin<Box<dyn Future<Output = std::io::Result<u32>> + Send>>;

pub fn fails(_: Load) -> Loading {
    Box::pin(async { Err(std::io::Error::other("the source is gone")) })
}

/// A cache in memory, on a clock of its own.
pub fn memory() -> (CacheManager, ManualClock) {
    let clock = ManualClock::new();
    let cache = CacheManager::builder()
        .memory()
        .clock(Arc::new(clock.clone()));
    (cache.build().expect("legal settings"), clock)
}
