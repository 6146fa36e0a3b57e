//! What the program is made of: licences, sources and duplicates, as `deny.toml` has them.
#![cfg(test)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The packages that end up in the program or make it, on one machine: name, version, licence, source.
fn packages(target: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--format-version",
            "1",
            "--filter-platform",
            target,
        ])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let all = metadata["packages"].as_array().unwrap().iter();
    all.filter(|package| used.contains(package["id"].as_str().unwrap()))
        .cloned()
        .collect()
}

fn deny() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn words(table: &toml::Table, section: &str, key: &str) -> Vec<String> {
    let list = table[section][key].as_array().unwrap().iter();
    list.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met by the licences that are allowed.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed)
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let word = words[*at];
    *at += 1;
    if word == "(" {
        let met = any_of(words, at, allowed);
        *at += 1;
        return met;
    }
    let mut licence = word.to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{word} WITH {}", words[*at + 1]);
        *at += 2;
    }
    allowed.contains(&licence)
}

#[test]
fn every_licence_is_allowed_and_every_source_known() {
    let deny = deny();
    let allowed = words(&deny, "licenses", "allow");
    let registries = words(&deny, "sources", "allow-registry");
    let banned = words(&deny, "bans", "deny");
    for target in words(&deny, "graph", "targets") {
        let packages = packages(&target);
        assert!(packages.len() > 50);
        for package in packages {
            let name = package["name"].as_str().unwrap();
            let licence = package["license"].as_str().unwrap_or("none");
            assert!(is_allowed(licence, &allowed), "{name}: {licence}");
            assert!(!banned.contains(&name.to_owned()), "{name} is banned");
            if let Some(source) = package["source"].as_str() {
                let is_known = registries
                    .iter()
                    .any(|known| source == format!("registry+{known}"));
                assert!(is_known, "{name} comes from {source}");
            }
        }
    }
}

#[test]
fn there_are_two_versions_of_nothing_but_what_is_listed_and_nothing_is_listed_in_vain() {
    let deny = deny();
    let skipped = words(&deny, "bans", "skip");
    let mut used = BTreeSet::new();
    for target in words(&deny, "graph", "targets") {
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in packages(&target) {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            versions
                .entry(text("name"))
                .or_default()
                .insert(text("version"));
        }
        for (name, versions) in versions
            .into_iter()
            .filter(|(_, versions)| versions.len() > 1)
        {
            let mut is_skipped = |version: &String| {
                let found = skipped.iter().find(|skip| {
                    let (of, begin) = skip.split_once(':').unwrap();
                    of == name && (version == begin || version.starts_with(&format!("{begin}.")))
                });
                used.extend(found.cloned());
                found.is_some()
            };
            let left = versions
                .iter()
                .filter(|version| !is_skipped(version))
                .count();
            assert!(left <= 1, "{name}: {versions:?}");
        }
    }
    for skip in skipped {
        assert!(used.contains(&skip), "{skip} is skipped in vain");
    }
}

#[test]
fn unsafe_code_is_forbidden() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    assert_eq!(
        manifest["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );
}

#[test]
fn an_expression_is_met_by_one_of_its_alternatives_and_by_all_of_its_parts() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("Apache-2.0 WITH LLVM-exception", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), met, "{expression}");
    }
}
