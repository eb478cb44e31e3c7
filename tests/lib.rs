//! Tests that need more than one crate; see the folder `tests`.
