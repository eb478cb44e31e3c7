//! Numbers that nobody foresees; not for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that nobody has had before.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// From 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept, all that fit")]
pub(crate) fn part() -> f64 {
    (number() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_differ_and_parts_are_spread() {
        assert_ne!(super::number(), super::number());
        let parts: Vec<f64> = (0..1_000).map(|_| super::part()).collect();
        assert!(parts.iter().all(|part| (0.0..1.0).contains(part)));
        assert!(parts.iter().filter(|part| **part < 0.5).count() > 400);
    }
}
