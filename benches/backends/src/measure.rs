//! Operations a second, of two clients in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use larder_benches::table;
use larder_core::{Clock, SystemClock};

use crate::client::{Client, value_of};

/// Keys that everybody uses.
const KEYS: usize = 10_000;
/// Keys of one `get_many`.
const MANY: usize = 100;
/// Callers at once.
const CALLERS: [usize; 2] = [1, 64];

/// Keys and their values.
type Items = Arc<[(String, Bytes)]>;

/// How long it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
    /// Only this, or everything.
    pub(crate) work: Option<Work>,
}

/// What is done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Get,
    Set,
    Delete,
    GetMany,
}

impl Work {
    pub(crate) const ALL: [Self; 4] = [Self::Get, Self::Set, Self::GetMany, Self::Delete];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Delete => "delete",
            Self::GetMany => "get_many(100)",
        }
    }

    /// What the specification asks for, of many callers together.
    fn asked_of(self, backend: &str) -> Option<u64> {
        let [get, set, delete, many] = match backend {
            "memory" => [1_000_000, 1_000_000, 1_000_000, 100_000],
            "redis" => [100_000, 80_000, 100_000, 50_000],
            "memcached" => [30_000, 25_000, 30_000, 15_000],
            "sqlite" | "postgres" | "mariadb" => [1_000, 500, 1_000, 500],
            _ => return None,
        };
        Some(match self {
            Self::Get => get,
            Self::Set => set,
            Self::Delete => delete,
            Self::GetMany => many,
        })
    }

    /// What counts as one.
    fn size(self) -> u64 {
        if self == Self::GetMany {
            MANY as u64
        } else {
            1
        }
    }
}

/// Measures both and prints a table.
pub(crate) async fn compare<A: Client, B: Client>(
    name: &str,
    what: &str,
    effort: Effort,
    ours: Arc<A>,
    raw: Arc<B>,
) {
    let item = |n| {
        let key = format!("user:{n:08}");
        let value = value_of(&key);
        (key, value)
    };
    let items: Items = (0..KEYS).map(item).collect();
    fill(&*ours, &items).await;
    fill(&*raw, &items).await;
    let mut rows = Vec::new();
    let mut single = [0.0; CALLERS.len()];
    let works = Work::ALL.into_iter();
    for work in works.filter(|work| effort.work.is_none_or(|only| only == *work)) {
        for (place, callers) in CALLERS.into_iter().enumerate() {
            let (mut by_ours, mut by_raw) = (Vec::new(), Vec::new());
            for round in 0..effort.rounds {
                // Who comes second may find the machine in another mood.
                if round % 2 == 0 {
                    by_ours.push(rate(&ours, work, callers, effort.slice, &items).await);
                    by_raw.push(rate(&raw, work, callers, effort.slice, &items).await);
                } else {
                    by_raw.push(rate(&raw, work, callers, effort.slice, &items).await);
                    by_ours.push(rate(&ours, work, callers, effort.slice, &items).await);
                }
            }
            let ratios: Vec<f64> = by_ours.iter().zip(&by_raw).map(|(a, b)| a / b).collect();
            let (by_ours, by_raw) = (table::median(&by_ours), table::median(&by_raw));
            if work == Work::Get {
                single[place] = by_ours;
            }
            let asked = work
                .asked_of(name)
                .map_or(String::new(), |rate| format!("{rate}"));
            let times = match work {
                Work::GetMany => format!("{:.1}", by_ours / single[place]),
                _ => String::new(),
            };
            rows.push(vec![
                work.name().to_owned(),
                callers.to_string(),
                format!("{by_ours:.0}"),
                format!("{by_raw:.0}"),
                format!("{:.2}", table::median(&ratios)),
                times,
                asked,
            ]);
        }
    }
    let head = [
        "",
        "callers",
        "larder /s",
        "raw /s",
        "ratio",
        "x get",
        "asked for",
    ];
    table::print(&format!("{name}, beside {what}"), &head, &rows);
}

async fn fill(client: &impl Client, items: &[(String, Bytes)]) {
    for (key, value) in items {
        assert_eq!(client.set(key, value.clone()).await, 1, "it is stored");
    }
}

/// Keys or operations a second.
async fn rate<C: Client>(
    client: &Arc<C>,
    work: Work,
    callers: usize,
    slice: Duration,
    items: &Items,
) -> f64 {
    if work == Work::Delete {
        // The last time has left few.
        fill(&**client, items).await;
    }
    let (is_over, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clock = SystemClock::new();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (client, items) = (Arc::clone(client), Arc::clone(items));
            let (is_over, done) = (Arc::clone(&is_over), Arc::clone(&done));
            tokio::spawn(async move {
                let mut place = caller * items.len() / callers;
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    place = (place + 1_009) % items.len();
                    once(&*client, work, &items, place).await;
                    count += work.size();
                    if count % 64 == 0 {
                        // Who never waits lets others work now and then.
                        tokio::task::yield_now().await;
                    }
                }
                done.fetch_add(count, Ordering::Relaxed);
            })
        })
        .collect();
    tokio::time::interval_at(tokio::time::Instant::now() + slice, slice)
        .tick()
        .await;
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no operation fails");
    }
    done.load(Ordering::Relaxed) as f64 / clock.elapsed().as_secs_f64()
}

async fn once(client: &impl Client, work: Work, items: &[(String, Bytes)], place: usize) {
    let (key, value) = &items[place];
    match work {
        Work::Get => assert_eq!(client.get(key).await, 1, "{key} is there"),
        Work::Set => {
            assert_eq!(client.set(key, value.clone()).await, 1, "{key} is stored");
        }
        // Later ones find it gone already; that costs nearly as much.
        Work::Delete => {
            client.delete(key).await;
        }
        Work::GetMany => {
            let some = &items[place.min(items.len() - MANY)..][..MANY];
            let some: Vec<&str> = some.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(client.get_many(&some).await, MANY, "all are there");
        }
    }
}
