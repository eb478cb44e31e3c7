//! The glob matcher.
//!
//! Parsing yields a list of tokens; matching walks key and tokens side by side
//! and on a mismatch returns to the last `*` only, which takes one character
//! more. Earlier stars never need a second look, so nothing is exponential.

use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// `*`
    AnyText,
    /// `?`
    AnyChar,
    /// A character that stands for itself.
    Char(char),
    /// `[…]`
    Class(Class),
}

/// A bracket expression: inclusive ranges, perhaps negated.
#[derive(Debug, Clone, PartialEq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn contains(&self, c: char) -> bool {
        self.ranges
            .iter()
            .any(|&(low, high)| (low..=high).contains(&c))
            != self.negated
    }
}

/// A parsed glob.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Glob(Vec<Token>);

impl Glob {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut tokens = Vec::new();
        let mut rest = text.char_indices();
        while let Some((position, c)) = rest.next() {
            let token = match c {
                '*' if tokens.last() == Some(&Token::AnyText) => continue,
                '*' => Token::AnyText,
                '?' => Token::AnyChar,
                '[' => Token::Class(class(&mut rest).ok_or_else(|| {
                    invalid(
                        text,
                        &format!(
                            "the class at byte {position} has no end or no content; \
                             write \\[ for the character itself"
                        ),
                    )
                })?),
                '\\' => Token::Char(escaped(&mut rest).ok_or_else(|| {
                    invalid(
                        text,
                        "it ends in a lone \\; write \\\\ for the character itself",
                    )
                })?),
                c => Token::Char(c),
            };
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// The characters before the first that may be another.
    pub(super) fn beginning(&self) -> String {
        let tokens = self.0.iter();
        tokens
            .map_while(|token| match token {
                Token::Char(char) => Some(*char),
                _ => None,
            })
            .collect()
    }

    pub(super) fn matches(&self, key: &str) -> bool {
        self.count_steps(key).0
    }

    /// Whether `key` matches, and how many tokens were compared to find out.
    fn count_steps(&self, key: &str) -> (bool, usize) {
        let tokens = &self.0;
        let (mut rest, mut token, mut steps) = (key.chars(), 0, 0);
        // Behind the last star seen: its token, and the text it has not taken yet.
        let mut last_star = None;
        loop {
            steps += 1;
            let here = rest.clone();
            let next = rest.next();
            let fits = match (tokens.get(token), next) {
                (None, None) => return (true, steps),
                (Some(Token::AnyText), _) => {
                    last_star = Some((token + 1, here.clone()));
                    rest = here;
                    true
                }
                (Some(Token::AnyChar), Some(_)) => true,
                (Some(Token::Char(want)), Some(c)) => *want == c,
                (Some(Token::Class(class)), Some(c)) => class.contains(c),
                (_, None) | (None, Some(_)) => false,
            };
            if fits {
                token += 1;
                continue;
            }
            // Give the last star one character more, and try again behind it.
            let Some((behind, untaken)) = &mut last_star else {
                return (false, steps);
            };
            if untaken.next().is_none() {
                return (false, steps);
            }
            token = *behind;
            rest = untaken.clone();
        }
    }

    pub(super) fn to_like(&self) -> String {
        let mut like = String::new();
        for token in &self.0 {
            match token {
                Token::AnyText => like.push('%'),
                Token::AnyChar | Token::Class(_) => like.push('_'),
                Token::Char(c) => {
                    if matches!(c, '%' | '_' | '\\') {
                        like.push('\\');
                    }
                    like.push(*c);
                }
            }
        }
        like
    }
}

type Rest<'a> = std::str::CharIndices<'a>;

fn escaped(rest: &mut Rest<'_>) -> Option<char> {
    rest.next().map(|(_, c)| c)
}

/// Reads a class behind its `[`, up to and including the `]`.
fn class(rest: &mut Rest<'_>) -> Option<Class> {
    let negated = rest.as_str().starts_with(['!', '^']);
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next()?.1 {
            ']' if ranges.is_empty() => return None,
            ']' => return Some(Class { negated, ranges }),
            '\\' => escaped(rest)?,
            c => c,
        };
        let is_range = rest.as_str().starts_with('-') && !rest.as_str().starts_with("-]");
        let high = if is_range {
            rest.next();
            match rest.next()?.1 {
                '\\' => escaped(rest)?,
                c => c,
            }
        } else {
            low
        };
        ranges.push((low.min(high), low.max(high)));
    }
}

fn invalid(text: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidPattern,
        format!("cannot read the pattern {text:?}: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(key)
    }

    // covers: G2, G3, G12
    #[test]
    fn the_grammar() {
        let table = [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("user:*", "user:1", true),
            ("user:*", "user:", true),
            ("user:*", "User:1", false),
            ("*:profile", "user:1:profile", true),
            ("user:*:profile", "user:1:2:profile", true),
            ("user:*:profile", "user:1:profile:x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "a€c", true),
            ("[abc]x", "bx", true),
            ("[abc]x", "dx", false),
            ("[a-c]", "b", true),
            ("[c-a]", "b", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[!a]", "b", true),
            ("[^a]", "b", true),
            ("[!a-c]", "b", false),
            ("[!a]", "", false),
            ("[a!]", "!", true),
            (r"[\]]", "]", true),
            (r"[\-z]", "-", true),
            (r"[a\-c]", "b", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"\\", r"\", true),
            (r"\[a]", "[a]", true),
            ("**a**", "bab", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("*aab", "aaaab", true),
            ("[α-ω]", "λ", true),
        ];
        for (pattern, key, expected) in table {
            assert_eq!(matches(pattern, key), expected, "{pattern:?} on {key:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where_and_how_to_fix_it() {
        for bad in ["[", "a[bc", "[]", "[!]", "[a-", r"[a\", r"a\"] {
            let error = Glob::parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidPattern, "{bad:?}");
        }
        let text = Glob::parse("user:[1").unwrap_err().to_string();
        assert!(text.contains("byte 5"), "{text}");
    }

    // covers: G6
    #[test]
    fn as_like_wildcards_are_translated_and_like_wildcards_escaped() {
        let table = [
            ("user:*", "user:%"),
            ("a?c", "a_c"),
            ("100%_*", r"100\%\_%"),
            (r"a\*b\\c", r"a*b\\c"),
            ("[abc]x", "_x"),
        ];
        for (glob, like) in table {
            assert_eq!(Glob::parse(glob).unwrap().to_like(), like, "{glob:?}");
        }
    }

    #[test]
    fn evil_patterns_take_steps_in_proportion_to_the_text() {
        let pattern = Glob::parse(&format!("{}b", "*a".repeat(200))).unwrap();
        for length in [1_000, 2_000, 4_000] {
            let (matched, steps) = pattern.count_steps(&"a".repeat(length));
            assert!(!matched);
            assert!(steps <= 4 * length, "{steps} steps for {length} characters");
        }
    }

    /// The textbook definition: exponential, but plainly right.
    fn oracle(tokens: &[Token], key: &[char]) -> bool {
        match (tokens.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((Token::AnyText, tail)), _) => {
                (0..=key.len()).any(|taken| oracle(tail, &key[taken..]))
            }
            (Some((token, tail)), Some((c, rest))) => {
                let fits = match token {
                    Token::AnyText => unreachable!("handled above"),
                    Token::AnyChar => true,
                    Token::Char(want) => want == c,
                    Token::Class(class) => class.contains(*c),
                };
                fits && oracle(tail, rest)
            }
            _ => false,
        }
    }

    #[test]
    fn agrees_with_the_textbook_definition_on_all_short_inputs() {
        let all = |letters: &str, longest: u32| {
            let letters: Vec<char> = letters.chars().collect();
            let base = letters.len();
            (0..=longest).flat_map(move |length| {
                let letters = letters.clone();
                (0..base.pow(length)).map(move |mut code| {
                    (0..length)
                        .map(|_| {
                            let c = letters[code % base];
                            code /= base;
                            c
                        })
                        .collect::<String>()
                })
            })
        };
        let keys: Vec<String> = all("ab", 6).collect();
        for pattern in all("ab*?", 5) {
            let glob = Glob::parse(&pattern).unwrap();
            for key in &keys {
                let chars: Vec<char> = key.chars().collect();
                assert_eq!(
                    glob.matches(key),
                    oracle(&glob.0, &chars),
                    "{pattern:?} on {key:?}"
                );
            }
        }
    }
}
