//! Wrapping a backend into another one.

use crate::backend::SharedBackend;

/// Turns a backend into a backend with one more property.
///
/// A layer holds settings only; what it returns holds the state. Layers compose
/// by calling them one after the other, innermost first. The backend that a
/// layer returns implements every method of
/// [`CacheBackend`](crate::CacheBackend), so that no fast path of the wrapped
/// one is lost, and says in its `capabilities()` what it adds or takes away.
///
/// ```
/// use larder_core::{Layer, SharedBackend};
///
/// /// Adds nothing.
/// #[derive(Debug)]
/// struct Plain;
///
/// impl Layer for Plain {
///     fn layer(&self, inner: SharedBackend) -> SharedBackend {
///         inner
///     }
/// }
/// ```
pub trait Layer: std::fmt::Debug {
    /// Wraps `inner`.
    fn layer(&self, inner: SharedBackend) -> SharedBackend;
}
