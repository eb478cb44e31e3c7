//! What the caches are asked: keys, and the order in which they are used.

use std::sync::Arc;

/// xorshift64*: small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Any seed but zero.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// `count` numbers below `n` by Zipf's law, the likely ones spread all over.
pub fn zipf(n: usize, skew: f64, count: usize, seed: u64) -> Vec<u32> {
    let mut sums = Vec::with_capacity(n);
    let mut sum = 0.0;
    for rank in 1..=n {
        sum += (rank as f64).powf(-skew);
        sums.push(sum);
    }
    let mut random = Random::new(seed);
    let mut numbers: Vec<u32> = (0..n as u32).collect();
    for at in (1..n).rev() {
        numbers.swap(at, (random.bits() % (at as u64 + 1)) as usize);
    }
    let draw = |_| {
        let wanted = random.share() * sum;
        let rank = sums.partition_point(|sum| *sum < wanted);
        numbers[rank.min(n - 1)]
    };
    (0..count).map(draw).collect()
}

/// A kind of keys, and the values that go with them.
pub trait Key: Clone + Eq + std::hash::Hash + Send + Sync + 'static {
    /// What it is called in tables.
    const NAME: &'static str;
    /// Bytes of key and value without anything around them.
    const PAYLOAD: usize;
    /// What is stored under it.
    type Value: Clone + Send + Sync + 'static;
    /// The key of a number.
    fn of(number: u64) -> Self;
    /// A value of its own for each key.
    fn value() -> Self::Value;
}

impl Key for u64 {
    const NAME: &'static str = "u64";
    const PAYLOAD: usize = 8 + 100;
    type Value = Arc<[u8]>;
    fn of(number: u64) -> Self {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn value() -> Self::Value {
        Arc::from([7; 100])
    }
}

impl Key for String {
    const NAME: &'static str = "String";
    const PAYLOAD: usize = 21 + 100;
    type Value = Arc<[u8]>;
    fn of(number: u64) -> Self {
        format!("user:{number:016}")
    }
    fn value() -> Self::Value {
        Arc::from([7; 100])
    }
}

impl Key for [u8; 16] {
    const NAME: &'static str = "inline";
    const PAYLOAD: usize = 16 + 64;
    type Value = [u8; 64];
    fn of(number: u64) -> Self {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }
    fn value() -> Self::Value {
        [7; 64]
    }
}
