//! The servers that tests start: found, or installed where the system can.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Tally, answers};
use crate::workspace::Workspace;

/// A program with the package that has it, as Debian names it.
const PROGRAMS: [(&str, &str); 5] = [
    ("redis-server", "redis-server"),
    ("memcached", "memcached"),
    ("pg_ctlcluster", "postgresql"),
    ("mariadbd", "mariadb-server"),
    ("pkill", "procps"),
];
/// While this says no, installed services do not start by themselves.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether all servers are there in the end.
pub(crate) fn bring(_workspace: &Workspace) -> (bool, Tally) {
    let missing = missing();
    if missing.is_empty() {
        println!("all there");
        return (true, Tally::default());
    }
    let packages = missing.join(" ");
    if !answers("apt-get", &["--version"]) {
        println!("these have to be installed first: {packages}");
        return (false, Tally::default());
    }
    println!("installing {packages}");
    let policy = Policy::set();
    let installed = apt(&["update", "-qq"])
        && apt(&[
            &["install", "-y", "-qq", "--no-install-recommends"],
            &missing[..],
        ]
        .concat());
    drop(policy);
    if !installed {
        println!("that needs root; as root: apt-get install {packages}");
    }
    (installed && self::missing().is_empty(), Tally::default())
}

/// The packages of programs that are not there.
fn missing() -> Vec<&'static str> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&places)
        .chain([PathBuf::from("/usr/sbin")])
        .collect();
    let is_there = |program: &str| places.iter().any(|place| place.join(program).is_file());
    let missing = PROGRAMS.iter().filter(|(program, _)| !is_there(program));
    missing.map(|(_, package)| *package).collect()
}

/// Runs apt-get, with more rights if that needs no password.
fn apt(arguments: &[&str]) -> bool {
    let wait = ["-o", "DPkg::Lock::Timeout=600"];
    let mut command = if answers("test", &["-w", "/var/lib/dpkg"]) {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    };
    command
        .args(wait)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .is_ok_and(|status| status.success())
}

/// Keeps services from starting when they are installed: tests start their own.
struct Policy {
    is_ours: bool,
}

impl Policy {
    fn set() -> Self {
        let is_ours = !Path::new(POLICY).exists()
            && fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && answers("chmod", &["+x", POLICY]);
        Self { is_ours }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.is_ours && fs::remove_file(POLICY).is_err() {
            println!("{POLICY} could not be removed; it keeps services from starting");
        }
    }
}
