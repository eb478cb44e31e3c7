//! A child process that ends with its handle, or with this process.

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
    guard: Child,
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
        let guard = guard(&child);
        Self { child, guard, log }
    }

    /// Everything that it has printed.
    pub(super) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Sends a signal to it, and to the processes that it started.
    pub(super) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "kill -s {signal} {id}"
        );
        // Most have none, which `pkill` calls a failure.
        let children = Command::new("pkill")
            .args(["--signal", signal, "--parent", &id])
            .status();
        assert!(children.is_ok(), "pkill cannot be started");
    }
}

/// Kills the child when this process is gone, however it goes: then the other end of what
/// the guard reads from is closed.
fn guard(child: &Child) -> Child {
    let script = format!("read _; kill -9 {}", child.id());
    let guard = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    guard.expect("there is a shell")
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            // Those that it started would go on answering for a moment; stopped, it starts
            // no others.
            let id = self.child.id().to_string();
            let _ = Command::new("kill").args(["-s", "STOP", &id]).status();
            let children = ["--signal", "KILL", "--parent", &id];
            let _ = Command::new("pkill").args(children).status();
        }
        // The guard first: the child's number may be another's once it is gone. If one has
        // ended by itself there is nothing to kill, but still to wait for.
        for process in [&mut self.guard, &mut self.child] {
            let _ = process.kill();
            let _ = process.wait();
        }
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
