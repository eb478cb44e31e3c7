//! The example that the in-memory cache was specified with.
//!
//! A manual clock takes the place of waiting.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use larder::{InMemoryBackend, ManualClock, Result};

// covers: AA3, D-1, D-10, Z12
fn main() -> Result<()> {
    let clock = ManualClock::new();
    let cache = InMemoryBackend::builder()
        .max_size_bytes(1024 * 1024)
        .clock(Arc::new(clock.clone()))
        .build()?;

    cache.set("key1", "hello world", Duration::from_secs(60))?;
    let value = cache.get("key1")?;
    println!("Retrieved: {value:?}");
    assert_eq!(value.as_deref(), Some(&b"hello world"[..]));

    cache.set("temp", "expires soon", Duration::from_secs(1))?;
    let before = cache.exists("temp")?;
    println!("Before expiry: {before}");
    assert!(before);
    clock.advance(Duration::from_millis(1500));
    let after = cache.exists("temp")?;
    println!("After expiry: {after}");
    assert!(!after);

    let stats = cache.stats();
    println!("Hit rate: {:.2}", stats.hit_rate());
    println!("Utilization: {:.2}%", stats.utilization() * 100.0);
    assert_eq!((stats.hits, stats.misses), (1, 0));
    assert_eq!(stats.current_size_bytes, 11);
    println!("{stats}");
    Ok(())
}
