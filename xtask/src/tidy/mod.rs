//! Rules for source files that the compiler does not know.
//!
//! Each rule is a function from files to findings, and a test of this crate, so
//! that `cargo test` alone tells the truth.

mod imports;
mod text;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::requirements;
use crate::workspace::Workspace;

pub(crate) const HELP: &str = "\
The rules for source files that the compiler does not know: which crate may use
which, how long a file may be, what every file starts with, which names and
words are banned. Findings are printed as path:line: what is wrong; what to do.

Usage: cargo xtask tidy";

/// One violation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// A file with its text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "rs")
    }

    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }

    /// Lines from 1, with their text.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Whether the file is below this folder.
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(Path::new(folder))
    }
}

/// A rule over all text files.
type Rule = fn(&[Source]) -> Vec<Finding>;

const RULES: [Rule; 8] = [
    text::file_length,
    text::opening_words,
    text::banned_names,
    text::banned_words,
    text::machine_paths,
    text::unsafe_code,
    imports::engine_knows_little,
    requirements::unknown_markers,
];

/// Runs every rule; `false` if one has findings.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    if let Some(argument) = arguments.first() {
        return Err(format!(
            "tidy takes no {argument}; see cargo xtask tidy --help"
        ));
    }
    Ok(report(&Workspace::load()?))
}

/// Runs every rule and prints the findings; `false` if there are any.
pub(crate) fn report(workspace: &Workspace) -> bool {
    let files = match sources(workspace) {
        Ok(files) => files,
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&files)).collect();
    findings.extend(imports::between_crates(&workspace.packages));
    findings.extend(imports::core_stays_light(&workspace.packages));
    findings.extend(imports::shared_lints(&workspace.packages, &files));
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} files, {} findings", files.len(), findings.len());
    findings.is_empty()
}

/// Every text file of the workspace.
pub(crate) fn sources(workspace: &Workspace) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for path in workspace.files()? {
        let bytes = std::fs::read(workspace.root.join(&path))
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        // What is no UTF-8 is no text.
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: AA6, AA9
    #[test]
    fn the_documents_for_readers_and_the_licence_are_there() {
        let files = sources(&Workspace::load().unwrap()).unwrap();
        for (name, words) in [
            ("README.md", "cargo xtask test"),
            ("ARCHITECTURE.md", "## Invariants"),
            ("DECISIONS.md", "## 1."),
            ("CONTRIBUTING.md", "## Adding a backend"),
            ("CHANGELOG.md", "## Unreleased"),
            ("LICENSE", "MIT License"),
        ] {
            let file = files.iter().find(|file| file.path == Path::new(name));
            assert!(file.is_some_and(|file| file.text.contains(words)), "{name}");
        }
    }

    #[test]
    fn the_workspace_is_tidy() {
        let workspace = Workspace::load().unwrap();
        assert!(report(&workspace), "the findings are printed above");
    }
}
