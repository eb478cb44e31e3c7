//! Frequency with ageing, as a rank that never needs to be brought up to date.
//!
//! A use that lies `t` uses of the cache back counts `2^(-t / half_life)`. The
//! rank of an entry is the moment at which a single use would count as much as
//! all its uses together: `now + half_life * log2(sum of its counts)`. That
//! moment does not change while the entry is not used, so ranks of entries used
//! at different times compare directly and nothing has to be halved in a sweep.
//! With equal counts the later use has the higher rank.

use std::sync::LazyLock;

/// Steps of the table per doubling.
const STEPS: u64 = 64;
/// Doublings beyond which one side outweighs the other.
const DOUBLINGS: u64 = 20;

/// `log2(1 + 2^-x)` for `x = step / STEPS`, in units of 2^-32.
static GAIN: LazyLock<Vec<u64>> = LazyLock::new(|| {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small non-negative numbers, rounded on purpose"
    )]
    (0..=STEPS * DOUBLINGS + 1)
        .map(|step| {
            let distance = step as f64 / STEPS as f64;
            let gain = (-distance).exp2().ln_1p() / std::f64::consts::LN_2;
            (gain * 2f64.powi(32)).round() as u64
        })
        .collect()
});

/// The rank of an entry of `rank` after a use at `now`.
///
/// Higher than both `rank` and, unless the entry's past counts for nothing, `now`.
pub(super) fn used(rank: u64, now: u64, half_life: u64) -> u64 {
    let (high, low) = (rank.max(now), rank.min(now));
    (high + gain(high - low, half_life)).max(rank + 1)
}

/// `half_life * log2(1 + 2^(-distance / half_life))`, interpolated.
fn gain(distance: u64, half_life: u64) -> u64 {
    if distance >= half_life.saturating_mul(DOUBLINGS) {
        return 0;
    }
    let scaled = u128::from(distance) * u128::from(STEPS);
    let step = usize::try_from(scaled / u128::from(half_life)).expect("at most STEPS * DOUBLINGS");
    let within = scaled % u128::from(half_life);
    let (from, to) = (u128::from(GAIN[step]), u128::from(GAIN[step + 1]));
    let gain = from * u128::from(half_life) - (from - to) * within;
    u64::try_from(gain >> 32).expect("the gain is at most half_life")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_LIFE: u64 = 1 << 20;

    #[test]
    fn the_rank_is_the_logarithm_of_the_count() {
        // All uses at the same moment: n uses rank half_life * log2(n) ahead of it.
        let now = 1_000_000;
        let mut rank = now;
        for uses in 2..=1_000_u32 {
            rank = used(rank, now, HALF_LIFE);
            let expected = f64::from(uses).log2();
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let got = (rank - now) as f64 / HALF_LIFE as f64;
            assert!(
                (got - expected).abs() < 0.01,
                "{uses}: {got}, not {expected}"
            );
        }
    }

    #[test]
    fn a_use_counts_half_after_one_half_life() {
        // Two uses long ago weigh as much as one use a half-life later.
        let two_old = used(0, 0, HALF_LIFE);
        assert!(two_old.abs_diff(HALF_LIFE) <= 1, "{two_old}");
    }

    #[test]
    fn a_use_always_raises_the_rank() {
        for half_life in [1, 2, 1 << 20, u64::from(u32::MAX)] {
            let mut rank = 0;
            for now in (0..200_000).step_by(7) {
                let next = used(rank, now, half_life);
                assert!(next > rank && next >= now);
                rank = next;
            }
        }
    }
}
