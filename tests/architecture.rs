//! The arrows between the crates, as ARCHITECTURE.md draws them, read from `cargo metadata`.
#![expect(clippy::expect_used, reason = "a test that cannot read the metadata has failed")]

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Which of Kalmind's crates each one may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("kalmind-types", &[]),
    ("kalmind-acquisition", &["kalmind-types", "kalmind-signal"]),
    ("kalmind-signal", &["kalmind-types"]),
    ("kalmind-filter", &["kalmind-types"]),
    ("kalmind-fitting", &["kalmind-types", "kalmind-signal", "kalmind-filter"]),
    ("kalmind-engine", &["kalmind-types", "kalmind-signal", "kalmind-filter"]),
    ("kalmind-session", &["kalmind-types", "kalmind-signal", "kalmind-filter"]),
    ("kalmind-recording", &["kalmind-types", "kalmind-filter"]),
    ("kalmind-output", &["kalmind-types"]),
    // programs of the tests, which stand in for the daemon
    ("kalmind-tools", &["kalmind-types", "kalmind-output"]),
    (
        "kalmind-offline",
        &[
            "kalmind-types",
            "kalmind-signal",
            "kalmind-filter",
            "kalmind-fitting",
            "kalmind-engine",
            "kalmind-session",
            "kalmind-recording",
        ],
    ),
    (
        "kalmind",
        &[
            "kalmind-types",
            "kalmind-signal",
            "kalmind-filter",
            "kalmind-fitting",
            "kalmind-engine",
            "kalmind-session",
            "kalmind-recording",
            "kalmind-offline",
            "kalmind-output",
            "kalmind-acquisition",
        ],
    ),
];

/// What the pure crates must not use, directly or through others.
const IMPURE: [&str; 6] = ["tokio", "lsl", "lsl-sys", "mio", "tracing", "crossbeam-channel"];

/// What only fitting and offline work use.
const FITTING: [&str; 6] = ["kalmind-fitting", "rayon", "rayon-core", "rand", "rand_chacha", "rand_distr"];

/// Normal dependencies by package name, for every package of the build.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
        .collect();
    let name = |id: &Value| names[id.as_str().expect("an id")].to_owned();
    metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| {
            let normal = node["deps"].as_array().expect("deps").iter().filter(|dependency| {
                dependency["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null())
            });
            (name(&node["id"]), normal.map(|dependency| name(&dependency["pkg"])).collect())
        })
        .collect()
}

fn reachable<'a>(from: &'a str, dependencies: &'a BTreeMap<String, Vec<String>>, seen: &mut Vec<&'a str>) {
    for dependency in &dependencies[from] {
        if !seen.contains(&dependency.as_str()) {
            seen.push(dependency);
            reachable(dependency, dependencies, seen);
        }
    }
}

#[test]
fn crates_use_only_what_the_house_allows() {
    let dependencies = dependencies();
    for &(package, allowed) in ALLOWED {
        for dependency in dependencies[package].iter().filter(|dependency| dependency.starts_with("kalmind"))
        {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not use {dependency}");
        }
    }
    let ours = dependencies.keys().filter(|name| name.starts_with("kalmind")).count();
    assert_eq!(ours, ALLOWED.len(), "every crate stands in the table");
}

#[test]
fn pure_crates_reach_no_runtime_no_lsl_and_no_log() {
    let dependencies = dependencies();
    for package in ["kalmind-types", "kalmind-signal", "kalmind-filter", "kalmind-engine", "kalmind-session"]
    {
        let mut seen = Vec::new();
        reachable(package, &dependencies, &mut seen);
        for impure in IMPURE {
            assert!(!seen.contains(&impure), "{package} reaches {impure}");
        }
    }
}

#[test]
fn offline_work_is_a_library_without_command_line_network_or_log() {
    let dependencies = dependencies();
    let mut seen = Vec::new();
    reachable("kalmind-offline", &dependencies, &mut seen);
    for program in ["clap", "indicatif", "tracing", "tokio", "mio", "lsl", "lsl-sys"] {
        assert!(!seen.contains(&program), "kalmind-offline reaches {program}");
    }
}

#[test]
fn what_runs_on_the_tick_can_not_fit() {
    let dependencies = dependencies();
    for package in [
        "kalmind-types",
        "kalmind-signal",
        "kalmind-filter",
        "kalmind-engine",
        "kalmind-session",
        "kalmind-recording",
    ] {
        let mut seen = Vec::new();
        reachable(package, &dependencies, &mut seen);
        // the session shows targets at random, and simulates a participant
        let random = |name: &str| package == "kalmind-session" && name.starts_with("rand");
        for fitting in FITTING.into_iter().filter(|name| !random(name)) {
            assert!(!seen.contains(&fitting), "{package} reaches {fitting}");
        }
        // nalgebra brings it along for products of large matrices
        assert!(
            !dependencies[package].iter().any(|dependency| dependency == "matrixmultiply"),
            "{package} uses matrixmultiply"
        );
    }
}

#[test]
fn nothing_but_acquisition_and_output_uses_lsl() {
    for (package, used) in dependencies() {
        if used.iter().any(|dependency| dependency == "lsl") {
            assert!(
                ["kalmind-acquisition", "kalmind-output", "kalmind-tools"].contains(&package.as_str()),
                "{package} uses lsl"
            );
        }
    }
}

#[test]
fn pure_crates_touch_no_clock_thread_or_file() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for package in ["types", "signal", "filter", "engine", "session"] {
        let mut folders = vec![root.join("crates").join(package).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in
                std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
            {
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let text = std::fs::read_to_string(&entry).expect("source");
                for forbidden in
                    ["std::fs", "std::net", "std::thread", "std::time", "std::env", "std::process"]
                {
                    assert!(!text.contains(forbidden), "{} uses {forbidden}", entry.display());
                }
            }
        }
    }
}

/// What stands between backticks and looks like a file or folder of the repository.
fn paths_named(document: &str) -> impl Iterator<Item = &str> {
    const ENDINGS: [&str; 10] = [".rs", ".md", ".toml", ".json", ".sh", ".py", ".mjs", ".xdf", ".yml", ".js"];
    document.split('`').skip(1).step_by(2).filter(|text| {
        let path = text.chars().all(|sign| sign.is_ascii_alphanumeric() || "/._-".contains(sign));
        // an address of the server, or a file that is yet to come
        let another = text.starts_with('/') || text.contains("..") || text.contains("NAME");
        path && !another && (text.contains('/') || ENDINGS.iter().any(|ending| text.ends_with(ending)))
    })
}

/// Adds what is in a folder, and in folders in it, by its path from the root.
fn list(folder: &str, entries: &mut Vec<String>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() && name != "node_modules" {
            list(&path, entries);
        }
        entries.push(path);
    }
}

#[test]
fn every_path_that_the_documents_of_the_house_name_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut entries = Vec::new();
    for folder in ["benches", "crates", "fixtures", "tests"] {
        list(folder, &mut entries);
    }
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "examples/README.md"] {
        let text = std::fs::read_to_string(root.join(document)).expect("a document");
        for path in paths_named(&text) {
            // where the folder is clear from the text, its name may be left out
            let end = format!("/{}", path.trim_end_matches('/'));
            if !root.join(path).exists() && !entries.iter().any(|entry| entry.ends_with(&end)) {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
}
