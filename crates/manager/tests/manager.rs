//! Typed values over tiers: what the verbs promise.

mod scene;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use larder_core::{
    CacheBackend, Capability, ErrorKind, ManualClock, Pattern, SetOptions, SharedBackend, TagMatch,
    Ttl, TtlState,
};
use larder_manager::{CacheManager, OnError, SerializerType};
use larder_memory::InMemoryBackend;
use scene::Far;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    visits: Option<u32>,
    nested: BTreeMap<String, Vec<f64>>,
}

fn alice() -> User {
    User {
        name: "Alice".to_owned(),
        visits: Some(3),
        nested: [("scores".to_owned(), vec![1.5, -2.0])].into(),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Memory before something far, under a prefix.
fn tiered(far: &Far, clock: &ManualClock) -> CacheManager {
    CacheManager::builder()
        .prefix("myapp")
        .memory()
        .tier(far.clone())
        .clock(Arc::new(clock.clone()))
        .build()
        .expect("legal settings")
}

// covers: E1, E7, E8, E9, E10, E13, E14, K4
#[tokio::test]
async fn typed_values_come_back_whatever_the_serializer() {
    for serializer in SerializerType::ALL {
        let cache = CacheManager::builder().memory().serializer(serializer);
        let cache = cache.build().unwrap();
        assert!(cache.set("user:1", &alice(), MINUTE).await.unwrap());
        assert_eq!(cache.get("user:1").await.unwrap(), Some(alice()));
        assert!(cache.exists("user:1").await.unwrap());
        assert_eq!(cache.get::<User>("user:2").await.unwrap(), None);
        assert_eq!(cache.get_or("user:2", alice()).await.unwrap(), alice());
        assert!(
            !cache.exists("user:2").await.unwrap(),
            "the default is not stored"
        );
        assert!(cache.delete("user:1").await.unwrap());
        assert!(!cache.delete("user:1").await.unwrap());
    }
}

// covers: E20, D47, C18
#[tokio::test]
async fn nothing_and_emptiness_are_values() {
    let cache = CacheManager::memory();
    cache.set("null", &None::<u32>, Ttl::Default).await.unwrap();
    assert_eq!(cache.get::<Option<u32>>("null").await.unwrap(), Some(None));
    cache.set("empty", "", Ttl::Default).await.unwrap();
    assert_eq!(
        cache.get::<String>("empty").await.unwrap().as_deref(),
        Some("")
    );
    assert_eq!(cache.get::<Option<u32>>("missing").await.unwrap(), None);
}

// covers: D01, D02, D52, E11, I1, I2, I3, I5, I6, K3
#[tokio::test]
async fn lifetimes_are_the_caches_own_unless_told_otherwise() {
    let clock = ManualClock::new();
    let cache = CacheManager::builder()
        .memory()
        .clock(Arc::new(clock.clone()));
    let cache = cache.build().unwrap();
    let rest = |ttl: Option<TtlState>| ttl.and_then(TtlState::remaining);
    cache.set("default", &1, Ttl::Default).await.unwrap();
    let ttl = cache.ttl("default").await.unwrap();
    assert_eq!(rest(ttl), Some(Duration::from_secs(300)));
    cache.set("never", &1, Ttl::Never).await.unwrap();
    assert_eq!(cache.ttl("never").await.unwrap(), Some(TtlState::Never));
    assert!(cache.set("never", &1, Duration::ZERO).await.unwrap());
    assert!(!cache.exists("never").await.unwrap());
    assert!(cache.touch("default", MINUTE).await.unwrap());
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(cache.get("default").await.unwrap(), Some(1));
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get::<u32>("default").await.unwrap(), None);
    assert!(!cache.expire("default", MINUTE).await.unwrap());
    assert_eq!(cache.ttl("default").await.unwrap(), None);
    let forever = CacheManager::builder().memory().default_ttl(Ttl::Never);
    let forever = forever.build().unwrap();
    forever.set("key", &1, Ttl::Default).await.unwrap();
    assert_eq!(forever.ttl("key").await.unwrap(), Some(TtlState::Never));
    forever.set("key", &1, MINUTE).await.unwrap();
    assert!(forever.touch("key", Ttl::Never).await.unwrap());
    assert_eq!(forever.ttl("key").await.unwrap(), Some(TtlState::Never));
}

// covers: D11, D12, E16, G9, G10, G11, E15
#[tokio::test]
async fn keys_are_relative_to_the_prefix() {
    let (clock, far) = {
        let clock = ManualClock::new();
        (clock.clone(), Far::new(&clock))
    };
    far.0.memory.set("other:1", "1", SetOptions::new()).unwrap();
    let cache = tiered(&far, &clock);
    for id in 1..=3 {
        cache
            .set(&format!("user:{id}"), &id, Ttl::Default)
            .await
            .unwrap();
    }
    cache.set("team:1", &1, Ttl::Default).await.unwrap();
    assert!(far.0.memory.exists("myapp:user:1").unwrap());
    let mut keys = cache.keys("user:*").await.unwrap();
    keys.sort_unstable();
    assert_eq!(keys, ["user:1", "user:2", "user:3"]);
    assert_eq!(cache.keys("myapp:team:*").await.unwrap(), ["team:1"]);
    let page = cache.scan("*", Some("team:1"), 2).await.unwrap();
    assert_eq!(page.keys(), ["user:1", "user:2"]);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(cache.get_many::<u32>(&keys).await.unwrap().len(), 3);
    assert_eq!(cache.delete_many(&keys[..2]).await.unwrap(), 2);
    let like = Pattern::like("user:_").unwrap();
    assert!(
        cache.keys(like).await.is_err(),
        "this store has no such patterns"
    );
    assert_eq!(cache.delete_pattern("myapp:*").await.unwrap(), 2);
    assert!(cache.keys("*").await.unwrap().is_empty());
    cache.set("user:1", &1, Ttl::Default).await.unwrap();
    assert_eq!(cache.clear().await.unwrap(), 1);
    assert!(far.0.memory.exists("other:1").unwrap(), "not ours");
}

// covers: F1, F2, F3, F5, F6, F7, D09
#[tokio::test]
async fn many_keys_keep_their_order_and_ask_each_tier_once() {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let cache = tiered(&far, &clock);
    let report = cache
        .set_many([("a", 1), ("b", 2), ("c", 3)], MINUTE)
        .await
        .unwrap();
    assert!(report.all_ok() && report.stored() == 3);
    let other = tiered(&far, &clock);
    assert_eq!(other.get("b").await.unwrap(), Some(2));
    let before = far.0.reads.load(Ordering::Relaxed);
    let found = other
        .get_many::<u32>(&["c", "x", "b", "a", "c"])
        .await
        .unwrap();
    let expected = [("c", 3), ("b", 2), ("a", 1)].map(|(key, value)| (key.to_owned(), value));
    assert_eq!(found, expected);
    assert_eq!(far.0.reads.load(Ordering::Relaxed), before + 1);
    assert_eq!(
        other.get_many::<u32>(&["a", "b", "c"]).await.unwrap().len(),
        3
    );
    assert_eq!(
        far.0.reads.load(Ordering::Relaxed),
        before + 1,
        "they are near"
    );
    assert_eq!(other.get_many::<u32>(&[]).await.unwrap(), []);
    assert_eq!(other.delete_many(&[]).await.unwrap(), 0);
    assert_eq!(far.0.reads.load(Ordering::Relaxed), before + 1);
    let report = other
        .set_many([("fine", 1), ("", 2)], MINUTE)
        .await
        .unwrap();
    assert_eq!((report.stored(), report.failed().len()), (1, 1));
}

// covers: H1, H2, H3, H4, H5, H6, H9, D20
#[tokio::test]
async fn counters_count_where_all_programs_see_them() {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let (here, there) = (tiered(&far, &clock), tiered(&far, &clock));
    here.set("views", &0, Ttl::Default).await.unwrap();
    assert_eq!(here.increment("views", 1).await.unwrap(), 1);
    assert_eq!(there.increment("views", 5).await.unwrap(), 6);
    assert_eq!(here.decrement("views", 10).await.unwrap(), -4);
    assert_eq!(here.get::<i64>("views").await.unwrap(), Some(-4));
    assert_eq!(here.increment_for("rate", 1, MINUTE).await.unwrap(), 1);
    let rest = here
        .ttl("rate")
        .await
        .unwrap()
        .and_then(TtlState::remaining);
    assert_eq!(rest, Some(MINUTE));
    here.set("text", "many", Ttl::Default).await.unwrap();
    let error = here.increment("text", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotANumber);
}

// covers: Q7, Q8
#[tokio::test]
async fn what_is_stored_and_is_not_the_type_counts_as_missing() {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let cache = tiered(&far, &clock);
    cache.set("key", "text", Ttl::Default).await.unwrap();
    assert_eq!(cache.get::<u32>("key").await.unwrap(), None);
    assert_eq!(
        cache.get::<String>("key").await.unwrap().as_deref(),
        Some("text")
    );
    far.0
        .memory
        .set("myapp:torn", &b"\xC1\x07"[..], SetOptions::new())
        .unwrap();
    assert_eq!(cache.get::<u32>("torn").await.unwrap(), None);
    assert_eq!(cache.get_many::<u32>(&["torn", "key"]).await.unwrap(), []);
    // Another setting reads what the first one wrote.
    let packed = CacheManager::builder()
        .prefix("myapp")
        .tier(far.clone())
        .serializer(SerializerType::MsgPack)
        .build()
        .unwrap();
    assert_eq!(
        packed.get::<String>("key").await.unwrap().as_deref(),
        Some("text")
    );
    packed.set("key", "packed", Ttl::Default).await.unwrap();
    clock.advance(MINUTE);
    assert_eq!(
        cache.get::<String>("key").await.unwrap().as_deref(),
        Some("packed")
    );
}

// covers: E12, D16, E18, E19
#[tokio::test]
async fn away_is_as_if_empty_unless_asked_to_tell() {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let cache = tiered(&far, &clock);
    cache.set("near", &1, MINUTE).await.unwrap();
    far.0.is_away.store(true, Ordering::Relaxed);
    assert_eq!(cache.get("near").await.unwrap(), Some(1));
    assert_eq!(cache.get::<u32>("far").await.unwrap(), None);
    assert_eq!(
        cache.get_many::<u32>(&["near", "far"]).await.unwrap().len(),
        1
    );
    assert!(cache.set("key", &1, MINUTE).await.unwrap(), "in memory");
    assert!(!cache.exists("far").await.unwrap());
    assert!(cache.keys("*").await.unwrap().is_empty());
    assert!(
        cache.increment("counter", 1).await.is_err(),
        "no number can be made up"
    );
    assert!(cache.invalidate_tags(&["a"], TagMatch::Any).await.is_err());
    // What the caller did wrong is told all the same.
    let error = cache.get::<u32>("line\nbreak").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey);
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let error = cache.set("key", &no_json, MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialize);
    let telling = CacheManager::builder()
        .tier(far.clone())
        .on_error(OnError::Propagate)
        .build()
        .unwrap();
    let error = telling.get::<u32>("far").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(telling.set("key", &1, MINUTE).await.is_err());
}

// covers: G8
#[tokio::test]
async fn tags_invalidate_in_every_tier_and_count_where_memory_is_all() {
    let tagged = || SetOptions::new().with_tags(["users"]);
    let cache = CacheManager::memory();
    cache.set("user:1", &1, tagged()).await.unwrap();
    let gone = cache
        .invalidate_tags(&["users"], TagMatch::Any)
        .await
        .unwrap();
    assert_eq!(gone, Some(1));
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let (here, there) = (tiered(&far, &clock), tiered(&far, &clock));
    here.set("user:1", &1, tagged()).await.unwrap();
    assert_eq!(there.get("user:1").await.unwrap(), Some(1));
    assert_eq!(
        here.invalidate_tags(&["users"], TagMatch::Any)
            .await
            .unwrap(),
        None
    );
    assert_eq!(here.get::<u32>("user:1").await.unwrap(), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(there.get::<u32>("user:1").await.unwrap(), None);
}

// covers: J1, J2, J3, J4, J5, J11
#[tokio::test]
async fn statistics_tell_of_every_tier() {
    let clock = ManualClock::new();
    let far = Far::new(&clock);
    let cache = tiered(&far, &clock);
    cache.set("key", &12345, MINUTE).await.unwrap();
    for key in ["key", "key", "key", "none"] {
        cache.get::<u32>(key).await.unwrap();
    }
    let stats = cache.stats().await.unwrap();
    assert_eq!((stats.hits, stats.misses, stats.hit_ratio), (3, 1, 0.75));
    assert_eq!((stats.backend, stats.primary.size), ("memory", 1));
    assert_eq!(
        (stats.primary.hits, stats.primary.memory_bytes),
        (3, Some(5))
    );
    assert_eq!(stats.fallbacks.len(), 1);
    assert_eq!(stats.fallbacks[0].size, 1);
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["primary"]["hit_ratio"], 0.75);
    assert_eq!(json["fallbacks"][0]["backend"], "custom");
    assert_eq!(
        stats.to_string(),
        "75.0% of 4 hit, memory: 1 entries of 5 bytes, custom: 1 entries of 5 bytes"
    );
    assert_eq!(
        cache.size_of(&alice()).unwrap(),
        serde_json::to_vec(&alice()).unwrap().len()
    );
}

#[test]
fn wrong_settings_are_told_with_their_names() {
    let field = |builder: larder_manager::CacheManagerBuilder| {
        builder.build().expect_err("it is wrong").field()
    };
    let builder = CacheManager::builder;
    assert_eq!(field(builder()), "tiers");
    assert_eq!(
        field(builder().memory().default_ttl(Duration::ZERO)),
        "default_ttl"
    );
    assert_eq!(
        field(builder().memory().staleness(Duration::ZERO)),
        "staleness"
    );
    assert_eq!(field(builder().memory().prefix("line\nbreak")), "prefix");
}

#[tokio::test]
async fn a_value_that_is_near_is_decoded_once() {
    let cache = CacheManager::memory();
    cache.set("key", &alice(), MINUTE).await.unwrap();
    let once: Arc<User> = cache.get("key").await.unwrap().unwrap();
    let again: Arc<User> = cache.get("key").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&once, &again));
    assert_eq!(*once, alice());
}

/// What a program without a prefix shares with others as it is.
#[tokio::test]
async fn other_programs_read_and_write_plain_json() {
    let store = SharedBackend::new(InMemoryBackend::default());
    let cache = CacheManager::builder().tier(store.clone()).build().unwrap();
    cache.set("key", &[1, 2], MINUTE).await.unwrap();
    assert_eq!(store.get("key").await.unwrap().unwrap(), "[1,2]");
    store
        .set(
            "theirs",
            "{\"name\":\"Bob\",\"visits\":null,\"nested\":{}}".into(),
            SetOptions::new(),
        )
        .await
        .unwrap();
    let bob: User = cache.get("theirs").await.unwrap().unwrap();
    assert_eq!(bob.name, "Bob");
    assert!(store.capabilities().has(Capability::Tags));
}
