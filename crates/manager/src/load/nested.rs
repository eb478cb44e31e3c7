//! Loaders that ask for their own key: the outer value is the one that is stored.

tokio::task_local! {
    /// The keys that this task loads, the innermost last.
    static LOADING: Vec<String>;
}

/// Runs the load of a key.
pub(super) fn scope<F: Future>(key: &str, load: F) -> impl Future<Output = F::Output> + use<F> {
    let mut keys = LOADING.try_with(Vec::clone).unwrap_or_default();
    keys.push(key.to_owned());
    LOADING.scope(keys, load)
}

/// Whether what loads this key now is itself part of a load of it.
pub(super) fn is_inner(key: &str) -> bool {
    let count = |keys: &Vec<String>| keys.iter().filter(|loaded| *loaded == key).count();
    LOADING.try_with(count).is_ok_and(|count| count > 1)
}
