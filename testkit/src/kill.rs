//! A program that is killed while it writes leaves no wrong and no torn value.
//!
//! The test starts itself again as the writer, reads what the writer has been promised to
//! be stored, kills it at some point, and looks at what is there.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use larder_core::{Blocking, Bytes, SetOptions};

const KEYS: u64 = 8;
const FOLDER: &str = "LARDER_KILL_TEST_FOLDER";

/// Kills a writer so many times, and looks each time. For the `main` of a test without a
/// harness, which has to call it first; `open` opens a cache in a folder that may have one.
///
/// # Panics
///
/// If a value is lost, torn or older than promised.
///
/// # Examples
///
/// ```no_run
/// use larder_testkit::{SixMethods, Subject, kill_while_writing};
///
/// kill_while_writing(50, |folder| {
///     // … a cache that keeps its entries in the folder …
///     # Subject::new(SixMethods::with_clock).cache
/// });
/// ```
pub fn kill_while_writing(rounds: u64, open: impl Fn(&Path) -> Blocking) {
    if let Ok(folder) = std::env::var(FOLDER) {
        write_for_ever(&open(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut promised = HashMap::new();
    for round in 0..rounds {
        // Long enough for some writes, another number each time.
        let lines = 1 + (round * 37) % 200;
        write_and_kill(folder.path(), lines, &mut promised);
        check(&open(folder.path()), &promised);
    }
}

/// The version of a key is in its value, many times.
fn value_of(key: u64, version: u64) -> Bytes {
    let times = 1 + (key * 7 + version) % 3_000;
    let word = format!("{key}:{version};");
    word.repeat(usize::try_from(times).expect("some thousands"))
        .into()
}

fn version_in(key: u64, value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("text was stored");
    let (word, _) = text.split_once(';').expect("a word ends");
    let (_, version) = word.split_once(':').expect("key and version");
    let version = version.parse().expect("a number");
    assert_eq!(value, value_of(key, version), "a torn value");
    version
}

fn write_for_ever(cache: &Blocking) -> ! {
    let mut version = (0..KEYS)
        .filter_map(|key| {
            let value = cache.get(&key.to_string()).expect("it can be read");
            value.map(|value| version_in(key, &value))
        })
        .max()
        .unwrap_or(0);
    let mut out = std::io::stdout().lock();
    loop {
        version += 1;
        for key in 0..KEYS {
            let value = value_of(key, version);
            cache
                .set(&key.to_string(), value, SetOptions::new())
                .expect("it can be written");
            writeln!(out, "{key} {version}").expect("somebody listens");
        }
    }
}

fn write_and_kill(folder: &Path, lines: u64, promised: &mut HashMap<u64, u64>) {
    let me = std::env::current_exe().expect("this program has a name");
    let mut writer = Command::new(me)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started");
    let out = BufReader::new(writer.stdout.take().expect("it was asked to be piped"));
    let mut read = 0;
    for line in out.lines() {
        let line = line.expect("text");
        // The last line may be cut off.
        if let Some((key, version)) = line.split_once(' ')
            && let (Ok(key), Ok(version)) = (key.parse(), version.parse::<u64>())
        {
            let known = promised.entry(key).or_insert(0);
            *known = version.max(*known);
        }
        read += 1;
        if read == lines {
            writer.kill().expect("it runs");
        }
    }
    writer.wait().expect("it was started");
    assert!(read >= lines, "the writer ended by itself");
}

fn check(cache: &Blocking, promised: &HashMap<u64, u64>) {
    for (key, version) in promised {
        let value = cache.get(&key.to_string()).expect("it can be read");
        let value = value.unwrap_or_else(|| panic!("{key} is lost"));
        assert!(
            version_in(*key, &value) >= *version,
            "{key} is older than promised"
        );
    }
    assert_eq!(cache.stats().expect("it can be read").unreadable, 0);
}
