//! The system that every container starts from: Debian with systemd and nix, made once and kept.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where containers and their root are kept.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd")
}

/// The root, made if there is none yet.
pub(crate) fn root() -> Result<&'static Path, String> {
    static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    ROOT.get_or_init(|| make(&[]))
        .as_deref()
        .map_err(Clone::clone)
}

/// A root with more of Debian's packages.
pub(crate) fn make(packages: &[&str]) -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/make-root");
    let made = Command::new(program)
        .arg(folder())
        .args(packages)
        .output()
        .map_err(|error| format!("make-root: {error}"))?;
    let said = String::from_utf8_lossy(&made.stdout);
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr);
        return Err(format!("make-root: {why}"));
    }
    Ok(PathBuf::from(said.trim()))
}
