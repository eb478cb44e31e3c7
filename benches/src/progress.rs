//! One line that tells what is being done, where somebody is looking.

use std::io::IsTerminal;

/// Replaces the line.
pub fn show(doing: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{doing:<90}");
    }
}

/// Takes the line away.
pub fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r{:<90}\r", "");
    }
}
