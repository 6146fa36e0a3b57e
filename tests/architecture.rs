//! Keeps the arrows between the modules: who may use whom.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

/// Known to everyone above them.
const GROUND: &[&str] = &[
    "protocol",
    "runlog",
    "spool",
    "lifecycle",
    "logging",
    "config_file",
    "proctree",
    "ansi",
    "mask",
    "clone",
];

/// The modules that know all, because they put it together.
const TOP: &[&str] = &["main", "lib", "cli", "demo"];

/// Each module and what it may use besides itself.
fn allowed(module: &str) -> Option<Vec<&'static str>> {
    let uses: &[&str] = match module {
        "protocol" | "lifecycle" | "logging" | "config_file" | "proctree" | "ansi" => &[],
        "runlog" => &["protocol"],
        "progress" | "mask" => &["protocol", "ansi"],
        "spool" => &["protocol", "runlog", "proctree", "mask"],
        "clone" => &["spool", "proctree"],
        "supervisor" => return Some([GROUND, &["progress"]].concat()),
        "agent" | "dashboard" => GROUND,
        _ => return None,
    };
    Some(uses.to_vec())
}

/// Modules without sockets and without async.
const SYNCHRONOUS: &[&str] = &[
    "protocol",
    "runlog",
    "spool",
    "progress",
    "mask",
    "clone",
    "supervisor",
];

/// A source file: where it is and its modules below the crate, such as `["agent", "config"]`.
struct Source {
    path: PathBuf,
    modules: Vec<String>,
    text: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&src).unwrap().with_extension("");
            let modules = inside
                .components()
                .map(|part| part.as_os_str().to_str().unwrap().to_owned())
                .filter(|name| name != "mod")
                .collect();
            let text = without_comments(&fs::read_to_string(&path).unwrap());
            Source {
                path,
                modules,
                text,
            }
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Keeps the lines, so that offsets still give line numbers.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", line.split("//").next().unwrap_or("")))
        .collect()
}

fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The names that `text` begins with: `agent::X` gives `agent`, `{agent, protocol::{a, b}}` gives both.
fn first_names(text: &str) -> Vec<&str> {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else {
        let end = text.bytes().position(|byte| !is_name(byte));
        return vec![&text[..end.unwrap_or(text.len())]];
    };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b',' | b'}' if depth == 0 => {
                names.extend(first_names(&group[start..at]));
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// Every use of a module at the top of the crate: the line, and the module's name.
fn uses(source: &Source) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let climb = "super::".repeat(source.modules.len());
    for root in ["crate::", "switchyard::", &climb] {
        for (at, _) in source.text.match_indices(root) {
            let before = source.text[..at].bytes().next_back();
            if before.is_some_and(|byte| is_name(byte) || byte == b':') {
                continue;
            }
            let line = source.text[..at].matches('\n').count() + 1;
            for name in first_names(&source.text[at + root.len()..]) {
                found.push((line, name));
            }
        }
    }
    found
}

#[test]
fn modules_use_only_what_is_below_them() {
    let sources = sources();
    let exists = |name: &str| sources.iter().any(|source| source.modules[0] == name);
    let mut wrong = Vec::new();
    for source in &sources {
        let module = source.modules[0].as_str();
        if TOP.contains(&module) {
            continue;
        }
        let Some(allowed) = allowed(module) else {
            wrong.push(format!(
                "{}: say in tests/architecture.rs whom `{module}` may use",
                source.path.display()
            ));
            continue;
        };
        for (line, name) in uses(source) {
            if exists(name) && name != module && !allowed.contains(&name) {
                wrong.push(format!(
                    "{}:{line}: {module} → {name} is forbidden",
                    source.path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_ground_and_the_supervisor_know_no_sockets() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !SYNCHRONOUS.contains(&source.modules[0].as_str()) {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            for library in ["tokio", "axum", "tokio_tungstenite", "std::net"] {
                if line.contains(&format!("{library}::")) {
                    let path = source.path.display();
                    wrong.push(format!("{path}:{}: uses {library}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_the_launcher_starts_the_supervisor() {
    for source in sources() {
        let may = source.modules[0] == "cli" || source.modules.starts_with(&launcher());
        assert!(
            may || !source.text.contains("\"supervise\""),
            "{}: only agent/launcher starts the supervisor",
            source.path.display()
        );
    }
}

fn launcher() -> [String; 2] {
    ["agent".to_owned(), "launcher".to_owned()]
}

#[test]
fn unsafe_code_is_forbidden() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    let of_rustc = &manifest["lints"]["rust"];
    assert_eq!(of_rustc["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn a_use_is_found_in_every_form() {
    let source = |modules: &[&str], text: &str| Source {
        path: PathBuf::new(),
        modules: modules.iter().map(|&name| name.to_owned()).collect(),
        text: without_comments(text),
    };
    let grouped = source(
        &["agent"],
        "// crate::demo\nuse crate::{\n  agent::x,\n  protocol::{HostId, RunId}, runlog,\n};",
    );
    assert_eq!(
        uses(&grouped),
        [(2, "agent"), (2, "protocol"), (2, "runlog"), (2, "")]
    );
    let climbing = source(
        &["agent", "config"],
        "\nlet x = super::super::dashboard::run();",
    );
    assert_eq!(uses(&climbing), [(2, "dashboard")]);
    let within = source(&["agent", "config"], "use super::dashboard;");
    assert_eq!(uses(&within), []);
}
