//! Which single features of a package are worth a build of their own.

use std::collections::{BTreeMap, BTreeSet};

/// The features that turn on something that no one before them did.
///
/// `default` turns on other features and means nothing by itself, so that it
/// often equals the bare build or another feature.
pub(crate) fn distinct(features: &BTreeMap<String, Vec<String>>) -> Vec<&str> {
    // The empty set is the build without any feature.
    let mut seen = BTreeSet::from([BTreeSet::new()]);
    // `default` comes last, so that the feature it equals keeps its own name.
    let (default, others): (Vec<_>, Vec<_>) = features.keys().partition(|name| *name == "default");
    others
        .into_iter()
        .chain(default)
        .filter(|name| seen.insert(turned_on(name, features)))
        .map(String::as_str)
        .collect()
}

/// All that a feature turns on, itself included, unless it is `default`.
fn turned_on<'a>(
    feature: &'a str,
    features: &'a BTreeMap<String, Vec<String>>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut to_visit = vec![feature];
    while let Some(name) = to_visit.pop() {
        if found.insert(name) {
            to_visit.extend(features.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    found.remove("default");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let row = |(name, on): &(&str, &[&str])| {
            let on = on.iter().map(|&feature| feature.to_owned()).collect();
            ((*name).to_owned(), on)
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_default_that_adds_nothing_is_left_out() {
        let empty = table(&[("default", &[]), ("validate", &[])]);
        assert_eq!(distinct(&empty), ["validate"]);
        let same = table(&[("default", &["near"]), ("near", &["dep:x"])]);
        assert_eq!(distinct(&same), ["near"]);
    }

    #[test]
    fn a_default_that_joins_features_is_kept() {
        let joined = table(&[("default", &["a", "b"]), ("a", &[]), ("b", &[])]);
        assert_eq!(distinct(&joined), ["a", "b", "default"]);
    }
}
