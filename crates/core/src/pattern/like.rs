//! SQL `LIKE`, as a glob in other letters.

use super::glob::Glob;
use crate::error::{Error, ErrorKind, Result};

/// A parsed `LIKE` pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Like(Glob);

impl Like {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut glob = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '%' => glob.push('*'),
                '_' => glob.push('?'),
                '\\' => match rest.next() {
                    Some(escaped) => glob.extend(['\\', escaped]),
                    None => {
                        return Err(Error::new(
                            ErrorKind::InvalidPattern,
                            format!("the LIKE pattern {text:?} ends in a lone \\"),
                        ));
                    }
                },
                c @ ('*' | '?' | '[') => glob.extend(['\\', c]),
                c => glob.push(c),
            }
        }
        Glob::parse(&glob).map(Self)
    }

    pub(super) fn beginning(&self) -> String {
        self.0.beginning()
    }

    pub(super) fn matches(&self, key: &str) -> bool {
        self.0.matches(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: G6
    #[test]
    fn only_percent_and_underscore_are_special() {
        let table = [
            ("user:%", "user:1", true),
            ("user:_", "user:12", false),
            ("a*%", "a*b", true),
            ("a*%", "ab", false),
            ("[x]?", "[x]?", true),
            (r"100\%", "100%", true),
            (r"100\%", "100x", false),
        ];
        for (like, key, expected) in table {
            let like_pattern = Like::parse(like).unwrap();
            assert_eq!(like_pattern.matches(key), expected, "{like:?} on {key:?}");
        }
        assert!(Like::parse("a\\").is_err());
    }
}
