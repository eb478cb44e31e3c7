//! Who replays a trace: the policies, the peers, and the bound that knows the future.

use std::collections::{BTreeSet, HashMap};

use larder_engine::Policy;

use crate::reference::{Arc, Lirs};

/// The bound that knows the future.
pub const OPTIMUM: &str = "optimum (Belady)";

/// Holds more than it has room for, so others are not measured by it.
pub const OVERFULL: &str = "moka, overfull";

/// A cache of numbers: whether a request for an object of this size hits; it is stored
/// if not.
pub type Request = Box<dyn FnMut(u64, u32) -> bool>;

/// Makes an empty cache.
pub type Make = Box<dyn Fn() -> Request>;

/// What a cache has room for.
#[derive(Debug, Clone, Copy)]
pub enum Room {
    /// So many objects.
    Entries(usize),
    /// Objects of so many bytes together.
    Bytes(u64),
}

impl Room {
    fn limit(self) -> u64 {
        match self {
            Self::Entries(entries) => entries as u64,
            Self::Bytes(bytes) => bytes,
        }
    }

    /// What an object counts against the limit.
    fn weight(self, size: u32) -> u32 {
        match self {
            Self::Entries(_) => 1,
            Self::Bytes(_) => size,
        }
    }
}

/// Everyone with a name. LIRS and ARC know no sizes.
pub fn contestants(room: Room) -> Vec<(String, Make)> {
    let mut all: Vec<(String, Make)> = Vec::new();
    for policy in Policy::ALL {
        let make = move || larder(policy, room);
        all.push((format!("larder {policy}"), Box::new(make)));
    }
    let mut add = |name: &str, make: Make| all.push((name.to_owned(), make));
    add("quick_cache", Box::new(move || quick_cache(room)));
    add(OVERFULL, Box::new(move || moka(room, false)));
    add("moka, strictly", Box::new(move || moka(room, true)));
    let lfu = foyer_memory::LfuConfig::default;
    add("foyer lfu", Box::new(move || foyer(room, lfu())));
    let s3fifo = foyer_memory::S3FifoConfig::default;
    add("foyer s3fifo", Box::new(move || foyer(room, s3fifo())));
    if let Room::Entries(entries) = room {
        let lirs = move || {
            let mut lirs = Lirs::new(entries);
            Box::new(move |key, _| lirs.request(key)) as Request
        };
        let arc = move || {
            let mut arc = Arc::new(entries);
            Box::new(move |key, _| arc.request(key)) as Request
        };
        add("LIRS", Box::new(lirs));
        add("ARC", Box::new(arc));
    }
    all
}

fn larder(policy: Policy, room: Room) -> Request {
    let builder = larder_engine::Cache::<u64, u32>::builder().policy(policy);
    let builder = match room {
        Room::Entries(entries) => builder.max_entries(entries as u64),
        Room::Bytes(bytes) => builder
            .max_weight(bytes)
            .weigher(|_, size| u64::from(*size)),
    };
    let cache = builder.build().expect("there is a limit");
    Box::new(move |key, size| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, size);
        }
        hit
    })
}

#[derive(Clone)]
struct Weigher(Room);

impl quick_cache::Weighter<u64, u32> for Weigher {
    fn weight(&self, _: &u64, size: &u32) -> u64 {
        u64::from(self.0.weight(*size))
    }
}

/// How many objects of usual size there is room for.
fn usual_entries(room: Room) -> usize {
    const USUAL: u64 = 16 * 1024;
    match room {
        Room::Entries(entries) => entries,
        Room::Bytes(bytes) => usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).max(1),
    }
}

fn quick_cache(room: Room) -> Request {
    let (entries, limit) = (usual_entries(room), room.limit());
    let mut cache = quick_cache::unsync::Cache::with_weighter(entries, limit, Weigher(room));
    Box::new(move |key, size| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, size);
        }
        hit
    })
}

/// As it is used, it decides about what came in after some dozen requests, and holds
/// that many more than its room until then; `strictly` makes it decide at once.
fn moka(room: Room, strictly: bool) -> Request {
    let builder = moka::sync::Cache::<u64, u32>::builder().max_capacity(room.limit());
    let cache = builder.weigher(move |_, size| room.weight(*size)).build();
    Box::new(move |key, size| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, size);
        }
        if strictly {
            cache.run_pending_tasks();
        }
        hit
    })
}

fn foyer(room: Room, eviction: impl Into<foyer_memory::EvictionConfig>) -> Request {
    let limit = usize::try_from(room.limit()).expect("it fits into memory");
    let builder = foyer_memory::CacheBuilder::<u64, u32, _>::new(limit).with_shards(1);
    let builder = builder.with_weighter(move |_, size| room.weight(*size) as usize);
    let cache: foyer_memory::Cache<u64, u32> = builder.with_eviction_config(eviction).build();
    Box::new(move |key, size| {
        let hit = cache.get(&key).is_some();
        if !hit {
            cache.insert(key, size);
        }
        hit
    })
}

/// Which shares of the requests, and of the requested bytes, were hits.
#[derive(Debug, Clone, Copy)]
pub struct HitRatios {
    /// Of the requests.
    pub objects: f64,
    /// Of the bytes.
    pub bytes: f64,
}

/// Requests every key of a trace in order; without sizes, all are of one byte.
pub fn replay(keys: &[u32], sizes: Option<&[u32]>, mut request: Request) -> HitRatios {
    let (mut hits, mut bytes_hit, mut bytes) = (0, 0, 0);
    for (at, key) in keys.iter().enumerate() {
        let size = sizes.map_or(1, |sizes| sizes[at]);
        let hit = request(u64::from(*key), size);
        hits += u64::from(hit);
        bytes_hit += u64::from(hit) * u64::from(size);
        bytes += u64::from(size);
    }
    HitRatios {
        objects: hits as f64 / keys.len() as f64,
        bytes: bytes_hit as f64 / bytes as f64,
    }
}

/// What a cache could reach that evicts what is needed last, or refuses to store it.
pub fn optimum(keys: &[u32], room: usize) -> f64 {
    let mut next_uses = vec![usize::MAX; keys.len()];
    let mut seen = HashMap::new();
    for (at, key) in keys.iter().enumerate().rev() {
        next_uses[at] = seen.insert(key, at).unwrap_or(usize::MAX);
    }
    let (mut hits, mut present, mut by_next_use) = (0, HashMap::new(), BTreeSet::new());
    for (key, next_use) in keys.iter().zip(next_uses) {
        if let Some(due) = present.insert(key, next_use) {
            hits += 1;
            by_next_use.remove(&(due, key));
        }
        by_next_use.insert((next_use, key));
        if by_next_use.len() > room {
            let (_, last) = by_next_use.pop_last().expect("there is more than fits");
            present.remove(last);
        }
    }
    f64::from(hits) / keys.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimum_of_a_loop_keeps_what_fits() {
        let keys: Vec<u32> = (0..1_000).map(|at| at % 10).collect();
        let ratio = optimum(&keys, 5);
        assert!(
            (ratio - 0.495).abs() < 1e-9,
            "{ratio}: half, but for the first lap"
        );
        assert!((optimum(&keys, 10) - 0.99).abs() < 1e-9);
    }

    #[test]
    fn nobody_beats_the_optimum() {
        let keys = crate::work::zipf(1_000, 0.8, 20_000, 5);
        let most = optimum(&keys, 50);
        for (name, make) in contestants(Room::Entries(50)) {
            let ratio = replay(&keys, None, make()).objects;
            assert!(ratio <= most && ratio > 0.1, "{name}: {ratio} of {most}");
        }
    }

    #[test]
    fn bytes_are_counted_and_limited() {
        // Two of the small objects fit, and none of the large ones.
        let keys: Vec<u32> = (0..300).map(|at| at % 3).collect();
        let sizes: Vec<u32> = keys
            .iter()
            .map(|key| [10, 10, 1_000][*key as usize])
            .collect();
        let keep_to_it = contestants(Room::Bytes(20))
            .into_iter()
            .filter(|(name, _)| name != OVERFULL);
        for (name, make) in keep_to_it {
            let ratios = replay(&keys, Some(&sizes), make());
            let (objects, bytes) = (ratios.objects, ratios.bytes);
            assert!(objects <= 198.0 / 300.0, "{name}: {objects}");
            let only_small = objects * 3.0 * 10.0 / 1_020.0;
            assert!((bytes - only_small).abs() < 1e-9, "{name}: {bytes}");
        }
    }
}
