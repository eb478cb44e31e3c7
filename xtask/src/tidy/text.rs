//! Rules that read one file at a time.

use super::{Finding, Source};

const MAX_LINES: usize = 500;

/// Names that say nothing; if you cannot name it, it is not one thing yet.
const BANNED_NAMES: [&str; 11] = [
    "utils", "util", "common", "helpers", "helper", "misc", "types", "raw", "base", "prelude",
    "core.rs",
];

/// Words that mean unfinished work or real waiting, in pieces so that this file
/// does not trip over them.
const BANNED_WORDS: [(&str, &str); 8] = [
    (concat!("to", "do!("), "finish it"),
    (concat!("unimple", "mented!("), "finish it"),
    (concat!("db", "g!("), "remove it"),
    (concat!("#[ig", "nore"), "make the test run or delete it"),
    (concat!("FIX", "ME"), "fix it"),
    (concat!("X", "XX"), "fix it"),
    (
        concat!("thread::sl", "eep"),
        "wait for an event, or move a ManualClock",
    ),
    (
        concat!("time::sl", "eep("),
        "wait for an event, or move a ManualClock",
    ),
];

/// What waits for real time because that is its task.
const MAY_WAIT: [&str; 1] = ["crates/layers/src/retry.rs"];

/// Paths of one machine and hosts of package sources, in pieces likewise.
const MACHINE_WORDS: [&str; 9] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/fa", "rm/"),
    concat!("index.cra", "tes.io"),
    concat!("static.cra", "tes.io"),
    concat!("py", "pi.org"),
    concat!("registry.np", "mjs.org"),
    concat!("artif", "actory"),
];

/// Files that may hold `unsafe` code.
const UNSAFE_FILES: [&str; 0] = [];

/// No Rust file is empty or too long to hold in the head.
pub(super) fn file_length(files: &[Source]) -> Vec<Finding> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.filter_map(|file| {
        let lines = file.text.lines().count();
        match lines {
            0 => Some(file.finding(1, "empty file; write something or delete it")),
            1..=MAX_LINES => None,
            _ => Some(file.finding(lines, format!("over {MAX_LINES} lines; split it by topic"))),
        }
    })
    .collect()
}

/// Every Rust file says what it is before anything else.
pub(super) fn opening_words(files: &[Source]) -> Vec<Finding> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.finding(1, "no //! at the start; say what the file is"))
        .collect()
}

/// Files and folders have names that say what they hold.
pub(super) fn banned_names(files: &[Source]) -> Vec<Finding> {
    let is_banned = |part: &str| {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        BANNED_NAMES.contains(&part) || BANNED_NAMES.contains(&stem)
    };
    let rust = files.iter().filter(|file| file.is_rust());
    rust.filter(|file| {
        file.path
            .iter()
            .filter_map(|part| part.to_str())
            .any(is_banned)
    })
    .map(|file| file.finding(1, "a name that says nothing; name it after what it holds"))
    .collect()
}

/// No unfinished work, no waiting for real time.
pub(super) fn banned_words(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let may_wait = MAY_WAIT.iter().any(|path| file.path.ends_with(path));
        for (line, text) in file.lines() {
            for (word, way_out) in BANNED_WORDS {
                if text.contains(word) && !(may_wait && word.contains("time::")) {
                    findings.push(file.finding(line, format!("{word} found; {way_out}")));
                }
            }
        }
    }
    findings
}

/// Nothing that is true on one machine only.
pub(super) fn machine_paths(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| !file.path.ends_with("Cargo.lock"))
    {
        for (line, text) in file.lines() {
            for word in MACHINE_WORDS.iter().filter(|word| text.contains(*word)) {
                let what = format!("{word} is a place of one machine; write it without");
                findings.push(file.finding(line, what));
            }
        }
    }
    findings
}

/// Unsafe code only in files that are allowed to.
pub(super) fn unsafe_code(files: &[Source]) -> Vec<Finding> {
    let starts = ["{", "fn ", "impl ", "extern "].map(|rest| format!("{} {rest}", "unsafe"));
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        if UNSAFE_FILES
            .iter()
            .any(|allowed| file.path.ends_with(allowed))
        {
            continue;
        }
        for (line, text) in file.lines() {
            let code = text.split("//").next().unwrap_or_default();
            if starts.iter().any(|start| code.contains(start.as_str())) {
                findings.push(file.finding(line, "unsafe code; do it safely, or measure why not"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&[Source]) -> Vec<Finding>, path: &str, text: &str) -> usize {
        let source = Source {
            path: path.into(),
            text: text.to_owned(),
        };
        rule(&[source]).len()
    }

    #[test]
    fn each_rule_finds_what_it_is_for_and_nothing_else() {
        let long = "//! x\n".repeat(MAX_LINES + 1);
        assert_eq!(found(file_length, "a.rs", &long), 1);
        assert_eq!(found(file_length, "a.rs", &long[6..]), 0);
        assert_eq!(found(file_length, "a.rs", ""), 1);

        assert_eq!(found(opening_words, "a.rs", "use std;\n"), 1);
        assert_eq!(found(opening_words, "a.rs", "//! Words.\n"), 0);
        assert_eq!(found(opening_words, "a.md", "# Words\n"), 0);

        assert_eq!(found(banned_names, "crates/x/src/utils.rs", ""), 1);
        assert_eq!(found(banned_names, "crates/x/src/helpers/mod.rs", ""), 1);
        assert_eq!(found(banned_names, "crates/x/src/core.rs", ""), 1);
        assert_eq!(found(banned_names, "crates/core/src/key.rs", ""), 0);

        for (word, _) in BANNED_WORDS {
            assert_eq!(
                found(banned_words, "a.rs", &format!("    {word}")),
                1,
                "{word}"
            );
        }
        assert_eq!(found(banned_words, "a.rs", "let todos = 1;"), 0);

        for word in MACHINE_WORDS {
            assert_eq!(
                found(machine_paths, "a.md", &format!("see {word}x")),
                1,
                "{word}"
            );
            assert_eq!(found(machine_paths, "Cargo.lock", word), 0);
        }

        let block = format!("let x = {} {{ y }};", "unsafe");
        assert_eq!(found(unsafe_code, "a.rs", &block), 1);
        assert_eq!(found(unsafe_code, "a.rs", &format!("// {block}")), 0);
    }
}
