//! A process that is killed while it writes leaves no wrong and no torn value.

#![expect(
    clippy::print_stdout,
    reason = "a test without a harness tells what it did"
)]

use larder_core::{Blocking, SharedBackend};
use larder_file::FileBackend;
use larder_testkit::kill_while_writing;
use tokio::runtime::Runtime;

const ROUNDS: u64 = 50;

fn main() {
    let runtime = Runtime::new().expect("threads can be started");
    kill_while_writing(ROUNDS, |folder| {
        let backend = FileBackend::builder(folder).build();
        let backend = SharedBackend::new(backend.expect("legal settings"));
        let handle = runtime.handle().clone();
        Blocking::run_by(backend, move |future| handle.block_on(future))
    });
    println!("{ROUNDS} rounds: nothing lost and nothing torn");
}
