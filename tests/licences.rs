//! Every crate that Kalmind is built from may be used under terms that fit its own (MIT OR Apache-2.0).

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use serde_json::Value;

/// Licences that ask for nothing but attribution, or less.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be met by allowed licences alone. `/` is the old way of writing `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allowed = any_of(&mut rest);
    allowed == Some(true) && rest.is_empty()
}

/// `all_of` (`OR` `all_of`)*; none where the expression is malformed.
fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = all_of(rest)?;
    while let Some(("OR", after)) = rest.split_first().map(|(word, after)| (*word, after)) {
        *rest = after;
        allowed |= all_of(rest)?;
    }
    Some(allowed)
}

/// `one` (`AND` `one`)*.
fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(rest)?;
    while let Some(("AND", after)) = rest.split_first().map(|(word, after)| (*word, after)) {
        *rest = after;
        allowed &= one(rest)?;
    }
    Some(allowed)
}

/// A licence, one with an exception, or an expression in parentheses.
fn one(rest: &mut &[&str]) -> Option<bool> {
    let (word, after) = rest.split_first()?;
    *rest = after;
    if *word == "(" {
        let allowed = any_of(rest)?;
        let (")", after) = rest.split_first().map(|(word, after)| (*word, after))? else { return None };
        *rest = after;
        return Some(allowed);
    }
    if matches!(*word, "OR" | "AND" | "WITH" | ")") {
        return None;
    }
    if let [first, exception, after @ ..] = *rest
        && *first == "WITH"
    {
        *rest = after;
        return Some(ALLOWED.contains(&format!("{word} WITH {exception}").as_str()));
    }
    Some(ALLOWED.contains(word))
}

#[test]
fn expressions_are_judged_as_spdx_means_them() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        "GPL-2.0-only AND MIT OR ISC",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND LGPL-2.1-or-later",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT AND",
        "(MIT",
        "MIT ISC",
        "MIT)",
    ] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn every_crate_is_under_an_allowed_licence() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .current_dir(&root)
        .args(["metadata", "--format-version", "1", "--all-features", "--filter-platform", &host])
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 50, "only {} packages are listed", packages.len());
    let mut refused: BTreeMap<&str, &str> = BTreeMap::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none stated");
        if !is_allowed(licence) {
            refused.insert(package["name"].as_str().unwrap_or_default(), licence);
        }
    }
    assert!(refused.is_empty(), "not under an allowed licence: {refused:#?}");
}
