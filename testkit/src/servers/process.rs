//! A child process that ends with its handle.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_core::{Clock, SystemClock};
use parking_lot::{Condvar, Mutex};

/// Between two looks.
const NAP: Duration = Duration::from_millis(2);

pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program that prints into a file in this folder.
    pub(super) fn start(mut command: Command, folder: &Path) -> Self {
        let log = folder.join("log");
        let out = File::create(&log).expect("the folder can be written to");
        let also = out.try_clone().expect("a file can be opened twice");
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(also)
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("cannot start {program}: {error}; `cargo xtask test` installs it")
        });
        Self { child, log }
    }

    /// Everything that it has printed.
    pub(super) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "kill -s {signal} {id}"
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to kill, but still to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until something is so, for some time at most; whether it was.
pub fn until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let clock = SystemClock::new();
    let (napping, never) = (Mutex::new(()), Condvar::new());
    loop {
        if is_so() {
            return true;
        }
        if clock.elapsed() > patience {
            return false;
        }
        never.wait_for(&mut napping.lock(), NAP);
    }
}
