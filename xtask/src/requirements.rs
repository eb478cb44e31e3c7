//! `cargo xtask requirements`: which requirements have a test.
//!
//! The numbers are in `requirements.txt`, one line each. A test says what it
//! covers in a comment of its own: `// covers: A8, D07`.

use std::collections::BTreeMap;

use crate::tidy::{self, Finding, Source};
use crate::workspace::Workspace;

pub(crate) const HELP: &str = "\
Which requirements have a test, and which not yet.

Usage: cargo xtask requirements [--verbose]

  --verbose  also list each covered requirement with the places of its tests

A test says what it covers in a comment of its own line, like this:
    // covers: A8, D07
The numbers and what they mean are in xtask/requirements.txt.";

const LIST: &str = include_str!("../requirements.txt");

/// What a marker starts with, in pieces so that this file holds none.
const MARKER: &str = concat!("// cov", "ers: ");

/// A requirement: its number and what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Requirement {
    id: &'static str,
    title: &'static str,
}

impl Requirement {
    fn all() -> impl Iterator<Item = Self> {
        LIST.lines().filter_map(|line| {
            let (id, title) = line.split_once('\t')?;
            Some(Self { id, title })
        })
    }

    /// The letters before the number; decisions are an area of their own.
    fn area(self) -> String {
        let letters: String = self
            .id
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        let is_decision = letters == "D" && !self.id.contains('-');
        if is_decision {
            "decisions".to_owned()
        } else {
            letters
        }
    }
}

/// A marker in a source file.
#[derive(Debug)]
struct Marker {
    id: String,
    place: String,
}

/// Prints what is covered and what is not.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let verbose = match arguments {
        [] => false,
        [option] if option == "--verbose" => true,
        [other, ..] => return Err(format!("unknown option {other}; see --help")),
    };
    let files = tidy::sources(&Workspace::load()?)?;
    let unknown = unknown_markers(&files);
    for finding in &unknown {
        println!("{finding}");
    }
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for marker in files.iter().flat_map(markers) {
        places.entry(marker.id).or_default().push(marker.place);
    }
    let is_covered = |requirement: &Requirement| places.contains_key(requirement.id);
    let mut areas: Vec<String> = Requirement::all().map(Requirement::area).collect();
    areas.dedup();
    for area in areas {
        let all: Vec<_> = Requirement::all().filter(|r| r.area() == area).collect();
        let covered = all.iter().filter(|r| is_covered(r)).count();
        println!("{area:<10} {covered:>3}/{}", all.len());
    }
    if verbose {
        println!("\ncovered:");
        for Requirement { id, title } in Requirement::all().filter(is_covered) {
            println!("{id:<5} {title}\n      {}", places[id].join(", "));
        }
    }
    println!("\nnot yet covered:");
    for Requirement { id, title } in Requirement::all().filter(|r| !is_covered(r)) {
        println!("{id:<5} {title}");
    }
    let covered = Requirement::all().filter(is_covered).count();
    println!("\n{covered} of {} covered", Requirement::all().count());
    Ok(unknown.is_empty())
}

/// Markers name requirements that exist.
pub(crate) fn unknown_markers(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for Marker { id, place } in markers(file) {
            if !Requirement::all().any(|requirement| requirement.id == id) {
                let line = place.rsplit(':').next().and_then(|line| line.parse().ok());
                let what = format!("no requirement {id}; see xtask/requirements.txt");
                findings.push(file.finding(line.unwrap_or(1), what));
            }
        }
    }
    findings
}

fn markers(file: &Source) -> Vec<Marker> {
    if !file.is_rust() {
        return Vec::new();
    }
    file.lines()
        .filter_map(|(line, text)| Some((line, text.trim_start().strip_prefix(MARKER)?)))
        .flat_map(|(line, ids)| {
            let place = format!("{}:{line}", file.path.display());
            ids.split(',').map(move |id| Marker {
                id: id.trim().to_owned(),
                place: place.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            path: "a.rs".into(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn markers_are_found_and_unknown_numbers_reported() {
        let known = source(&format!("fn x() {{}}\n    {MARKER}A8, D-1, D01\n"));
        let ids: Vec<String> = markers(&known).into_iter().map(|m| m.id).collect();
        assert_eq!(ids, ["A8", "D-1", "D01"]);
        assert!(unknown_markers(&[known]).is_empty());
        let wrong = source(&format!("{MARKER}A8, Q999\n"));
        assert_eq!(unknown_markers(&[wrong]).len(), 1);
    }

    #[test]
    fn every_number_is_there_once() {
        let mut ids: Vec<&str> = Requirement::all().map(|r| r.id).collect();
        assert!(ids.len() > 300, "{}", ids.len());
        assert!(Requirement::all().all(|r| !r.title.is_empty()));
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        for id in ["A1", "D-14", "D56", "S16r", "AB6", "J11"] {
            assert!(ids.binary_search(&id).is_ok(), "{id}");
        }
    }
}
