//! Programs tell each other what changed: copies live long, and nothing old is served.

mod scene;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder_core::backplane::{Backplane, Boxed, Heard, Listener};
use larder_core::{Error, ErrorKind, ManualClock, Result, SetOptions, TagMatch};
use larder_manager::{CacheManager, Load};
use parking_lot::Mutex;
use scene::Far;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Carries messages between tasks, and can lose them.
#[derive(Debug, Clone, Default)]
struct Hub(Arc<State>);

#[derive(Debug, Default)]
struct State {
    listeners: Mutex<HashMap<String, Vec<UnboundedSender<Heard>>>>,
    /// The next message is lost on the way.
    loses: AtomicBool,
    /// Nothing can be sent.
    is_away: AtomicBool,
}

#[derive(Debug)]
struct Ear(UnboundedReceiver<Heard>);

impl Hub {
    fn say(&self, heard: &Heard) {
        for listeners in self.0.listeners.lock().values_mut() {
            listeners.retain(|listener| listener.send(heard.clone()).is_ok());
        }
    }
}

impl Backplane for Hub {
    fn publish<'a>(&'a self, channel: &'a str, message: String) -> Boxed<'a, Result<()>> {
        Box::pin(async move {
            if self.0.is_away.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Unavailable, "it is away"));
            }
            if self.0.loses.swap(false, Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(listeners) = self.0.listeners.lock().get(channel) {
                for listener in listeners {
                    let _ = listener.send(Heard::Message(message.clone()));
                }
            }
            Ok(())
        })
    }

    fn listen(&self, channel: &str) -> Box<dyn Listener> {
        // As real ones do: they start a task.
        tokio::runtime::Handle::current();
        let (sender, receiver) = unbounded_channel();
        sender
            .send(Heard::Listening)
            .expect("it has just been made");
        let mut listeners = self.0.listeners.lock();
        listeners
            .entry(channel.to_owned())
            .or_default()
            .push(sender);
        Box::new(Ear(receiver))
    }
}

impl Listener for Ear {
    fn next(&mut self) -> Boxed<'_, Option<Heard>> {
        Box::pin(self.0.recv())
    }
}

struct Scene {
    here: CacheManager,
    there: CacheManager,
    far: Far,
    hub: Hub,
    clock: ManualClock,
}

/// Two programs that listen already.
async fn scene() -> Scene {
    let clock = ManualClock::new();
    let (far, hub) = (Far::new(&clock), Hub::default());
    let program = || {
        let cache = CacheManager::builder()
            .memory()
            .tier(far.clone())
            .backplane(hub.clone());
        let cache = cache.clock(Arc::new(clock.clone())).build();
        cache.expect("legal settings")
    };
    let (here, there) = (program(), program());
    heard().await;
    Scene {
        here,
        there,
        far,
        hub,
        clock,
    }
}

/// Lets everybody hear what was said.
async fn heard() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

impl Scene {
    fn reads(&self) -> u64 {
        self.far.0.reads.swap(0, Ordering::Relaxed)
    }
}

// covers: L11, G8, D13
#[tokio::test]
async fn copies_live_long_and_end_when_somebody_changes_something() {
    let scene = scene().await;
    let (here, there) = (&scene.here, &scene.there);
    for way in 0..8 {
        let options = SetOptions::from(MINUTE).with_tags(["a", "b"]);
        here.set("key", &1, options).await.unwrap();
        heard().await;
        assert_eq!(there.get("key").await.unwrap(), Some(1), "way {way}");
        scene.clock.advance(5 * SECOND);
        scene.reads();
        assert_eq!(there.get("key").await.unwrap(), Some(1), "way {way}");
        assert_eq!(scene.reads(), 0, "longer than without news");
        match way {
            0 => drop(here.set("key", &2, MINUTE).await.unwrap()),
            1 => drop(here.delete("key").await.unwrap()),
            2 => drop(
                here.set_many([("other", 2), ("key", 2)], MINUTE)
                    .await
                    .unwrap(),
            ),
            3 => drop(here.delete_many(&["other", "key"]).await.unwrap()),
            4 => drop(here.delete_pattern("k?y").await.unwrap()),
            5 => drop(here.clear().await.unwrap()),
            6 => drop(here.invalidate_tags(&["a"], TagMatch::Any).await.unwrap()),
            _ => drop(
                here.invalidate_tags(&["a", "b"], TagMatch::All)
                    .await
                    .unwrap(),
            ),
        }
        heard().await;
        let expected = [Some(2), None, Some(2), None, None, None, None, None][way];
        assert_eq!(
            there.get::<u32>("key").await.unwrap(),
            expected,
            "way {way}"
        );
    }
    here.set("count", &1, MINUTE).await.unwrap();
    heard().await;
    assert_eq!(there.get("count").await.unwrap(), Some(1));
    here.increment("count", 1).await.unwrap();
    heard().await;
    assert_eq!(there.get("count").await.unwrap(), Some(2));
    assert!(here.touch("count", SECOND).await.unwrap());
    heard().await;
    assert_eq!(there.get("count").await.unwrap(), Some(2));
    scene.clock.advance(SECOND);
    assert_eq!(there.get::<u32>("count").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_known_of_tags_is_old_when_somebody_invalidates_them() {
    for which in [TagMatch::Any, TagMatch::All] {
        let scene = scene().await;
        for key in ["first", "second"] {
            let options = SetOptions::from(MINUTE).with_tags(["a", "b"]);
            scene.here.set(key, &1, options).await.unwrap();
        }
        heard().await;
        assert_eq!(scene.there.get("first").await.unwrap(), Some(1));
        let gone = scene.here.invalidate_tags(&["a", "b"], which).await;
        assert_eq!(gone.unwrap(), None);
        heard().await;
        assert_eq!(
            scene.there.get::<u32>("second").await.unwrap(),
            None,
            "{which:?}"
        );
    }
}

// covers: P10
#[tokio::test]
async fn what_was_copied_while_nothing_was_heard_is_compared_first() {
    let scene = scene().await;
    for key in ["same", "changed"] {
        scene.here.set(key, &"1".repeat(10), MINUTE).await.unwrap();
    }
    heard().await;
    let before: Arc<String> = scene.there.get("same").await.unwrap().unwrap();
    scene.there.get::<Arc<String>>("changed").await.unwrap();
    scene.hub.say(&Heard::Lost);
    heard().await;
    scene.hub.0.loses.store(true, Ordering::Relaxed);
    scene.here.set("changed", &"2", MINUTE).await.unwrap();
    scene.reads();
    let same: Arc<String> = scene.there.get("same").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&before, &same), "it is the same copy");
    assert_eq!(scene.reads(), 1, "and it was compared");
    assert_eq!(
        scene
            .there
            .get::<String>("changed")
            .await
            .unwrap()
            .as_deref(),
        Some("2")
    );
    // As long as nothing is heard, a copy is good for a second.
    scene.there.get::<Arc<String>>("same").await.unwrap();
    assert_eq!(scene.reads(), 1);
    scene.clock.advance(SECOND);
    scene.there.get::<Arc<String>>("same").await.unwrap();
    assert_eq!(scene.reads(), 1);
    scene.hub.say(&Heard::Listening);
    heard().await;
    scene.there.get::<Arc<String>>("same").await.unwrap();
    assert_eq!(scene.reads(), 1, "once more, and then for long");
    scene.clock.advance(10 * SECOND);
    scene.there.get::<Arc<String>>("same").await.unwrap();
    assert_eq!(scene.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn news_that_do_not_arrive_are_missed() {
    let scene = scene().await;
    scene.here.set("key", &1, MINUTE).await.unwrap();
    heard().await;
    assert_eq!(scene.there.get("key").await.unwrap(), Some(1));
    scene.hub.0.loses.store(true, Ordering::Relaxed);
    scene.here.set("key", &2, MINUTE).await.unwrap();
    scene.here.set("another", &1, MINUTE).await.unwrap();
    heard().await;
    assert_eq!(
        scene.there.get("key").await.unwrap(),
        Some(1),
        "it may still come"
    );
    scene.clock.advance(SECOND);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..3 {
        ticks.tick().await;
    }
    assert_eq!(scene.there.get("key").await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_message_that_nobody_understands_makes_everybody_look() {
    let scene = scene().await;
    scene.here.set("key", &1, MINUTE).await.unwrap();
    heard().await;
    scene.there.get::<u32>("key").await.unwrap();
    scene.hub.say(&Heard::Message("of another version".into()));
    heard().await;
    scene.reads();
    assert_eq!(scene.there.get("key").await.unwrap(), Some(1));
    assert_eq!(scene.reads(), 1);
}

#[tokio::test]
async fn a_slow_read_makes_no_copy_of_what_is_heard_to_have_changed() {
    for way in 0..3 {
        let scene = scene().await;
        let options = SetOptions::from(MINUTE).with_tags(["tag"]);
        scene.here.set("key", &1, options).await.unwrap();
        heard().await;
        // The tokens of its tags are known.
        scene.there.get::<u32>("key").await.unwrap();
        scene.hub.say(&Heard::Message("look again".into()));
        heard().await;
        scene.far.slow_down();
        let cache = scene.there.clone();
        let reading = tokio::spawn(async move { cache.get::<u32>("key").await });
        scene.far.has_read(1).await;
        let here = scene.here.clone();
        // Its own reads wait as well, but not what it removes.
        let removing = tokio::spawn(async move {
            match way {
                0 => drop(here.delete("key").await.unwrap()),
                1 => drop(here.clear().await.unwrap()),
                _ => drop(here.invalidate_tags(&["tag"], TagMatch::Any).await.unwrap()),
            }
        });
        heard().await;
        scene.far.answer(scene::MANY);
        removing.await.unwrap();
        reading.await.unwrap().unwrap();
        heard().await;
        assert_eq!(
            scene.there.get::<u32>("key").await.unwrap(),
            None,
            "way {way}"
        );
    }
}

#[tokio::test]
async fn who_comes_after_news_does_not_join_a_load_that_began_before() {
    let scene = scene().await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let begin = |number: u32, gate: Arc<tokio::sync::Semaphore>| {
        let cache = scene.there.clone();
        tokio::spawn(async move {
            let load = move |_: Load| async move {
                gate.acquire().await.expect("it is never closed").forget();
                Ok::<_, std::io::Error>(number)
            };
            cache.get_or_load("key", MINUTE, load).await.unwrap()
        })
    };
    let first = begin(1, Arc::clone(&gate));
    heard().await;
    scene.here.delete("key").await.unwrap();
    heard().await;
    let open = Arc::new(tokio::sync::Semaphore::new(1));
    assert_eq!(begin(2, open).await.unwrap(), 2);
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(scene.there.get("key").await.unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_is_told_later() {
    let scene = scene().await;
    scene.here.set("key", &1, MINUTE).await.unwrap();
    heard().await;
    assert_eq!(scene.there.get("key").await.unwrap(), Some(1));
    scene.hub.0.is_away.store(true, Ordering::Relaxed);
    assert!(!scene.here.delete("key").await.unwrap(), "not everywhere");
    assert_eq!(scene.here.get::<u32>("key").await.unwrap(), None);
    assert_eq!(
        scene.there.get("key").await.unwrap(),
        Some(1),
        "it cannot know"
    );
    // What is counted is counted, whoever knows of it.
    assert_eq!(scene.here.increment("count", 1).await.unwrap(), 1);
    assert!(scene.here.set("stored", &1, MINUTE).await.unwrap());
    assert_eq!(scene.there.get("stored").await.unwrap(), Some(1));
    scene.hub.0.is_away.store(false, Ordering::Relaxed);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while scene.here.stats().await.unwrap().missed > 0 {
        ticks.tick().await;
    }
    heard().await;
    assert_eq!(scene.there.get::<u32>("key").await.unwrap(), None);
    assert_eq!(scene.here.increment("count", 1).await.unwrap(), 2, "once");
}

#[test]
fn listening_needs_a_runtime() {
    let cache = CacheManager::builder().memory().backplane(Hub::default());
    assert_eq!(
        cache.build().expect_err("there is none").field(),
        "backplane"
    );
}
