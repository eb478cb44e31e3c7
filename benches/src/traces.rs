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
    /// How large what was asked for is, in bytes, if that is known.
    pub sizes: Option<Vec<u32>>,
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
            sizes: None,
        }
    }

    /// How large all different objects are together, each as it was seen first.
    pub fn bytes(&self) -> u64 {
        let mut seen = vec![false; self.unique];
        let sizes = self.keys.iter().zip(self.sizes.iter().flatten());
        let first = sizes.filter(|(key, _)| !std::mem::replace(&mut seen[**key as usize], true));
        first.map(|(_, size)| u64::from(*size)).sum()
    }
}

/// The traces in a folder (`NAME.u64.zst`: zstd over little-endian 64-bit ids; beside
/// some, `NAME.size.zst`: zstd over little-endian 32-bit sizes), or made ones if there is
/// no such folder.
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
        let ids = numbers(&file.path(), u64::from_le_bytes)?;
        let mut trace = Trace::new(name, ids.into_iter());
        let sizes = folder.join(format!("{name}.size.zst"));
        if sizes.exists() {
            let sizes = numbers(&sizes, u32::from_le_bytes)?;
            if sizes.len() != trace.keys.len() {
                let (sizes, keys) = (sizes.len(), trace.keys.len());
                return Err(format!("{name} has {keys} requests, but {sizes} sizes"));
            }
            trace.sizes = Some(sizes);
        }
        traces.push(trace);
    }
    traces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(traces)
}

/// The numbers of `N` bytes each in a packed file.
fn numbers<const N: usize, T>(file: &Path, number: fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let failed = |error| format!("cannot read {}: {error}", file.display());
    let bytes = zstd::decode_all(fs::File::open(file).map_err(failed)?).map_err(failed)?;
    let (numbers, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(format!("{} ends within a number", file.display()));
    }
    Ok(numbers.iter().copied().map(number).collect())
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
    let mut zipf = Trace::new("made-zipf", wide(zipf(50_000, 0.9, 500_000, 1)));
    // From 64 bytes to a megabyte, whatever the popularity.
    let size = |key: &u32| 64 << (key.wrapping_mul(0x9E37_79B9) >> 28);
    zipf.sizes = Some(zipf.keys.iter().map(size).collect());
    vec![
        zipf,
        Trace::new("made-loop", (0..300_000).map(|at| at % 5_000)),
        Trace::new("made-recent", recent),
        Trace::new("made-scans", scans),
        Trace::new("made-shifting", shifting),
    ]
}
