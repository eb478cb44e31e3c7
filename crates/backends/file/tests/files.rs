//! What a user of files expects, beyond the contract of all backends.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder_core::{Blocking, ErrorKind, ManualClock, SetOptions, SharedBackend};
use larder_file::{FileBackend, FileBuilder};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Files {
    folder: TempDir,
    clock: ManualClock,
    runtime: Runtime,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(),
            runtime: Runtime::new().unwrap(),
        }
    }

    fn open(&self, set: impl FnOnce(FileBuilder) -> FileBuilder) -> (Blocking, FileBackend) {
        let builder = FileBackend::builder(self.folder.path()).clock(Arc::new(self.clock.clone()));
        let backend = set(builder).build().unwrap();
        let handle = self.runtime.handle().clone();
        let shared = SharedBackend::new(backend.clone());
        (
            Blocking::run_by(shared, move |future| handle.block_on(future)),
            backend,
        )
    }

    fn paths(&self) -> Vec<PathBuf> {
        paths_below(self.folder.path())
    }
}

/// The files of entries.
fn paths_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(paths_below(&path));
        } else if path.file_name().is_some_and(|name| name.len() == 32) {
            found.push(path);
        }
    }
    found
}

#[test]
fn entries_and_their_ends_survive_a_restart() {
    let files = Files::new();
    let (cache, _) = files.open(|builder| builder);
    cache.set("stays", "1", SetOptions::new()).unwrap();
    cache.set("ends", "2", Duration::from_secs(10)).unwrap();
    drop(cache);
    let (cache, backend) = files.open(|builder| builder);
    assert_eq!(cache.get("stays").unwrap(), Some("1".into()));
    assert!(
        cache
            .ttl("ends")
            .unwrap()
            .is_some_and(|ttl| ttl.remaining().is_some())
    );
    backend.sweep().unwrap();
    assert_eq!(cache.stats().unwrap().current_entries, 2);
    files.clock.advance(Duration::from_secs(10));
    assert_eq!(cache.get("ends").unwrap(), None);
    assert_eq!(files.paths().len(), 1);
}

#[test]
fn keys_never_become_paths() {
    let files = Files::new();
    let (cache, _) = files.open(|builder| builder);
    let keys = [
        "../../escape",
        "/etc/passwd",
        "a/b/c",
        "C:\\x",
        ".",
        "..",
        "ключ",
        " ",
    ];
    for key in keys {
        cache.set(key, key.to_owned(), SetOptions::new()).unwrap();
    }
    for key in keys {
        assert_eq!(
            cache.get(key).unwrap(),
            Some(key.to_owned().into()),
            "{key}"
        );
    }
    assert_eq!(
        files.paths().len(),
        keys.len(),
        "each in its file below the folder"
    );
}

#[test]
fn a_damaged_file_is_a_counted_miss_and_can_be_written_again() {
    let files = Files::new();
    let (cache, _) = files.open(|builder| builder);
    cache.set("k", "value", SetOptions::new()).unwrap();
    let path = files.paths().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (damaged, unreadable) in [(&whole[..whole.len() / 2], 1), (&flipped, 2), (&[], 3)] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(cache.get("k").unwrap(), None);
        let stats = cache.stats().unwrap();
        assert_eq!(
            (stats.unreadable, stats.misses, stats.hits),
            (unreadable, unreadable, 0)
        );
    }
    cache.set("k", "again", SetOptions::new()).unwrap();
    assert_eq!(cache.get("k").unwrap(), Some("again".into()));
}

#[test]
fn the_limit_holds_and_the_least_recently_used_go() {
    let files = Files::new();
    let (cache, backend) = files.open(|builder| builder.max_size_bytes(10_000));
    for key in 0..9 {
        cache
            .set(&key.to_string(), vec![0; 1_000], SetOptions::new())
            .unwrap();
    }
    cache.get("0").unwrap();
    cache
        .set("large", vec![0; 3_000], SetOptions::new())
        .unwrap();
    assert!(cache.exists("0").unwrap() && cache.exists("large").unwrap());
    assert!(!cache.exists("1").unwrap());
    let on_disk: u64 = files
        .paths()
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    let stats = cache.stats().unwrap();
    assert_eq!(stats.current_size_bytes, on_disk);
    assert!(
        on_disk <= 10_000 && stats.evicted_capacity >= 2,
        "{stats:?}"
    );
    assert!(
        !cache.set("0", vec![0; 20_000], SetOptions::new()).unwrap(),
        "too large"
    );
    assert!(!cache.exists("0").unwrap(), "and the old value is gone");
    backend.sweep().unwrap();
}

#[test]
fn two_caches_over_one_folder_see_each_other_and_count_together() {
    let files = Files::new();
    let (one, backend) = files.open(|builder| builder);
    let (other, _) = files.open(|builder| builder);
    one.set("k", "v", SetOptions::new()).unwrap();
    assert_eq!(other.get("k").unwrap(), Some("v".into()));
    std::thread::scope(|scope| {
        for cache in [&one, &other] {
            scope.spawn(|| {
                for _ in 0..200 {
                    cache.increment("n", 1, larder_core::Ttl::Default).unwrap();
                }
            });
        }
    });
    assert_eq!(one.get("n").unwrap(), Some("400".into()));
    other.clear().unwrap();
    backend.sweep().unwrap();
    assert_eq!(one.stats().unwrap().current_entries, 0);
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_the_cause() {
    let files = Files::new();
    let taken = files.folder.path().join("taken");
    fs::write(&taken, "a file").unwrap();
    let error = FileBackend::builder(&taken).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("taken"), "{error}");
    let error = FileBackend::builder(&taken)
        .max_size_bytes(0)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
}

#[test]
fn in_the_background_what_is_there_is_learned_and_what_is_over_goes() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let backend = FileBackend::builder(folder.path()).build().unwrap();
    let cache = Blocking::run_by(SharedBackend::new(backend), move |future| {
        handle.block_on(future);
    });
    cache.set("k", "v", Duration::from_millis(1)).unwrap();
    cache.set("stays", "v", SetOptions::new()).unwrap();
    let entries = || paths_below(folder.path()).len();
    while entries() != 1 {
        std::thread::yield_now();
    }
    assert_eq!(cache.get("stays").unwrap(), Some("v".into()));
}
