//! Which entries have which tags.
//!
//! An entry is listed before it is stored and struck out when it has gone, so whoever
//! looks a tag up finds every entry that is there. Each stored value has a number of its
//! own: what goes strikes out itself, not what came after it under the same key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_core::TagMatch;
use parking_lot::Mutex;

/// The entries of one tag, by the numbers of the values.
type Listed = HashMap<u64, Line>;

/// What is listed of a value under one of its tags.
#[derive(Debug, Clone)]
struct Line {
    key: Box<str>,
    /// Somebody has invalidated it. It is listed until it has gone, so that nobody who
    /// invalidates it too is done before that.
    is_invalid: bool,
}

/// The tagged entries of one cache, by tag.
#[derive(Debug, Default)]
pub(crate) struct Tagged {
    tags: Mutex<HashMap<Box<str>, Listed>>,
    last: AtomicU64,
}

/// The tags of one stored value.
#[derive(Debug)]
pub(crate) struct Tags {
    number: u64,
    pub(crate) names: Vec<String>,
}

impl Tags {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Tagged {
    /// Lists a value that is about to be stored.
    pub(crate) fn list(&self, key: &str, names: Vec<String>) -> Tags {
        // Ordering: relaxed, the number only has to be another one.
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut tags = self.tags.lock();
        for name in &names {
            let listed = tags.entry(name.as_str().into()).or_default();
            let line = Line {
                key: key.into(),
                is_invalid: false,
            };
            listed.insert(number, line);
        }
        Tags { number, names }
    }

    /// Whether nobody has invalidated the value.
    pub(crate) fn is_valid(&self, value: &Tags) -> bool {
        let tags = self.tags.lock();
        let mut names = value.names.iter();
        names.all(|name| {
            let listed = tags.get(name.as_str());
            let line = listed.and_then(|listed| listed.get(&value.number));
            line.is_some_and(|line| !line.is_invalid)
        })
    }

    /// Strikes out a value that has gone, or was not stored.
    pub(crate) fn strike(&self, value: &Tags) {
        let mut tags = self.tags.lock();
        for name in &value.names {
            if let Some(listed) = tags.get_mut(name.as_str()) {
                listed.remove(&value.number);
                if listed.is_empty() {
                    tags.remove(name.as_str());
                }
            }
        }
    }

    /// Marks the values with any or all of these tags as invalid, and tells which they are.
    ///
    /// Who stores one of them now finds it marked and takes it back.
    pub(crate) fn invalidate(&self, names: &[&str], which: TagMatch) -> HashMap<u64, Box<str>> {
        let mut tags = self.tags.lock();
        let mut found = HashMap::new();
        let looked_at = match which {
            TagMatch::Any => names.len(),
            // The others can only leave some of its values out.
            TagMatch::All => names.len().min(1),
        };
        for name in &names[..looked_at] {
            let listed = tags.get(*name).into_iter().flatten();
            found.extend(listed.map(|(number, line)| (*number, line.key.clone())));
        }
        if which == TagMatch::All {
            found.retain(|number, _| {
                let has = |name: &&str| tags.get(*name).is_some_and(|l| l.contains_key(number));
                names.iter().all(has)
            });
        }
        for name in names {
            for (number, line) in tags.get_mut(*name).into_iter().flatten() {
                line.is_invalid |= found.contains_key(number);
            }
        }
        found
    }

    /// Checks that exactly these values are listed, under exactly their tags.
    #[cfg(any(test, feature = "validate"))]
    pub(crate) fn validate<'a>(&self, values: impl IntoIterator<Item = &'a Tags>) {
        let mut expected: HashMap<Box<str>, Vec<u64>> = HashMap::new();
        for value in values {
            for name in &value.names {
                let numbers = expected.entry(name.as_str().into()).or_default();
                numbers.push(value.number);
            }
        }
        let tags = self.tags.lock();
        let mut listed: HashMap<Box<str>, Vec<u64>> = HashMap::new();
        for (name, values) in &*tags {
            listed.insert(name.clone(), values.keys().copied().collect());
        }
        for numbers in expected.values_mut().chain(listed.values_mut()) {
            numbers.sort_unstable();
            numbers.dedup();
        }
        assert_eq!(listed, expected, "what is tagged and what is listed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(found: HashMap<u64, Box<str>>) -> Vec<String> {
        let mut keys: Vec<String> = found.into_values().map(String::from).collect();
        keys.sort_unstable();
        keys
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_went_strikes_out_itself_and_not_its_successor() {
        let tagged = Tagged::default();
        let old = tagged.list("key", names(&["a"]));
        let new = tagged.list("key", names(&["a"]));
        tagged.strike(&old);
        assert!(tagged.is_valid(&new));
        let any = || keys(tagged.invalidate(&["a"], TagMatch::Any));
        assert_eq!(any(), ["key"]);
        assert!(!tagged.is_valid(&new));
        assert_eq!(any(), ["key"], "until it has gone");
        tagged.strike(&new);
        assert_eq!(any().len(), 0);
    }

    #[test]
    fn nothing_is_kept_of_what_has_gone() {
        let tagged = Tagged::default();
        let one = tagged.list("one", names(&["a", "b"]));
        let two = tagged.list("two", names(&["b", "c"]));
        assert_eq!(keys(tagged.invalidate(&["a", "b"], TagMatch::All)), ["one"]);
        assert!(tagged.is_valid(&two) && !tagged.is_valid(&one));
        tagged.strike(&one);
        tagged.strike(&two);
        tagged.validate([]);
    }
}
