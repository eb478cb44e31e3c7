//! What this process knows of the files: how large they are, when they expire, and
//! which was used last.
//!
//! The files are the truth; other processes may change them. A name that is here but
//! not there is forgotten when that is noticed, and a walk through the folder finds
//! what is there but not here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use larder_core::stored::Moment;

use crate::folder::Name;
use crate::record::is_over;

#[derive(Debug, Clone, Copy)]
struct Known {
    bytes: u64,
    expires: Option<Moment>,
    used: u64,
}

/// Files by name, by last use and by end.
#[derive(Debug, Default)]
pub(crate) struct Index {
    files: HashMap<Name, Known>,
    by_use: BTreeMap<u64, Name>,
    by_end: BTreeSet<(Moment, Name)>,
    bytes: u64,
    uses: u64,
}

impl Index {
    /// A file is there now, and was used.
    pub(crate) fn put(&mut self, name: Name, bytes: u64, expires: Option<Moment>) {
        self.forget(name);
        self.uses += 1;
        let used = self.uses;
        self.by_use.insert(used, name);
        self.by_end.extend(expires.map(|end| (end, name)));
        self.bytes += bytes;
        let known = Known {
            bytes,
            expires,
            used,
        };
        self.files.insert(name, known);
    }

    /// A file is not there any more.
    pub(crate) fn forget(&mut self, name: Name) {
        if let Some(known) = self.files.remove(&name) {
            self.by_use.remove(&known.used);
            if let Some(end) = known.expires {
                self.by_end.remove(&(end, name));
            }
            self.bytes -= known.bytes;
        }
    }

    /// A file was read.
    pub(crate) fn touch(&mut self, name: Name) {
        if let Some(known) = self.files.get_mut(&name) {
            self.by_use.remove(&known.used);
            self.uses += 1;
            known.used = self.uses;
            self.by_use.insert(known.used, name);
        }
    }

    /// Whether a file is known to be over.
    pub(crate) fn is_over(&self, name: Name, now: SystemTime) -> bool {
        let known = self.files.get(&name);
        known.is_some_and(|known| is_over(known.expires, now))
    }

    pub(crate) fn knows(&self, name: Name) -> bool {
        self.files.contains_key(&name)
    }

    /// All names in one of the folders.
    pub(crate) fn names_in(&self, folder: u8) -> Vec<Name> {
        let names = self.files.keys().copied();
        names.filter(|name| name.folder() == folder).collect()
    }

    /// The size of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files are not over, and how large those are together.
    pub(crate) fn alive(&self, now: SystemTime) -> (u64, u64) {
        let over = self
            .by_end
            .iter()
            .take_while(|(end, _)| is_over(Some(*end), now));
        let (mut files, mut bytes) = (self.files.len() as u64, self.bytes);
        for (_, name) in over {
            files -= 1;
            bytes -= self.files[name].bytes;
        }
        (files, bytes)
    }

    /// At most so many of those that are over.
    pub(crate) fn expired(&self, now: SystemTime, limit: usize) -> Vec<Name> {
        let over = self
            .by_end
            .iter()
            .take_while(|(end, _)| is_over(Some(*end), now));
        over.take(limit).map(|(_, name)| *name).collect()
    }

    /// The one that was used least recently.
    pub(crate) fn least_recent(&self) -> Option<Name> {
        self.by_use.first_key_value().map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> Name {
        Name::of(&number.to_string())
    }

    #[test]
    fn sums_orders_and_ends_follow() {
        let mut index = Index::default();
        let at = |millis| Moment(millis).time().expect("a time");
        for number in 0..4 {
            let end = (number % 2 == 1).then_some(Moment(u64::from(number) * 10));
            index.put(name(number), 100 + u64::from(number), end);
        }
        assert_eq!((index.bytes(), index.alive(at(9))), (406, (4, 406)));
        assert_eq!(index.alive(at(10)), (3, 305));
        assert_eq!(index.expired(at(30), 1), [name(1)]);
        assert_eq!(index.expired(at(30), 9), [name(1), name(3)]);

        assert_eq!(index.least_recent(), Some(name(0)));
        index.touch(name(0));
        index.put(name(1), 1, None);
        assert_eq!(index.least_recent(), Some(name(2)));
        assert!(index.expired(at(29), 9).is_empty(), "it lives on");

        (0..4).for_each(|number| index.forget(name(number)));
        index.forget(name(9));
        assert_eq!((index.bytes(), index.least_recent()), (0, None));
        assert!(index.by_end.is_empty() && index.by_use.is_empty());
    }
}
