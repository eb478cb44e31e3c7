//! The workspace: its packages as cargo sees them, its files as git does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Where the workspace is, and what is in it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root.
    pub(crate) manifest: PathBuf,
    /// Each feature with what it turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) examples: Vec<String>,
    pub(crate) is_library: bool,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Another crate that a member uses.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) only_in_tests: bool,
}

impl Workspace {
    /// Reads the workspace that this program belongs to.
    pub(crate) fn load() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("xtask is a folder of the workspace")
            .to_owned();
        let output = Command::new("cargo")
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(&root)
            .output()
            .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cannot read the answer of cargo metadata: {error}"))?;
        let packages = list(&metadata["packages"])
            .iter()
            .map(|value| package(value, &root))
            .collect();
        Ok(Self { root, packages })
    }

    /// All files that are, or would be, under version control, relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, String> {
        let output = Command::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "-z",
            ])
            .current_dir(&self.root)
            .output()
            .map_err(|error| format!("cannot run git ls-files: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let names = String::from_utf8_lossy(&output.stdout);
        let mut files: Vec<PathBuf> = names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .filter(|file| self.root.join(file).is_file())
            .collect();
        files.sort();
        Ok(files)
    }
}

fn package(package: &Value, root: &Path) -> Package {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let targets = list(&package["targets"]);
    let has_kind = |target: &Value, kind: &str| list(&target["kind"]).iter().any(|k| k == kind);
    Package {
        name: text(&package["name"]),
        manifest: manifest
            .strip_prefix(root)
            .map_or(manifest.clone(), Path::to_owned),
        features: package["features"]
            .as_object()
            .map(|features| {
                let row = |(name, on): (&String, &Value)| {
                    (name.clone(), list(on).iter().map(text).collect())
                };
                features.iter().map(row).collect()
            })
            .unwrap_or_default(),
        examples: targets
            .iter()
            .filter(|target| has_kind(target, "example"))
            .map(|target| text(&target["name"]))
            .collect(),
        is_library: targets
            .iter()
            .any(|target| has_kind(target, "lib") || has_kind(target, "proc-macro")),
        dependencies: list(&package["dependencies"])
            .iter()
            .map(|dependency| Dependency {
                name: text(&dependency["name"]),
                only_in_tests: dependency["kind"] == "dev",
            })
            .collect(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
