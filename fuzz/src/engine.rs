//! Bytes as settings and operations of a cache, compared with the naive model.

#![no_main]

#[path = "../../crates/engine/tests/model/mod.rs"]
mod model;

use larder_engine::Policy;
use libfuzzer_sys::{Corpus, fuzz_target};
use model::{Checked, Key, Rules};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let mut bytes = Bytes(bytes);
    let Some(rules) = bytes.rules() else {
        return Corpus::Reject;
    };
    let mut checked = Checked::new(rules);
    while bytes.step(&mut checked).is_some() {}
    checked.compare();
    Corpus::Keep
});

/// What is left of the input.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        self.next().map(u64::from)
    }

    fn rules(&mut self) -> Option<Rules> {
        let policy = Policy::ALL[usize::from(self.next()?) % Policy::ALL.len()];
        let (kind, limit) = (self.next()?, 1 + self.number()?);
        Some(Rules {
            policy,
            max_entries: (kind % 3 != 1).then_some(2 * limit),
            max_weight: (kind % 3 != 0).then_some(8 * limit),
            time_to_idle: (kind & 64 != 0).then_some(50),
            shards: 1 << (kind >> 3 & 3),
        })
    }

    /// Many keys in few bits, so that operations meet.
    fn key(&mut self) -> Option<Key> {
        self.next().map(Key::from)
    }

    fn value(&mut self) -> Option<u32> {
        Some(u32::from(self.next()?) << 4 | u32::from(self.next()? & 15))
    }

    /// Does one operation; `None` at the end.
    fn step(&mut self, checked: &mut Checked) -> Option<()> {
        match self.next()? % 12 {
            0 | 1 => checked.get(self.key()?),
            2 => checked.insert(self.key()?, self.value()?, None),
            3 => checked.insert(self.key()?, self.value()?, Some(self.number()?)),
            4 => checked.update(self.key()?, self.value()?),
            5 => checked.remove(self.key()?),
            6 => checked.set_ttl(self.key()?, self.number()?),
            7 => checked.advance(self.number()?),
            8 => checked.resize(15 + self.number()?),
            9 => {
                let (first, value) = (self.key()?, self.value()?);
                (first..first + 64).for_each(|key| checked.insert(key, value, None));
            }
            10 => {
                let first = self.key()?;
                (first..first + 64).for_each(|key| checked.remove(key));
            }
            _ => match self.next()? {
                0..8 => checked.clear(),
                _ => checked.compare(),
            },
        }
        Some(())
    }
}
