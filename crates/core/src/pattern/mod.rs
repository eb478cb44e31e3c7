//! Patterns over keys: one glob grammar on every backend.
//!
//! Regular expressions and SQL `LIKE` exist only where a caller asks for them by
//! name, because the same text means different things in each.

mod glob;
mod like;

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// Which keys an operation means.
///
/// The glob grammar: `*` is any text, `?` any one character, `[abc]` and `[a-z]`
/// one of these, `[!a]` and `[^a]` one that is not, and `\` takes the next
/// character as it is. Characters are Unicode characters, matching minds case,
/// and the whole key has to match.
///
/// ```
/// use larder_core::Pattern;
///
/// let profiles = Pattern::glob("user:*:profile")?;
/// assert!(profiles.matches("user:123:profile"));
/// assert!(!profiles.matches("user:123:settings"));
///
/// let error = Pattern::glob("user:[1").unwrap_err();
/// assert!(error.to_string().contains("write \\[ for the character itself"));
/// # Ok::<(), larder_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Glob(glob::Glob),
    Like(like::Like),
    #[cfg(feature = "regex")]
    Regex(regex::Regex),
}

impl Pattern {
    /// Parses a glob.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPattern`] for a class without end or content, for a
    /// lone `\` at the end, and above [`MAX_PATTERN_BYTES`].
    pub fn glob(text: &str) -> Result<Self> {
        check_length(text)?;
        let kind = Kind::Glob(glob::Glob::parse(text)?);
        Ok(Self::of(text, kind))
    }

    /// Parses a SQL `LIKE` pattern: `%` is any text, `_` any one character, `\`
    /// takes the next character as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPattern`] for a lone `\` at the end, and above
    /// [`MAX_PATTERN_BYTES`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use larder_core::Pattern;
    /// assert!(Pattern::like("user:%")?.matches("user:1"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn like(text: &str) -> Result<Self> {
        check_length(text)?;
        let kind = Kind::Like(like::Like::parse(text)?);
        Ok(Self::of(text, kind))
    }

    /// Parses a regular expression that has to match the whole key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPattern`] if it cannot be parsed, and above
    /// [`MAX_PATTERN_BYTES`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use larder_core::Pattern;
    /// assert!(Pattern::regex(r"user:\d+")?.matches("user:42"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[cfg(feature = "regex")]
    pub fn regex(text: &str) -> Result<Self> {
        check_length(text)?;
        let whole = regex::Regex::new(&format!("^(?:{text})$")).map_err(|error| {
            Error::new(ErrorKind::InvalidPattern, format!("bad regex {text:?}")).with_source(error)
        })?;
        Ok(Self::of(text, Kind::Regex(whole)))
    }

    /// What matches this pattern, with `prefix` before it.
    ///
    /// ```
    /// # use larder_core::Pattern;
    /// let mine = Pattern::glob("user:*")?.under("shop*:");
    /// assert!(mine.matches("shop*:user:1"));
    /// assert!(!mine.matches("shops:user:1") && !mine.matches("user:1"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    #[must_use]
    pub fn under(&self, prefix: &str) -> Self {
        let of_legal = "a legal pattern behind legal text is legal";
        let behind = |escaped: String| escaped + &self.text;
        match &self.kind {
            Kind::Glob(_) => {
                let text = behind(escape(prefix, &['*', '?', '[', '\\']));
                let glob = glob::Glob::parse(&text).expect(of_legal);
                Self::of(&text, Kind::Glob(glob))
            }
            Kind::Like(_) => {
                let text = behind(escape(prefix, &['%', '_', '\\']));
                let like = like::Like::parse(&text).expect(of_legal);
                Self::of(&text, Kind::Like(like))
            }
            #[cfg(feature = "regex")]
            Kind::Regex(_) => {
                let text = format!("{}(?:{})", regex::escape(prefix), self.text);
                let whole = regex::Regex::new(&format!("^(?:{text})$")).expect(of_legal);
                Self::of(&text, Kind::Regex(whole))
            }
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        let everything = Kind::Glob(glob::Glob::parse("*").expect("a star is a glob"));
        Self::of("*", everything).under(prefix)
    }

    fn of(text: &str, kind: Kind) -> Self {
        Self {
            text: text.into(),
            kind,
        }
    }

    /// Whether `key` matches.
    ///
    /// Takes time in proportion to the key's length times the longest stretch of
    /// the pattern without a `*`, whatever the pattern.
    pub fn matches(&self, key: &str) -> bool {
        match &self.kind {
            Kind::Glob(glob) => glob.matches(key),
            Kind::Like(like) => like.matches(key),
            #[cfg(feature = "regex")]
            Kind::Regex(regex) => regex.is_match(key),
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The glob as a SQL `LIKE` pattern with `\` as escape character.
    ///
    /// `LIKE` has no classes; each becomes `_`, so the result may match more and
    /// the caller filters with [`matches`](Self::matches). `None` for a regular
    /// expression.
    ///
    /// ```
    /// # use larder_core::Pattern;
    /// assert_eq!(Pattern::glob("50%_*")?.to_like().as_deref(), Some(r"50\%\_%"));
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn to_like(&self) -> Option<String> {
        match &self.kind {
            Kind::Glob(glob) => Some(glob.to_like()),
            Kind::Like(_) => Some(self.text.to_string()),
            #[cfg(feature = "regex")]
            Kind::Regex(_) => None,
        }
    }

    /// What every key that matches begins with, as far as that can be seen: for a store
    /// that finds keys by their beginning.
    ///
    /// ```
    /// # use larder_core::Pattern;
    /// assert_eq!(Pattern::glob(r"user\*:?:*")?.beginning(), "user*:");
    /// # Ok::<(), larder_core::Error>(())
    /// ```
    pub fn beginning(&self) -> String {
        match &self.kind {
            Kind::Glob(glob) => glob.beginning(),
            Kind::Like(like) => like.beginning(),
            #[cfg(feature = "regex")]
            Kind::Regex(_) => String::new(),
        }
    }

    /// The capability that a backend needs for this pattern.
    pub fn capability(&self) -> crate::Capability {
        match &self.kind {
            Kind::Glob(_) => crate::Capability::Keys,
            Kind::Like(_) => crate::Capability::LikePatterns,
            #[cfg(feature = "regex")]
            Kind::Regex(_) => crate::Capability::RegexPatterns,
        }
    }
}

/// `text` with a `\` before each of these characters.
fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn check_length(text: &str) -> Result<()> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidPattern,
            format!(
                "pattern of {} bytes exceeds the limit of {MAX_PATTERN_BYTES}",
                text.len()
            ),
        ));
    }
    Ok(())
}

impl std::str::FromStr for Pattern {
    type Err = Error;

    /// Parses a glob.
    fn from_str(text: &str) -> Result<Self> {
        Self::glob(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Glob(_) => "glob",
            Kind::Like(_) => "like",
            #[cfg(feature = "regex")]
            Kind::Regex(_) => "regex",
        };
        write!(f, "Pattern({kind} {:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: G4, D10
    #[test]
    #[cfg(feature = "regex")]
    fn a_regex_exists_only_by_name_and_means_the_whole_key() {
        let regex = Pattern::regex("user:*").unwrap();
        assert!(regex.matches("user::") && regex.matches("user"));
        assert!(!regex.matches("user:1"));
        let glob = Pattern::glob("user:*").unwrap();
        assert!(glob.matches("user:1") && !glob.matches("user"));
        assert!(Pattern::regex("a|b").unwrap().matches("b"));
        assert!(!Pattern::regex("a|b").unwrap().matches("ab"));
        assert_eq!(
            Pattern::regex("(").unwrap_err().kind(),
            ErrorKind::InvalidPattern
        );
        assert_eq!(regex.to_like(), None);
    }

    #[test]
    fn a_pattern_over_the_limit_is_refused() {
        let long = "a".repeat(MAX_PATTERN_BYTES + 1);
        for parse in [Pattern::glob, Pattern::like] {
            assert!(parse(&long[1..]).is_ok());
            assert_eq!(parse(&long).unwrap_err().kind(), ErrorKind::InvalidPattern);
        }
    }
}
