//! Which crate may use which: imports only point downwards.

use super::{Finding, Source};
use crate::workspace::Package;

/// What each crate may use of ours. A new member needs a row here.
const MAY_USE: [(&str, &[&str]); 19] = [
    ("larder-core", &[]),
    ("larder-engine", &["larder-core"]),
    ("larder-layers", &["larder-core"]),
    ("larder-memory", &["larder-core", "larder-engine"]),
    ("larder-file", &["larder-core"]),
    ("larder-sql", &["larder-core"]),
    ("larder-redis", &["larder-core"]),
    ("larder-memcached", &["larder-core"]),
    ("larder-macros", &[]),
    (
        "larder-manager",
        &[
            "larder-core",
            "larder-engine",
            "larder-layers",
            "larder-memory",
        ],
    ),
    ("larder-http", &["larder-core", "larder-manager"]),
    ("larder-testkit", &["larder-core"]),
    (
        "larder",
        &[
            "larder-core",
            "larder-engine",
            "larder-layers",
            "larder-memory",
            "larder-file",
            "larder-sql",
            "larder-redis",
            "larder-memcached",
            "larder-macros",
            "larder-manager",
            "larder-http",
            "larder-testkit",
        ],
    ),
    ("larder-service", &["larder"]),
    ("larder-cli", &["larder", "larder-service"]),
    (
        "larder-tests",
        &[
            "larder",
            "larder-core",
            "larder-file",
            "larder-layers",
            "larder-manager",
            "larder-memcached",
            "larder-memory",
            "larder-redis",
            "larder-sql",
            "larder-testkit",
        ],
    ),
    ("larder-examples", &["larder"]),
    ("xtask", &[]),
    (
        "larder-fuzz",
        &["larder", "larder-core", "larder-engine", "larder-layers"],
    ),
];

/// What the engine may know of the words that everybody shares: no backends,
/// no entries, no bytes.
const ENGINE_MAY_USE: [&str; 4] = ["clock", "error", "options", "stats"];

/// Crates use only what the table allows.
pub(super) fn between_crates(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let mut add = |what: String| {
            findings.push(Finding {
                path: package.manifest.clone(),
                line: 1,
                what,
            });
        };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            add(format!(
                "{} has no row in xtask/src/tidy/imports.rs; add one",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let ours = MAY_USE.iter().any(|(name, _)| *name == dependency.name);
            let is_suite = dependency.name == "larder-testkit" || dependency.name == package.name;
            let is_allowed = allowed.contains(&dependency.name.as_str())
                || (dependency.only_in_tests && is_suite);
            if ours && !is_allowed {
                add(format!(
                    "{} must not use {}; imports only point downwards",
                    package.name, dependency.name
                ));
            }
        }
    }
    findings
}

/// What the shared words may pull in: everybody who uses Larder gets it.
const CORE_MAY_PULL_IN: [&str; 6] = [
    "bytes",
    "parking_lot",
    "regex",
    "serde",
    "serde_json",
    "xxhash-rust",
];

/// The crate that everything else stands on stays light.
pub(super) fn core_stays_light(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for core in packages
        .iter()
        .filter(|package| package.name == "larder-core")
    {
        for dependency in &core.dependencies {
            let is_light = CORE_MAY_PULL_IN.contains(&dependency.name.as_str());
            if !is_light && !dependency.only_in_tests {
                findings.push(Finding {
                    path: core.manifest.clone(),
                    line: 1,
                    what: format!("larder-core pulls in {}; do without it", dependency.name),
                });
            }
        }
    }
    findings
}

/// Every member takes the lints of the workspace.
pub(super) fn shared_lints(packages: &[Package], files: &[Source]) -> Vec<Finding> {
    let lacks = |package: &&Package| {
        let manifest = files.iter().find(|file| file.path == package.manifest);
        !manifest.is_some_and(|file| file.text.contains("[lints]\nworkspace = true"))
    };
    let finding = |package: &Package| Finding {
        path: package.manifest.clone(),
        line: 1,
        what: "no [lints] workspace = true; add it".to_owned(),
    };
    packages.iter().filter(lacks).map(finding).collect()
}

/// The engine uses only the few words it needs.
pub(super) fn engine_knows_little(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && file.is_in("crates/engine/src"))
    {
        for (line, text) in file.lines() {
            // Examples in documentation are written from outside.
            if text.trim_start().starts_with("//") {
                continue;
            }
            for rest in text.split("larder_core::").skip(1) {
                let module = rest
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next();
                if !module.is_some_and(|module| ENGINE_MAY_USE.contains(&module)) {
                    let what = format!(
                        "the engine may use of larder_core only {}",
                        ENGINE_MAY_USE.join(", ")
                    );
                    findings.push(file.finding(line, what));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependency: &str, only_in_tests: bool) -> Package {
        Package {
            name: name.to_owned(),
            manifest: "Cargo.toml".into(),
            features: std::collections::BTreeMap::new(),
            examples: Vec::new(),
            is_library: true,
            dependencies: vec![Dependency {
                name: dependency.to_owned(),
                only_in_tests,
            }],
        }
    }

    #[test]
    fn an_import_that_points_upwards_is_found() {
        let findings = |p| between_crates(&[p]).len();
        assert_eq!(findings(package("larder-core", "larder-engine", false)), 1);
        assert_eq!(findings(package("larder-core", "larder-engine", true)), 1);
        assert_eq!(
            findings(package("larder-redis", "larder-testkit", false)),
            1
        );
        assert_eq!(findings(package("larder-newcomer", "serde", false)), 1);
        assert_eq!(findings(package("larder-engine", "larder-core", false)), 0);
        assert_eq!(findings(package("larder-redis", "larder-testkit", true)), 0);
        assert_eq!(findings(package("larder-core", "serde", false)), 0);
    }

    // covers: D-14, D50
    #[test]
    fn a_heavy_dependency_of_core_is_found() {
        let findings = |p| core_stays_light(&[p]).len();
        assert_eq!(findings(package("larder-core", "tokio", false)), 1);
        assert_eq!(findings(package("larder-core", "tokio", true)), 0);
        assert_eq!(findings(package("larder-core", "bytes", false)), 0);
        assert_eq!(findings(package("larder-redis", "tokio", false)), 0);
    }

    #[test]
    fn the_engine_is_held_to_its_few_words() {
        let findings = |path: &str, text: &str| {
            engine_knows_little(&[Source {
                path: path.into(),
                text: text.to_owned(),
            }])
            .len()
        };
        let path = "crates/engine/src/cache.rs";
        assert_eq!(findings(path, "use larder_core::backend::CacheBackend;"), 1);
        assert_eq!(findings(path, "use larder_core::CacheEntry;"), 1);
        assert_eq!(findings(path, "use larder_core::clock::Clock;"), 0);
        assert_eq!(findings(path, "/// use larder_core::CacheEntry;"), 0);
        assert_eq!(
            findings("crates/layers/src/lib.rs", "use larder_core::CacheEntry;"),
            0
        );
    }

    #[test]
    fn a_member_without_the_shared_lints_is_found() {
        let findings = |text: &str| {
            let manifest = Source {
                path: "Cargo.toml".into(),
                text: text.to_owned(),
            };
            shared_lints(&[package("larder-core", "serde", false)], &[manifest]).len()
        };
        assert_eq!(findings("[package]\n"), 1);
        assert_eq!(findings("[package]\n\n[lints]\nworkspace = true\n"), 0);
    }
}
