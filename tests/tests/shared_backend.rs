//! What the shared handle adds to every backend, and what it leaves alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use larder_core::{
    BatchReport, CacheBackend, CacheStats, Capabilities, Error, ErrorKind, Operation, Result,
    SetOptions, SharedBackend,
};

/// Counts its calls and fails when told to.
#[derive(Default, Clone)]
struct Recording {
    singles: Arc<AtomicU32>,
    batches: Arc<AtomicU32>,
}

impl Recording {
    fn single<T>(&self, answer: T) -> T {
        self.singles.fetch_add(1, Relaxed);
        answer
    }
}

impl CacheBackend for Recording {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        match key {
            "slow" => Err(Error::new(ErrorKind::Timeout, "no answer in 5 s")),
            _ => Ok(self.single(None)),
        }
    }

    async fn set(&self, _: &str, _: Bytes, _: SetOptions) -> Result<bool> {
        Ok(self.single(true))
    }

    async fn delete(&self, _: &str) -> Result<bool> {
        Ok(self.single(true))
    }

    async fn exists(&self, _: &str) -> Result<bool> {
        Ok(self.single(false))
    }

    async fn clear(&self) -> Result<u64> {
        Ok(self.single(0))
    }

    async fn stats(&self) -> Result<CacheStats> {
        Ok(CacheStats::default())
    }

    fn name(&self) -> &'static str {
        "recording"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new().with_max_value_bytes(10)
    }

    async fn get_many(&self, _: &[&str]) -> Result<Vec<(String, Bytes)>> {
        self.batches.fetch_add(1, Relaxed);
        Ok(Vec::new())
    }

    async fn set_many(&self, items: Vec<(String, Bytes)>, _: SetOptions) -> Result<BatchReport> {
        self.batches.fetch_add(1, Relaxed);
        let mut report = BatchReport::new();
        for (key, _) in items {
            let outcome = match key.as_str() {
                "slow" => Err(Error::new(ErrorKind::Timeout, "no answer in 5 s")),
                _ => Ok(true),
            };
            report.record(&key, outcome);
        }
        Ok(report)
    }

    async fn delete_many(&self, _: &[&str]) -> Result<u64> {
        self.batches.fetch_add(1, Relaxed);
        Ok(0)
    }
}

// covers: F4, F5, C13
#[test]
fn a_batch_reaches_the_backend_in_one_call_through_any_number_of_handles() {
    let backend = Recording::default();
    let cache = SharedBackend::new(SharedBackend::new(backend.clone())).blocking();
    let items = || {
        vec![
            ("a".to_owned(), Bytes::new()),
            ("b".to_owned(), Bytes::new()),
        ]
    };
    cache.get_many(&["a", "b", "c"]).unwrap();
    let _ = cache.set_many(items(), SetOptions::new()).unwrap();
    cache.delete_many(&["a", "b"]).unwrap();
    assert_eq!(backend.batches.load(Relaxed), 3);
    cache.get_many(&[]).unwrap();
    cache.delete_many(&[]).unwrap();
    let _ = cache.set_many(Vec::new(), SetOptions::new()).unwrap();
    assert_eq!(
        backend.batches.load(Relaxed),
        3,
        "nothing to do, nothing asked"
    );
    assert_eq!(backend.singles.load(Relaxed), 0);
}

// covers: B16
#[test]
fn an_error_names_backend_operation_and_key_once_and_is_counted() {
    let cache = SharedBackend::new(Recording::default()).blocking();
    let error = cache.get("slow").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"get "slow" in recording: no answer in 5 s"#
    );
    assert_eq!(error.operation(), Some(Operation::Get));
    let stats = cache.stats().unwrap();
    assert_eq!((stats.errors, stats.timeouts), (1, 1));
}

// covers: D19, D02
#[test]
fn values_over_the_limit_and_lifetimes_of_zero_never_reach_the_backend_as_a_set() {
    let backend = Recording::default();
    let cache = SharedBackend::new(backend.clone()).blocking();
    assert!(!cache.set("k", vec![0; 11], SetOptions::new()).unwrap());
    assert_eq!(cache.stats().unwrap().rejected, 1);
    assert!(cache.set("k", "v", Duration::ZERO).unwrap());
    assert_eq!(backend.singles.load(Relaxed), 2, "two deletes");
    let mixed = vec![
        ("a".to_owned(), Bytes::from(vec![0; 11])),
        ("b".to_owned(), Bytes::new()),
    ];
    let report = cache.set_many(mixed, SetOptions::new()).unwrap();
    assert_eq!(
        (report.stored(), report.refused()),
        (1, &["a".to_owned()][..])
    );
}

// covers: F7, B16
#[test]
fn each_failure_in_a_batch_has_its_place_and_is_counted_once() {
    let cache = SharedBackend::new(SharedBackend::new(Recording::default())).blocking();
    let items = vec![
        ("a".to_owned(), Bytes::new()),
        ("slow".to_owned(), Bytes::new()),
    ];
    let report = cache.set_many(items, SetOptions::new()).unwrap();
    assert_eq!(report.stored(), 1);
    let (_, error) = &report.failed()[0];
    assert_eq!(
        error.to_string(),
        r#"set_many "slow" in recording: no answer in 5 s"#
    );
    let stats = cache.stats().unwrap();
    assert_eq!((stats.errors, stats.timeouts), (1, 1));
}

// covers: F7, D55
#[test]
fn options_that_no_item_could_have_fail_the_batch_whatever_its_keys() {
    let cache = SharedBackend::new(Recording::default()).blocking();
    for key in ["fine", "bad\n"] {
        let items = vec![(key.to_owned(), Bytes::new())];
        let tagged = SetOptions::new().with_tags(["t"]);
        let error = cache.set_many(items, tagged).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{key:?}");
    }
}
