//! Results of operations on many keys.

use crate::error::Error;

/// What became of each item of a `set_many`.
///
/// ```
/// use larder_core::BatchReport;
///
/// let mut report = BatchReport::new();
/// report.record("a", Ok(true));
/// report.record("b", Ok(false));
/// assert_eq!((report.stored(), report.refused()), (1, ["b".to_owned()].as_slice()));
/// assert!(!report.all_ok());
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct BatchReport {
    stored: u64,
    refused: Vec<String>,
    failed: Vec<(String, Error)>,
}

impl BatchReport {
    /// A report on nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the outcome of one `set`.
    pub fn record(&mut self, key: &str, outcome: Result<bool, Error>) {
        match outcome {
            Ok(true) => self.stored += 1,
            Ok(false) => self.refused.push(key.to_owned()),
            Err(error) => self.failed.push((key.to_owned(), error)),
        }
    }

    /// The same report with each error as `map` makes it.
    pub(crate) fn map_failures(mut self, map: impl Fn(&str, Error) -> Error) -> Self {
        let failed = std::mem::take(&mut self.failed).into_iter();
        let mapped = failed.map(|(key, error)| {
            let error = map(&key, error);
            (key, error)
        });
        self.failed = mapped.collect();
        self
    }

    /// The same report with each key as `map` makes it.
    pub fn map_keys(mut self, map: impl Fn(String) -> String) -> Self {
        for key in &mut self.refused {
            *key = map(std::mem::take(key));
        }
        for (key, _) in &mut self.failed {
            *key = map(std::mem::take(key));
        }
        self
    }

    /// How many items were stored.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Keys whose value was refused, in the order given.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Keys that failed and why, in the order given.
    pub fn failed(&self) -> &[(String, Error)] {
        &self.failed
    }

    /// Whether every item was stored.
    pub fn all_ok(&self) -> bool {
        self.refused.is_empty() && self.failed.is_empty()
    }
}

/// Some of the keys that match a pattern, and where to go on.
///
/// Keys come in lexicographic order, so a scan sees every key that is there from
/// its start to its end, whatever is added or removed meanwhile.
///
/// ```
/// use larder_core::ScanPage;
///
/// let page = ScanPage::new(vec!["a".to_owned(), "b".to_owned()], true);
/// assert_eq!(page.next(), Some("b"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanPage {
    keys: Vec<String>,
    more: bool,
}

impl ScanPage {
    /// A page of sorted keys; `more` says whether others follow.
    pub fn new(keys: Vec<String>, more: bool) -> Self {
        Self { keys, more }
    }

    /// The page of at most `limit` keys after `after`, cut out of all keys.
    ///
    /// A `limit` of zero counts as one, so that a scan always ends.
    pub fn cut(mut keys: Vec<String>, after: Option<&str>, limit: usize) -> Self {
        if let Some(after) = after {
            keys.retain(|key| key.as_str() > after);
        }
        keys.sort_unstable();
        let limit = limit.max(1);
        let more = keys.len() > limit;
        keys.truncate(limit);
        Self { keys, more }
    }

    /// The keys of this page.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The keys of this page, owned.
    pub fn into_keys(self) -> Vec<String> {
        self.keys
    }

    /// What to give as `after` for the next page, `None` at the end.
    pub fn next(&self) -> Option<&str> {
        if !self.more {
            return None;
        }
        self.keys.last().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: D54
    #[test]
    fn pages_cover_all_keys_once_in_order() {
        let all = || ["d", "a", "c", "b", "e"].map(str::to_owned).to_vec();
        let mut seen = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = ScanPage::cut(all(), after.as_deref(), 2);
            seen.extend(page.keys().to_vec());
            match page.next() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
        assert_eq!(ScanPage::cut(Vec::new(), None, 0), ScanPage::default());
    }

    // covers: F7, D09
    #[test]
    fn a_report_keeps_stored_refused_and_failed_apart() {
        let mut report = BatchReport::new();
        report.record("a", Ok(true));
        assert!(report.all_ok());
        report.record("b", Ok(false));
        report.record("c", Err(Error::unsupported("anything")));
        assert_eq!(report.stored(), 1);
        assert_eq!(report.refused(), ["b"]);
        assert_eq!(report.failed()[0].0, "c");
        assert!(!report.all_ok());
    }
}
