//! The shortest check that everything works: store, read, count.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use larder::{InMemoryBackend, Result, SetOptions};

// covers: AA2
fn main() -> Result<()> {
    let cache = InMemoryBackend::default();
    assert!(cache.set("key", "value", SetOptions::new())?);
    assert_eq!(cache.get("key")?.as_deref(), Some(&b"value"[..]));
    assert!(cache.get("other")?.is_none());
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.sets), (1, 1, 1));
    println!("works: {stats}");
    Ok(())
}
