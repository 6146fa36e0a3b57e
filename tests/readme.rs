//! What the README says of faults is what tests show, its examples are Nix, and the reference of options has them all.
#![cfg(test)]

#[path = "common/skip.rs"]
mod skip;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HEADING: &str = "## What happens when…";

/// The files below `folder` with this ending, but for what npm put there.
fn sources(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let of_path = |path: PathBuf| {
        if path.is_dir() && !path.ends_with("node_modules") {
            return sources(&path, ending);
        }
        let fits = path.extension().is_some_and(|found| found == ending);
        fits.then_some(path).into_iter().collect()
    };
    paths.flat_map(of_path).collect()
}

fn text_of(folders: &[&str], ending: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = folders
        .iter()
        .flat_map(|folder| sources(&root.join(folder), ending));
    files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// The cells of each row of the table under the heading.
fn rows(readme: &str) -> Vec<Vec<&str>> {
    let (_, part) = readme.split_once(HEADING).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let lines = part.lines().filter(|line| line.starts_with("| "));
    lines
        .filter(|line| !line.starts_with("| ---"))
        .skip(1)
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// What stands between backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_fault_that_the_readme_tells_of_is_shown_by_a_test_of_that_name() {
    let readme = include_str!("../README.md");
    let (rust, browser) = (
        text_of(&["tests", "src"], "rs"),
        text_of(&["tests/web"], "js"),
    );
    let rows = rows(readme);
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let [fault, seen, tests] = row[..] else {
            panic!("not three cells: {row:?}");
        };
        assert!(!fault.is_empty() && !seen.is_empty(), "{row:?}");
        let tests = names(tests);
        assert!(!tests.is_empty(), "no test shows: {fault}");
        for test in tests {
            let is_shown = if test.contains(' ') {
                browser.contains(&format!("test('{test}'"))
            } else {
                rust.contains(&format!("fn {test}("))
            };
            assert!(
                is_shown,
                "there is no test {test}, which is to show: {fault}"
            );
        }
    }
}

#[test]
fn every_example_in_nix_of_the_readme_parses() {
    let readme = include_str!("../README.md");
    let examples = readme.split("```nix\n").skip(1);
    let examples: Vec<_> = examples
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() > 5, "{examples:?}");
    for example in examples {
        let started = Command::new("nix-instantiate")
            .args(["--parse", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut nix) = started else {
            return skip::skip("nix-instantiate is not installed");
        };
        let mut stdin = nix.stdin.take().unwrap();
        stdin.write_all(example.as_bytes()).unwrap();
        drop(stdin);
        let output = nix.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{example}");
    }
}

/// The lines that the reference must have of a description in a module.
fn lines_of(description: &str) -> impl Iterator<Item = String> {
    let plain = description.replace("{option}", "").replace("{file}", "");
    let lines: Vec<_> = plain.lines().map(|line| line.trim().to_owned()).collect();
    lines.into_iter().filter(|line| !line.is_empty())
}

#[test]
fn the_reference_of_options_has_every_description_as_the_modules_have_it() {
    let reference = include_str!("../nixos-modules/options.md");
    for module in [
        include_str!("../nixos-modules/agent-options.nix"),
        include_str!("../nixos-modules/dashboard-options.nix"),
    ] {
        let options: Vec<_> = module.split("mkOption {").skip(1).collect();
        assert!(options.len() > 10, "{} options", options.len());
        for option in options {
            let Some((before, rest)) = option.split_once("description = ") else {
                continue;
            };
            let (text, after) = match rest.strip_prefix("''") {
                Some(block) => block.split_once("'';").unwrap(),
                None => rest[1..].split_once("\";").unwrap(),
            };
            let own = after.split("mkOption").next().unwrap();
            if before.contains("internal = true") || own.contains("internal = true") {
                continue;
            }
            for line in lines_of(text) {
                assert!(
                    reference.lines().any(|there| there.trim() == line),
                    "nixos-modules/options.md lacks this line; make it anew with `nix build .#options-doc`: {line}"
                );
            }
        }
    }
}
