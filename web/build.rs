//! Lists the files of the page, so that they become part of the program, each without its comments: as it is then,
//! and compressed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};
use zopfli::{Format, Options};

/// What a page consists of; anything else in `web/` serves those who work on it.
const KINDS: [&str; 8] = [
    "html",
    "css",
    "js",
    "svg",
    "png",
    "ico",
    "webmanifest",
    "woff2",
];

fn main() -> io::Result<()> {
    version()?;
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("web");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let out = PathBuf::from(variable("OUT_DIR")?);
    let mut table = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        let content = match file.extension().and_then(|kind| kind.to_str()) {
            Some("js" | "css") => without_comments(&fs::read_to_string(file)?).into_bytes(),
            _ => fs::read(file)?,
        };
        let (plain, small) = (
            out.join(format!("{number}")),
            out.join(format!("{number}.gz")),
        );
        fs::write(&small, compress(&content)?)?;
        fs::write(&plain, content)?;
        writeln!(
            table,
            "(\"/{}\", include_bytes!({:?}), include_bytes!({:?})),",
            name.display(),
            plain.display().to_string(),
            small.display().to_string()
        )
        .map_err(io::Error::other)?;
    }
    table.push(']');
    fs::write(out.join("web.rs"), table)
}

/// Has the program know its version: that of `Cargo.toml` and, where the one who builds says so in
/// `SWITCHYARD_REVISION`, the revision of its sources: `0.1.0+abc1234`.
fn version() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=SWITCHYARD_REVISION");
    let version = variable("CARGO_PKG_VERSION")?;
    let revision = env::var("SWITCHYARD_REVISION").unwrap_or_default();
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let revision = match revision.as_str() {
        "" => String::new(),
        revision if revision.chars().all(is_good) => format!("+{revision}"),
        _ => {
            return Err(io::Error::other(
                "SWITCHYARD_REVISION may have letters, digits, `-` and `.`",
            ));
        }
    };
    println!("cargo::rustc-env=SWITCHYARD_VERSION={version}{revision}");
    Ok(())
}

/// As small as gzip can be, which takes its time once. Without a time or a name in it, so that the same page makes the
/// same program.
fn compress(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut small = Vec::new();
    zopfli::compress(Options::default(), Format::Gzip, content, &mut small)?;
    Ok(small)
}

/// Comments that have lines of their own are a fifth of what would be sent. Their lines stay, empty, so that a line
/// has the same number in the browser as here. A test compares the code that is left with that of the source.
fn without_comments(source: &str) -> String {
    let mut inside = false;
    let mut code = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let text = line.trim();
        let begins =
            !inside && text.starts_with("/*") && !text[2..].trim_end_matches("*/").contains("*/");
        let one_line = !inside && text.starts_with("//");
        let is_comment = inside || begins || one_line;
        if inside || begins {
            inside = !text.ends_with("*/");
        }
        code.push_str(if is_comment { "\n" } else { line });
    }
    code
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name == "node_modules" || name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|kind| KINDS.iter().any(|known| kind == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
