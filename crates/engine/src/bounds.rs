//! A min-heap of lower bounds, one per block.
//!
//! The bound of a block is at most the smallest key of its entries. Keys may
//! grow without notice, so the smallest bound says where the smallest key *may*
//! be; the caller looks there, tells the true one with [`Bounds::set`], and asks
//! again until the smallest bound is true. A block has 64 entries, so the heap is
//! a 64th of the cache, and entries need no links of their own.

/// Where a block without a bound is in the heap.
const ABSENT: u32 = u32::MAX;

/// Bounds by block number.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// A binary heap: no bound is below its parent's.
    heap: Vec<(u64, u32)>,
    /// The position of each block in the heap, or `ABSENT`.
    places: Vec<u32>,
}

impl Bounds {
    /// The smallest bound and its block.
    pub(crate) fn min(&self) -> Option<(u64, u32)> {
        self.heap.first().copied()
    }

    /// Makes sure that the bound of `block` is at most `key`.
    pub(crate) fn lower(&mut self, block: u32, key: u64) {
        match self.place(block) {
            Some(place) if self.heap[place].0 <= key => {}
            _ => self.set(block, Some(key)),
        }
    }

    /// Replaces the bound of `block`; `None` takes the block out.
    pub(crate) fn set(&mut self, block: u32, key: Option<u64>) {
        match (self.place(block), key) {
            (Some(place), Some(key)) => {
                self.heap[place].0 = key;
                let place = self.sift_up(place);
                self.sift_down(place);
            }
            (None, Some(key)) => {
                self.heap.push((key, block));
                self.sift_up(self.heap.len() - 1);
            }
            (Some(place), None) => {
                self.heap.swap_remove(place);
                self.places[block as usize] = ABSENT;
                if place < self.heap.len() {
                    let place = self.sift_up(place);
                    self.sift_down(place);
                }
            }
            (None, None) => {}
        }
    }

    /// The bound of `block`.
    #[cfg(any(test, fuzzing, feature = "validate"))]
    pub(crate) fn get(&self, block: u32) -> Option<u64> {
        let place = *self.places.get(block as usize)?;
        self.heap.get(place as usize).map(|&(key, _)| key)
    }

    fn place(&mut self, block: u32) -> Option<usize> {
        let block = block as usize;
        if block >= self.places.len() {
            self.places.resize(block + 1, ABSENT);
        }
        let place = self.places[block];
        (place != ABSENT).then_some(place as usize)
    }

    fn sift_up(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].0 <= self.heap[place].0 {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        self.note(place);
        place
    }

    fn sift_down(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(&(key, _)) = self.heap.get(left) else {
                break;
            };
            let right_is_less = self.heap.get(left + 1).is_some_and(|right| right.0 < key);
            let child = left + usize::from(right_is_less);
            if self.heap[place].0 <= self.heap[child].0 {
                break;
            }
            self.swap(place, child);
            place = child;
        }
        self.note(place);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    /// Records where the block at `place` is.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are fewer blocks than u32::MAX"
    )]
    fn note(&mut self, place: usize) {
        self.places[self.heap[place].1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(
            steps in prop::collection::vec((0..40u32, prop::option::of(0..100u64), any::<bool>()), 0..400),
        ) {
            let mut bounds = Bounds::default();
            let mut plain = [None; 40];
            for (block, key, lower) in steps {
                let slot: &mut Option<u64> = &mut plain[block as usize];
                match key {
                    Some(key) if lower => {
                        bounds.lower(block, key);
                        *slot = Some(slot.map_or(key, |old| old.min(key)));
                    }
                    key => {
                        bounds.set(block, key);
                        *slot = key;
                    }
                }
                prop_assert_eq!(bounds.min().map(|(key, _)| key), plain.iter().flatten().min().copied());
                for block in 0..40 {
                    prop_assert_eq!(bounds.get(block), plain[block as usize]);
                }
            }
        }
    }
}
