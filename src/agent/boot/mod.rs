//! The system that the next boot starts, read from the files of the boot loader as NixOS writes them.
//!
//! What is not certain is `None`: a loader that is not known here, an entry that is not of NixOS, a menu with more
//! than what NixOS writes. The wrong system told as the next one would be worse than none.

mod efi;
mod extlinux;
mod grub;
mod systemd_boot;
#[cfg(test)]
mod tests;

use super::system::relative;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

const STORE: &str = "/nix/store/";

/// Longest `switch-to-configuration` that is read, in bytes; it is a wrapper of 1 KiB, or a program of 40 KiB in Perl.
const MAX_SWITCH_BYTES: u64 = 256 * 1024;

/// A boot loader whose files are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    SystemdBoot,
    Grub,
    Extlinux,
}

impl Loader {
    /// Its installer, which a system names in its `switch-to-configuration`.
    const INSTALLERS: [(Self, &str); 3] = [
        (Self::SystemdBoot, "-install-systemd-boot.sh"),
        (Self::Grub, "-install-grub.sh"),
        (Self::Extlinux, "-extlinux-conf-builder.sh"),
    ];

    /// The loader that this system installs.
    fn of(root: &Path, system: &str) -> Option<Self> {
        let path = Path::new(system).join("bin/switch-to-configuration");
        let switch = text(&root.join(relative(&path)), MAX_SWITCH_BYTES)?;
        let mut named = Self::INSTALLERS
            .into_iter()
            .filter(|(_, installer)| switch.contains(installer));
        match (named.next(), named.next()) {
            (Some((loader, _)), None) => Some(loader),
            _ => None,
        }
    }
}

/// The system that the next boot starts. The loader's files below `root` are those that `profile` installed, the
/// system of the system profile.
pub(super) fn next_system(root: &Path, profile: &str) -> Option<String> {
    match Loader::of(root, profile)? {
        Loader::SystemdBoot => systemd_boot::next_system(root),
        Loader::Grub => grub::next_system(root),
        Loader::Extlinux => extlinux::next_system(root),
    }
}

/// A file's text; `None` where it is too long, is no file, or is no text.
fn text(path: &Path, max_bytes: u64) -> Option<String> {
    // Whoever opens a named pipe waits for somebody who writes.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let mut file = File::open(path).ok()?.take(max_bytes + 1);
    file.read_to_string(&mut text).ok()?;
    (text.len() as u64 <= max_bytes).then_some(text)
}

/// The system whose `init` these kernel parameters name.
fn system_of<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut inits = parameters.filter_map(|parameter| parameter.strip_prefix("init="));
    let init = inits.next()?;
    let name = init.strip_prefix(STORE)?.strip_suffix("/init")?;
    let is_system = !name.is_empty() && !name.contains('/') && inits.all(|other| other == init);
    is_system.then(|| format!("{STORE}{name}"))
}
