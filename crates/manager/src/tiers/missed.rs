//! What the farthest tier missed while it was away, to be done when it is back.
//!
//! Until then the tier is not asked for what it does not know: an old value that is still
//! there is not read, and not copied to nearer tiers. What was removed wins over what was
//! stored, whoever did it: see `replay.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use larder_core::{CacheEntry, Pattern, SetOptions, TagMatch};
use parking_lot::Mutex;

/// Keys that are remembered. If there are more, everything is: it will be cleared.
const MOST_KEYS: usize = 10_000;
/// Bytes of values that are remembered; of what does not fit, only that it changed.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Patterns and invalidations that are remembered.
const MOST_SWEEPS: usize = 256;

/// The changes that one tier has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Whether there is anything, for those who only pass.
    is_any: AtomicBool,
    pending: Mutex<Pending>,
}

/// What has to be done.
#[derive(Debug, Default, Clone)]
pub(super) struct Pending {
    pub(super) keys: HashMap<String, Change>,
    pub(super) tags: Vec<(Vec<String>, TagMatch)>,
    pub(super) patterns: Vec<Pattern>,
    /// Keys that are right there, but of which the others were not told.
    pub(super) untold: HashSet<String>,
    /// It has to be cleared.
    pub(super) everything: bool,
    bytes: usize,
    /// How often all of it was given up for `everything`.
    resets: u64,
}

/// What became of a key.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Removed,
    Stored {
        value: Bytes,
        options: SetOptions,
        /// By the wall clock, and by the other one.
        at: (SystemTime, Duration),
    },
}

impl Missed {
    pub(super) fn is_empty(&self) -> bool {
        // Ordering: acquire, for what was remembered before it was set.
        !self.is_any.load(Ordering::Acquire)
    }

    fn remember(&self, add: impl FnOnce(&mut Pending)) {
        let mut pending = self.pending.lock();
        add(&mut pending);
        if pending.keys.len() + pending.untold.len() > MOST_KEYS
            || pending.tags.len() + pending.patterns.len() > MOST_SWEEPS
        {
            pending.give_up();
        }
        self.is_any.store(true, Ordering::Release);
    }

    pub(super) fn removed(&self, keys: &[&str]) {
        self.remember(|pending| {
            for key in keys {
                pending.put(key, Change::Removed);
            }
        });
    }

    pub(super) fn stored(
        &self,
        key: &str,
        value: Bytes,
        options: SetOptions,
        at: (SystemTime, Duration),
    ) {
        self.remember(|pending| {
            let fits = pending.bytes + value.len() <= MOST_BYTES;
            // What the tags stood at then, nobody can tell later.
            let change = if fits && options.tags.is_empty() {
                Change::Stored { value, options, at }
            } else {
                Change::Removed
            };
            pending.put(key, change);
        });
    }

    /// These are stored, but the others were not told of them.
    pub(super) fn untold(&self, keys: &[&str]) {
        let keys = keys.iter().map(ToString::to_string);
        self.remember(|pending| pending.untold.extend(keys));
    }

    pub(super) fn invalidated(&self, tags: &[&str], which: TagMatch) {
        let tags = tags.iter().map(ToString::to_string).collect();
        self.remember(|pending| pending.tags.push((tags, which)));
    }

    pub(super) fn swept(&self, pattern: &Pattern) {
        self.remember(|pending| {
            // What was stored before is removed with the rest.
            let before: Vec<String> = pending.keys.keys().cloned().collect();
            for key in before.iter().filter(|key| pattern.matches(key)) {
                pending.put(key, Change::Removed);
            }
            pending.patterns.push(pattern.clone());
        });
    }

    pub(super) fn cleared(&self) {
        self.remember(Pending::give_up);
    }

    /// The tier knows of these keys again.
    pub(super) fn done(&self, keys: &[&str]) {
        if self.is_empty() {
            return;
        }
        let mut pending = self.pending.lock();
        for key in keys {
            pending.take(key);
        }
        self.note_end(&pending);
    }

    /// All that was missed, as it is now.
    pub(super) fn all(&self) -> Pending {
        self.pending.lock().clone()
    }

    /// The change of one key, to be done now; it is still remembered.
    pub(super) fn change_of(&self, key: &str) -> Option<Change> {
        self.pending.lock().keys.get(key).cloned()
    }

    /// The entry that was to be stored under a key, if it has not ended since.
    pub(super) fn entry(
        &self,
        key: &str,
        now: SystemTime,
        elapsed: Duration,
    ) -> Option<CacheEntry> {
        let Change::Stored { value, options, at } = self.change_of(key)? else {
            return None;
        };
        let mut entry = CacheEntry::new(key, value, at.0);
        if let Some(ttl) = options.ttl.resolve(None) {
            let rest = ttl.checked_sub(elapsed.saturating_sub(at.1));
            let rest = rest.filter(|rest| !rest.is_zero())?;
            entry.expires_at = now.checked_add(rest);
        }
        entry.metadata = options.metadata;
        Some(entry)
    }

    /// Forgets what was done of everything but keys.
    pub(super) fn done_sweeping(&self, done: &Pending) {
        let mut pending = self.pending.lock();
        if pending.resets == done.resets {
            // What came meanwhile stands behind them.
            pending.everything = false;
            pending.tags.drain(..done.tags.len());
            pending.patterns.drain(..done.patterns.len());
            pending.untold.retain(|key| !done.untold.contains(key));
        }
        self.note_end(&pending);
    }

    fn note_end(&self, pending: &Pending) {
        let is_any = pending.everything
            || !(pending.keys.is_empty()
                && pending.untold.is_empty()
                && pending.tags.is_empty()
                && pending.patterns.is_empty());
        self.is_any.store(is_any, Ordering::Release);
    }

    /// Whether what the tier has of a key with these tags may be wrong.
    pub(super) fn concerns(&self, key: &str, tags: &[String]) -> bool {
        if self.is_empty() {
            return false;
        }
        let pending = self.pending.lock();
        let has = |tag: &String| tags.contains(tag);
        pending.everything
            || pending.keys.contains_key(key)
            || pending.patterns.iter().any(|pattern| pattern.matches(key))
            || pending.tags.iter().any(|(tags, which)| match which {
                TagMatch::Any => tags.iter().any(has),
                TagMatch::All => tags.iter().all(has),
            })
    }

    /// Whether tags were invalidated, so that an entry has to be seen to be judged.
    pub(super) fn has_tags(&self) -> bool {
        !self.pending.lock().tags.is_empty()
    }

    /// How many changes wait.
    pub(super) fn len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let pending = self.pending.lock();
        let sweeps = pending.tags.len() + pending.patterns.len();
        pending.keys.len() + pending.untold.len() + sweeps + usize::from(pending.everything)
    }
}

impl Pending {
    /// Remembers no more than that it has to be cleared.
    fn give_up(&mut self) {
        *self = Self {
            everything: true,
            resets: self.resets + 1,
            ..Self::default()
        };
    }

    fn put(&mut self, key: &str, change: Change) {
        self.take(key);
        if let Change::Stored { value, .. } = &change {
            self.bytes += value.len();
        }
        self.keys.insert(key.to_owned(), change);
    }

    fn take(&mut self, key: &str) {
        if let Some(Change::Stored { value, .. }) = self.keys.remove(key) {
            self.bytes -= value.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_missed_is_known_until_it_is_done() {
        let missed = Missed::default();
        assert!(missed.is_empty() && !missed.concerns("key", &[]));
        missed.removed(&["key"]);
        missed.invalidated(&["a", "b"], TagMatch::All);
        missed.swept(&Pattern::glob("user:*").expect("a legal pattern"));
        assert_eq!(missed.len(), 3);
        assert!(missed.concerns("key", &[]) && missed.concerns("user:1", &[]));
        assert!(missed.concerns("other", &tags(&["b", "a"])));
        assert!(!missed.concerns("other", &tags(&["a"])));
        let all = missed.all();
        missed.swept(&Pattern::glob("later:*").expect("a legal pattern"));
        missed.done_sweeping(&all);
        assert!(missed.concerns("later:1", &[]), "it came meanwhile");
        let now = (SystemTime::UNIX_EPOCH, Duration::ZERO);
        for key in ["swept:1", "other"] {
            missed.stored(key, "value".into(), SetOptions::new(), now);
        }
        missed.swept(&Pattern::glob("swept:*").expect("a legal pattern"));
        assert!(matches!(missed.change_of("swept:1"), Some(Change::Removed)));
        assert!(matches!(
            missed.change_of("other"),
            Some(Change::Stored { .. })
        ));
        missed.done(&["swept:1", "other"]);
        missed.done_sweeping(&missed.all());
        missed.done(&["key"]);
        assert!(missed.is_empty());
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let missed = Missed::default();
        let now = (SystemTime::UNIX_EPOCH, Duration::ZERO);
        for n in 0..40 {
            let value = Bytes::from(vec![0; 1024 * 1024]);
            missed.stored(&n.to_string(), value, SetOptions::new(), now);
        }
        assert!(missed.all().bytes <= MOST_BYTES);
        assert!(matches!(missed.change_of("39"), Some(Change::Removed)));
        for n in 0..=MOST_KEYS {
            missed.removed(&[&n.to_string()]);
        }
        assert!(missed.all().everything && missed.concerns("any", &[]));
        missed.done_sweeping(&missed.all());
        assert!(missed.is_empty());
    }
}
