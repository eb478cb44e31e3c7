//! The behaviour suite over every backend and every stack of layers, from one table.

use std::sync::Arc;

use larder_core::{ManualClock, SharedBackend};
use larder_memory::InMemoryBackend;
use larder_testkit::{CASES, ModelBackend, SixMethods, Subject};
use libtest_mimic::{Arguments, Trial};

/// A backend in a stack of layers, by the name its trials have.
struct Row {
    name: &'static str,
    make: fn() -> Subject,
}

/// Adding a backend or a stack is one row.
const ROWS: &[Row] = &[
    Row {
        name: "model/bare",
        make: || Subject::new(ModelBackend::with_clock),
    },
    Row {
        name: "model/shared_twice",
        make: || Subject::new(|clock| SharedBackend::new(ModelBackend::with_clock(clock))),
    },
    Row {
        name: "memory/bare",
        make: || memory(100 * 1024 * 1024),
    },
    Row {
        name: "memory/small",
        make: || memory(SMALL).with_max_size_bytes(SMALL),
    },
    Row {
        name: "memory/shared_twice",
        make: || Subject::new(|clock| SharedBackend::new(InMemoryBackend::with_clock(clock))),
    },
    Row {
        name: "six_methods/bare",
        make: || Subject::new(SixMethods::with_clock),
    },
];

/// A limit that cases can fill and their largest values fit.
const SMALL: u64 = 1024 * 1024 + 64 * 1024;

/// The memory backend, with its invariants checked after each case.
fn memory(max_size_bytes: u64) -> Subject {
    let mut handle = None;
    let subject = Subject::new(|clock: ManualClock| {
        let backend = InMemoryBackend::builder()
            .max_size_bytes(max_size_bytes)
            .clock(Arc::new(clock))
            .build()
            .expect("a positive limit");
        handle.insert(backend).clone()
    });
    let backend = handle.expect("just made");
    subject.with_check(move || backend.validate())
}

fn main() {
    let arguments = Arguments::from_args();
    let trials = ROWS.iter().flat_map(|row| {
        CASES.iter().map(|case| {
            let name = format!("{}/{}", row.name, case.name);
            Trial::test(name, || {
                case.run(&(row.make)());
                Ok(())
            })
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
