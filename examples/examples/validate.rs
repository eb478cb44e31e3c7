//! The nine groups that validate a cache backend, each in a few lines.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use larder::{CacheEntry, Clock, InMemoryBackend, ManualClock, Pattern, Result, SetOptions, Ttl};

const SECOND: Duration = Duration::from_secs(1);

/// A group: its name and what it does.
type Group = (&'static str, fn() -> Result<()>);

// covers: AA1
fn main() -> Result<()> {
    let groups: [Group; 9] = [
        ("basic operations", basic_operations),
        ("expiry", expiry),
        ("entry properties", entry_properties),
        ("statistics", statistics),
        ("statistics reset", statistics_reset),
        ("batch operations", batch_operations),
        ("eviction of the least recently used", eviction),
        ("glob patterns", patterns),
        ("metadata", metadata),
    ];
    for (name, group) in groups {
        group()?;
        println!("ok  {name}");
    }
    println!("all {} groups hold", groups.len());
    Ok(())
}

fn basic_operations() -> Result<()> {
    let cache = InMemoryBackend::default();
    assert!(cache.set("key", "value", SetOptions::new())?);
    assert_eq!(cache.get("key")?.as_deref(), Some(&b"value"[..]));
    assert!(cache.exists("key")?);
    assert!(cache.delete("key")?);
    assert!(!cache.delete("key")?);
    assert_eq!(cache.get("key")?, None);
    cache.set("a", "1", SetOptions::new())?;
    cache.set("b", "2", SetOptions::new())?;
    assert_eq!(cache.clear(), 2);
    Ok(())
}

fn expiry() -> Result<()> {
    let clock = ManualClock::new();
    let cache = InMemoryBackend::with_clock(clock.clone());
    cache.set("temp", "expires soon", SECOND)?;
    cache.set("stays", "for ever", Ttl::Never)?;
    assert!(cache.exists("temp")?);
    clock.advance(SECOND * 3 / 2);
    assert!(!cache.exists("temp")?);
    assert_eq!(cache.get("temp")?, None);
    assert!(cache.exists("stays")?);
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "all groups have one type")]
fn entry_properties() -> Result<()> {
    let clock = ManualClock::new();
    let entry =
        CacheEntry::new("test", "data", clock.now()).with_expires_at(clock.now() + SECOND * 3600);
    assert!(!entry.is_expired(clock.now()));
    assert_eq!(entry.ttl_remaining(clock.now()), Some(SECOND * 3600));
    clock.advance(SECOND * 3600);
    assert!(entry.is_expired(clock.now()));
    assert_eq!(entry.ttl_remaining(clock.now()), Some(Duration::ZERO));
    assert_eq!(entry.size_bytes, 4);
    Ok(())
}

fn statistics() -> Result<()> {
    let cache = InMemoryBackend::with_max_size_bytes(100);
    cache.set("key1", "value1", SetOptions::new())?;
    cache.get("key1")?;
    cache.get("key2")?;
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.sets), (1, 1, 1));
    assert!((stats.hit_rate() - 0.5).abs() < f64::EPSILON);
    assert!((stats.utilization() - 0.06).abs() < f64::EPSILON);
    assert!(stats.to_map().contains_key("hit_rate"));
    Ok(())
}

fn statistics_reset() -> Result<()> {
    let cache = InMemoryBackend::default();
    cache.set("key", "value", SetOptions::new())?;
    cache.get("key")?;
    cache.stats().reset();
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.sets), (0, 0));
    assert_eq!((stats.current_entries, stats.current_size_bytes), (1, 5));
    Ok(())
}

fn batch_operations() -> Result<()> {
    let cache = InMemoryBackend::default();
    let items = [("key1", "val1"), ("key2", "val2"), ("key3", "val3")];
    assert_eq!(cache.set_many(items, SECOND * 300).stored(), 3);
    let values = cache.get_many(&["key1", "key2", "missing"])?;
    assert_eq!(values.len(), 2);
    assert_eq!(cache.delete_many(&["key1", "key2", "missing"])?, 2);
    Ok(())
}

fn eviction() -> Result<()> {
    let cache = InMemoryBackend::with_max_size_bytes(30);
    for key in ["a", "b", "c"] {
        cache.set(key, "0123456789", SetOptions::new())?;
    }
    cache.get("a")?;
    cache.set("d", "0123456789", SetOptions::new())?;
    assert!(cache.exists("a")? && !cache.exists("b")?);
    assert_eq!(cache.stats().evictions(), 1);
    Ok(())
}

fn patterns() -> Result<()> {
    let cache = InMemoryBackend::default();
    for key in [
        "user:123:profile",
        "user:123:settings",
        "user:456:profile",
        "session:abc",
    ] {
        cache.set(key, "1", SetOptions::new())?;
    }
    let count = |glob: &str| Ok::<_, larder::Error>(cache.keys(Some(&Pattern::glob(glob)?)).len());
    assert_eq!(count("user:*")?, 3);
    assert_eq!(count("*:profile")?, 2);
    assert_eq!(count("user:123:*")?, 2);
    assert_eq!(cache.keys(None).len(), 4);
    Ok(())
}

fn metadata() -> Result<()> {
    let cache = InMemoryBackend::builder()
        .clock(Arc::new(ManualClock::new()))
        .build()?;
    let options = SetOptions::new().with_ttl(SECOND * 600).with_metadata([
        ("endpoint", "/api/users".into()),
        ("user_type", "premium".into()),
    ]);
    cache.set("api:users:123", "user data", options)?;
    let entry = cache
        .get_entry("api:users:123")?
        .expect("it was just stored");
    assert_eq!(entry.metadata["user_type"], "premium");
    Ok(())
}
