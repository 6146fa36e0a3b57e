//! The system that every container starts from: Debian with systemd and nix, made once and kept.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SUITE: &str = "trixie";

/// nix needs libdbi-perl, and debootstrap does not see it behind a virtual package.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,git,iproute2,nix-bin,libdbi-perl,openssh-client,openssh-server,sudo,procps";

/// Where containers and their root are kept.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd")
}

/// The root, made if there is none yet.
pub(crate) fn root() -> Result<&'static Path, String> {
    static ROOT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    ROOT.get_or_init(make).as_deref().map_err(Clone::clone)
}

fn make() -> Result<PathBuf, String> {
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // Another test process may be making it.
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let mut recipe = DefaultHasher::new();
    (SUITE, PACKAGES).hash(&mut recipe);
    let root = folder.join(format!("root-{:016x}", recipe.finish()));
    if root.is_dir() {
        return Ok(root);
    }
    let unfinished = root.with_extension("new");
    // What an interrupted attempt left.
    let _ = fs::remove_dir_all(&unfinished);
    let made = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
        .arg(&unfinished)
        .arg(mirror()?)
        .output()
        .map_err(|error| format!("debootstrap: {error}"))?;
    if !made.status.success() {
        return Err(format!(
            "debootstrap: {}",
            String::from_utf8_lossy(&made.stdout)
        ));
    }
    fs::rename(&unfinished, &root).map_err(|error| error.to_string())?;
    Ok(root)
}

/// Where this machine has its own packages from.
fn mirror() -> Result<String, String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .args(["Identifier: Packages", "Origin: Debian"])
        .output()
        .map_err(|error| format!("apt-get: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let first = said.lines().next();
    first
        .map(str::to_owned)
        .ok_or_else(|| "apt knows no mirror of Debian".to_owned())
}
