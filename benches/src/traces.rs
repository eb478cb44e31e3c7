//! Request sequences to replay: recorded ones, or made ones where there are none.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::work::{Random, zipf};

/// Keys in the order in which they were asked for, as numbers from 0 on.
pub struct Trace {
    /// What it is called.
    pub name: String,
    /// The requests.
    pub keys: Vec<u32>,
    /// How many different keys there are.
    pub unique: usize,
}

impl Trace {
    fn new(name: &str, ids: impl Iterator<Item = u64>) -> Self {
        let mut numbers = HashMap::new();
        let mut number = |id| {
            let next = numbers.len() as u32;
            *numbers.entry(id).or_insert(next)
        };
        let keys: Vec<u32> = ids.map(&mut number).collect();
        Self {
            name: name.to_owned(),
            unique: numbers.len(),
            keys,
        }
    }
}

/// The traces in a folder (`NAME.u64.zst`: zstd over little-endian 64-bit ids), or made
/// ones if there is no such folder.
pub fn load(folder: &Path, only: Option<&str>) -> Result<Vec<Trace>, String> {
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let Ok(files) = fs::read_dir(folder) else {
        eprintln!("there is no {}: with generated requests", folder.display());
        return Ok(generated()
            .into_iter()
            .filter(|trace| wanted(&trace.name))
            .collect());
    };
    let mut traces = Vec::new();
    for file in files.flatten() {
        let file_name = file.file_name().to_string_lossy().into_owned();
        let Some(name) = file_name
            .strip_suffix(".u64.zst")
            .filter(|name| wanted(name))
        else {
            continue;
        };
        let failed = |error| format!("cannot read {file_name}: {error}");
        let packed = fs::File::open(file.path()).map_err(failed)?;
        let bytes = zstd::decode_all(packed).map_err(failed)?;
        let id = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        traces.push(Trace::new(name, bytes.chunks_exact(8).map(id)));
    }
    traces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(traces)
}

fn generated() -> Vec<Trace> {
    let wide = |keys: Vec<u32>| keys.into_iter().map(u64::from);
    let mut random = Random::new(7);
    let recent = (0..400_000_u64).map(|now| {
        // Mostly something used lately.
        let back = (random.share().powi(4) * 20_000.0) as u64;
        now / 4 - (now / 4).min(back)
    });
    let scans = zipf(20_000, 0.9, 400_000, 3).into_iter().enumerate();
    let scans = scans.map(|(at, key)| match at % 40_000 {
        20_000.. => 1_000_000 + at as u64,
        _ => u64::from(key),
    });
    let shifting = (0..8).flat_map(|phase| {
        let keys = zipf(10_000, 1.0, 50_000, 11);
        keys.into_iter()
            .map(move |key| u64::from(key) + phase * 2_500)
    });
    vec![
        Trace::new("made-zipf", wide(zipf(50_000, 0.9, 500_000, 1))),
        Trace::new("made-loop", (0..300_000).map(|at| at % 5_000)),
        Trace::new("made-recent", recent),
        Trace::new("made-scans", scans),
        Trace::new("made-shifting", shifting),
    ]
}
