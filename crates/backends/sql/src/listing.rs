//! Listing keys: page by page, so that no statement is long.

use larder_core::{Pattern, Result, ScanPage};

use crate::store::Store;
use crate::table::{Range, Wanted};

/// Keys that are listed by one statement.
const PAGE: usize = 5_000;

impl Store {
    /// At most `limit` live keys that match, after this one.
    pub(crate) async fn scan(
        &self,
        pattern: Option<&Pattern>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let prefix = &self.settings.prefix;
        let mut wanted = self.wanted(pattern);
        wanted.after = after.map(|after| self.full(after));
        let limit = limit.max(1);
        let mut keys = Vec::new();
        loop {
            // One more than asked for tells whether there is more.
            let page = (limit + 1 - keys.len()).clamp(100, PAGE);
            let size = i64::try_from(page).expect("some thousands");
            let select = self.table.page(&wanted, size, self.now_millis());
            let found = self.read(select, |columns| Some(columns.text(0))).await?;
            let is_last = found.len() < page;
            let Some(last) = found.iter().flatten().next_back().cloned() else {
                break;
            };
            let own = found
                .iter()
                .flatten()
                .filter_map(|full| full.strip_prefix(&**prefix));
            let matching = own.filter(|key| pattern.is_none_or(|p| p.matches(key)));
            keys.extend(matching.map(str::to_owned));
            if is_last || keys.len() > limit {
                break;
            }
            wanted.after = Some(last);
        }
        let more = keys.len() > limit;
        keys.truncate(limit);
        Ok(ScanPage::new(keys, more))
    }

    /// Which rows can match: a range, and what the database can see of a pattern.
    fn wanted(&self, pattern: Option<&Pattern>) -> Wanted {
        let prefix = &self.settings.prefix;
        let beginning = pattern.map(Pattern::beginning).unwrap_or_default();
        Wanted {
            range: Range::beginning(&[&**prefix, &beginning].concat()),
            like: pattern.and_then(|pattern| pattern.under(prefix).to_like()),
            after: None,
        }
    }

    /// All live keys that match.
    pub(crate) async fn keys(&self, pattern: Option<&Pattern>) -> Result<Vec<String>> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().cloned();
            let page = self.scan(pattern, after.as_deref(), PAGE).await?;
            let is_last = page.next().is_none();
            keys.extend(page.into_keys());
            if is_last {
                return Ok(keys);
            }
        }
    }
}
