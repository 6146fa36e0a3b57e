//! Lists the files of the page, so that they become part of the program, each as it is and compressed.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

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
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("web");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let out = PathBuf::from(variable("OUT_DIR")?);
    let mut table = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        writeln!(
            table,
            "(\"/{}\", include_bytes!({:?}), include_bytes!({:?})),",
            name.display(),
            file.display().to_string(),
            compress(file, &out.join(format!("{number}.gz")))?
                .display()
                .to_string()
        )
        .map_err(io::Error::other)?;
    }
    table.push(']');
    fs::write(out.join("web.rs"), table)
}

/// Without a time or a name in it, so that the same page makes the same program.
fn compress(file: &Path, to: &Path) -> io::Result<PathBuf> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(file)?)?;
    fs::write(to, encoder.finish()?)?;
    Ok(to.to_owned())
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
