//! Comparing Larder's engine with its peers, in one run and interleaved.

pub mod contestants;
pub mod hit_ratio;
pub mod latency;
pub mod picture;
pub mod progress;
pub mod reference;
pub mod replay;
pub mod speed;
pub mod table;
pub mod traces;
pub mod work;
