//! The systems of a NixOS host: the one that runs, the one that was booted, and the one that the next boot starts.

use super::boot;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

const PROFILES: &str = "nix/var/nix/profiles";

/// Longest `reboot-triggers` that is read, in bytes.
const MAX_TRIGGERS_BYTES: u64 = 1024 * 1024;

/// Most links that are followed to the system of a profile.
const MAX_LINKS: u32 = 8;

/// Parts of a system without `reboot-triggers` that are in use from its boot on.
const PARTS: [&str; 5] = [
    "kernel",
    "kernel-modules",
    "kernel-params",
    "systemd",
    "firmware",
];

/// Which system is where, each by its store path; `None` where that cannot be found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Systems {
    pub(super) running: Option<String>,
    pub(super) booted: Option<String>,
    /// That of the system profile.
    pub(super) profile: Option<String>,
    /// The one that the boot loader starts next.
    pub(super) boot_default: Option<String>,
    /// The number of the profile's generation.
    pub(super) generation: Option<u64>,
    /// The newest generation that is the running system.
    pub(super) running_generation: Option<u64>,
}

/// Reads them below `root`, which is `/` but in tests.
pub(super) fn read(root: &Path) -> Systems {
    let running = link(root, Path::new("run/current-system"));
    let profile = Path::new(PROFILES).join("system");
    let generation = link(root, &profile).and_then(|name| number_of(Path::new(&name)));
    let profile = resolve(root, &profile);
    Systems {
        booted: link(root, Path::new("run/booted-system")),
        running_generation: match &running {
            Some(_) if running == profile => generation,
            Some(running) => generation_of(root, running),
            None => None,
        },
        boot_default: profile
            .as_deref()
            .and_then(|profile| boot::next_system(root, profile)),
        running,
        profile,
        generation,
    }
}

/// Why a reboot is needed: what differs between the system that was booted and the one that the next boot starts.
/// `None` where that cannot be found out.
pub(super) fn reboot_reasons(root: &Path, systems: &Systems) -> Option<Vec<String>> {
    let booted = systems.booted.as_deref()?;
    // Where the boot loader was not read it is taken to start what was installed last.
    let known = [&systems.boot_default, &systems.profile, &systems.running];
    let next = known.into_iter().find_map(Option::as_ref)?;
    if booted == next {
        return Some(Vec::new());
    }
    if let Some((before, after)) = triggers(root, booted).zip(triggers(root, next)) {
        let differs = |(key, value): (String, Value)| {
            let other = after.get(&key)?;
            (*other != value).then_some(key)
        };
        return Some(before.into_iter().filter_map(differs).collect());
    }
    let mut reasons = Vec::new();
    for part in PARTS {
        let [before, after] = [booted, next].map(|system| content(root, system, part));
        match (before, after) {
            (Some(before), Some(after)) if before != after => reasons.push(part.to_owned()),
            // Every system has these two.
            (None, _) | (_, None) if matches!(part, "kernel" | "systemd") => return None,
            _ => {}
        }
    }
    Some(reasons)
}

/// What a boot of the system depends on, as NixOS of 26.05 and later says itself.
fn triggers(root: &Path, system: &str) -> Option<Map<String, Value>> {
    let path = root.join(relative(&Path::new(system).join("reboot-triggers")));
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(MAX_TRIGGERS_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    match serde_json::from_str(&text).ok()? {
        Value::Object(triggers) => Some(triggers),
        _ => None,
    }
}

/// Where a part of a system is, or what it holds where it is a file.
fn content(root: &Path, system: &str, part: &str) -> Option<String> {
    let path = Path::new(system).join(part);
    link(root, &path).or_else(|| fs::read_to_string(root.join(relative(&path))).ok())
}

/// The newest generation of the profile that is this system.
fn generation_of(root: &Path, system: &str) -> Option<u64> {
    let entries = fs::read_dir(root.join(PROFILES)).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let number = number_of(Path::new(&entry.file_name()))?;
            let target = fs::read_link(entry.path()).ok()?;
            (target == Path::new(system)).then_some(number)
        })
        .max()
}

/// The number in `system-42-link`.
fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix("system-")?.strip_suffix("-link")?;
    number.parse().ok()
}

/// Follows links until what they lead to is no link.
fn resolve(root: &Path, path: &Path) -> Option<String> {
    let mut found = PathBuf::from(link(root, path)?);
    let mut folder = path.parent()?.to_owned();
    for _ in 0..MAX_LINKS {
        let at = folder.join(relative(&found));
        let at = if found.is_absolute() {
            relative(&found)
        } else {
            at
        };
        match link(root, &at) {
            Some(next) => {
                folder = at.parent()?.to_owned();
                found = PathBuf::from(next);
            }
            None => {
                return found
                    .is_absolute()
                    .then(|| found.to_str().map(str::to_owned))?;
            }
        }
    }
    None
}

fn link(root: &Path, path: &Path) -> Option<String> {
    let target = fs::read_link(root.join(relative(path))).ok()?;
    target.to_str().map(str::to_owned)
}

/// The path without what would lead out of a root.
pub(super) fn relative(path: &Path) -> PathBuf {
    let parts = path.components();
    parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A host with two systems, `old` as generation 12 and `new` as 13.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Self {
            let host = Self(tempfile::tempdir().unwrap());
            for (name, kernel, number) in [("old", "linux-1", 12), ("new", "linux-2", 13)] {
                let system = format!("nix/store/{name}");
                host.link(
                    &format!("{system}/kernel"),
                    &format!("/nix/store/{kernel}/bzImage"),
                );
                host.link(&format!("{system}/systemd"), "/nix/store/systemd");
                host.link(&format!("{system}/firmware"), "/nix/store/firmware");
                host.file(&format!("{system}/kernel-params"), "loglevel=4");
                host.link(
                    &format!("{PROFILES}/system-{number}-link"),
                    &format!("/{system}"),
                );
            }
            host.link("run/booted-system", "/nix/store/old");
            host.link("run/current-system", "/nix/store/old");
            host.link(&format!("{PROFILES}/system"), "system-12-link");
            host
        }

        fn path(&self, path: &str) -> PathBuf {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        fn file(&self, path: &str, text: &str) {
            fs::write(self.path(path), text).unwrap();
        }

        fn link(&self, path: &str, target: &str) {
            let path = self.path(path);
            let _ = fs::remove_file(&path);
            symlink(target, path).unwrap();
        }

        fn reasons(&self) -> Option<Vec<String>> {
            reboot_reasons(self.0.path(), &read(self.0.path()))
        }
    }

    #[test]
    fn a_boot_is_told_from_a_switch() {
        let host = Host::new();
        assert_eq!(host.reasons(), Some(Vec::new()));
        host.link(&format!("{PROFILES}/system"), "system-13-link");
        let systems = read(host.0.path());
        assert_eq!(systems.running.as_deref(), Some("/nix/store/old"));
        assert_eq!(systems.booted.as_deref(), Some("/nix/store/old"));
        assert_eq!(systems.profile.as_deref(), Some("/nix/store/new"));
        assert_eq!(
            (systems.generation, systems.running_generation),
            (Some(13), Some(12))
        );
        assert_eq!(host.reasons().unwrap(), ["kernel"]);
        host.link("run/current-system", "/nix/store/new");
        let systems = read(host.0.path());
        assert_eq!(
            (systems.generation, systems.running_generation),
            (Some(13), Some(13))
        );
        assert_eq!(host.reasons().unwrap(), ["kernel"]);
        host.link("run/booted-system", "/nix/store/new");
        assert_eq!(host.reasons(), Some(Vec::new()));
    }

    #[test]
    fn a_reboot_is_needed_for_what_the_boot_loader_starts_and_not_for_what_was_installed_last() {
        let host = Host::new();
        host.link(&format!("{PROFILES}/system"), "system-13-link");
        host.file(
            "nix/store/new/bin/switch-to-configuration",
            "/nix/store/2-extlinux-conf-builder.sh",
        );
        let start = |system: &str| {
            let text = format!("DEFAULT a\nLABEL a\n  APPEND init=/nix/store/{system}/init\n");
            host.file("boot/extlinux/extlinux.conf", &text);
            read(host.0.path()).boot_default
        };
        assert_eq!(start("old").as_deref(), Some("/nix/store/old"));
        assert_eq!(host.reasons(), Some(Vec::new()), "no entry was written");
        assert_eq!(start("new").as_deref(), Some("/nix/store/new"));
        assert_eq!(host.reasons().unwrap(), ["kernel"]);
    }

    #[test]
    fn a_system_of_no_generation_has_no_number() {
        let host = Host::new();
        host.link("run/current-system", "/nix/store/test");
        assert_eq!(read(host.0.path()).running_generation, None);
    }

    #[test]
    fn what_the_systems_say_themselves_counts_and_only_what_both_know() {
        let host = Host::new();
        host.link(&format!("{PROFILES}/system"), "system-13-link");
        let before = r#"{"kernel":"1","kernel-params":"a","dbus":"old"}"#;
        host.file("nix/store/old/reboot-triggers", before);
        assert_eq!(
            host.reasons().unwrap(),
            ["kernel"],
            "one of them says nothing"
        );
        host.file(
            "nix/store/new/reboot-triggers",
            r#"{"kernel":"1","kernel-params":"b","init":"x"}"#,
        );
        assert_eq!(host.reasons().unwrap(), ["kernel-params"]);
        host.file("nix/store/new/reboot-triggers", "not JSON");
        assert_eq!(host.reasons().unwrap(), ["kernel"]);
    }

    #[test]
    fn what_cannot_be_found_out_is_not_guessed() {
        let host = Host::new();
        host.link(&format!("{PROFILES}/system"), "system-13-link");
        fs::remove_file(host.path("nix/store/old/kernel")).unwrap();
        assert_eq!(host.reasons(), None);
        fs::remove_file(host.path("run/booted-system")).unwrap();
        assert_eq!(host.reasons(), None);
    }
}
