//! What the host is, read from the places where NixOS, systemd and the kernel keep it.

use super::behind::Behind;
use super::system;
use crate::clone::Revisions;
use crate::protocol::{Facts, Status, StatusReport, Systems};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the hash of the machine's id one that no other application has.
const APPLICATION: &[u8] = b"switchyard agent";

/// Reads facts; what cannot be found out is `None`, never a guess.
#[derive(Debug)]
pub(super) struct FactsSource {
    /// `/`, except in tests.
    root: PathBuf,
    revisions: Revisions,
    behind: Behind,
}

impl FactsSource {
    /// Of this machine and of the clone in `repo_dir`; `state_dir` has what the agent remembers.
    pub(super) fn new(state_dir: &Path, repo_dir: &Path) -> Self {
        Self::below(Path::new("/"), state_dir, repo_dir)
    }

    fn below(root: &Path, state_dir: &Path, repo_dir: &Path) -> Self {
        Self {
            root: root.to_owned(),
            revisions: Revisions::new(repo_dir),
            behind: Behind::open(state_dir, repo_dir),
        }
    }

    /// The facts as they are now. `commands` and `heartbeat_interval` are the caller's.
    pub(super) fn read(&self) -> Facts {
        let os_version = self.nixos_version();
        let systems = system::read(&self.root);
        let reasons = system::reboot_reasons(&self.root, &systems);
        let system = systems.running.clone();
        let revision = self.revisions.head();
        let of_commit = system.as_deref().zip(revision.as_deref());
        Facts {
            behind: of_commit.and_then(|(system, head)| self.behind.commits(system, head)),
            hostname: self.text("proc/sys/kernel/hostname"),
            host_type: os_version.is_some().then(|| "nixos".to_owned()),
            agent_version: Some(env!("SWITCHYARD_VERSION").to_owned()),
            nixpkgs_version: self.text("run/current-system/nixos-version"),
            kernel: self.text("proc/sys/kernel/osrelease"),
            generation: systems.generation,
            system,
            revision,
            reboot_required: reasons.as_ref().map(|reasons| !reasons.is_empty()),
            systems: Systems {
                running: systems.running,
                booted: systems.booted,
                profile: systems.profile,
                boot_default: systems.boot_default,
                running_generation: systems.running_generation,
                reboot_reasons: reasons,
            },
            boot_id: self.boot_id(),
            os_version: os_version.flatten(),
            ..Facts::default()
        }
    }

    /// Takes in that a run built a generation of the clone.
    pub(super) fn built(&mut self, report: &StatusReport) {
        if report.status != Status::Ok {
            return;
        }
        let system = report
            .generation
            .and_then(|number| self.link(&format!("nix/var/nix/profiles/system-{number}-link")));
        if let Some((system, revision)) = system.zip(report.revision.clone()) {
            self.behind.built(system, revision);
        }
    }

    /// The number of the system profile's generation.
    pub(super) fn generation(&self) -> Option<u64> {
        system::read(&self.root).generation
    }

    /// The kernel's id of this boot.
    pub(super) fn boot_id(&self) -> Option<String> {
        self.text("proc/sys/kernel/random/boot_id")
    }

    /// The machine's id, hashed for us as `machine-id(5)` asks for: the id itself is confidential.
    fn hashed(machine_id: &str) -> Option<String> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(machine_id.as_bytes()).ok()?;
        hmac.update(APPLICATION);
        let hash = hmac.finalize().into_bytes();
        Some(hash.iter().take(16).map(|b| format!("{b:02x}")).collect())
    }

    /// What tells this machine from others, and from nothing else can be found out.
    pub(super) fn machine_id(&self) -> Option<String> {
        Self::hashed(&self.text("etc/machine-id")?)
    }

    /// `None` where this is not NixOS, else the release, if it says one.
    fn nixos_version(&self) -> Option<Option<String>> {
        let release = self.text("etc/os-release")?;
        let value = |key: &str| {
            let of_key = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
            let value = release.lines().find_map(of_key)?;
            Some(
                value
                    .trim_matches(|quote| quote == '"' || quote == '\'')
                    .to_owned(),
            )
        };
        (value("ID").as_deref() == Some("nixos")).then(|| value("VERSION_ID"))
    }

    fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.root.join(path.trim_start_matches('/'))).ok()?;
        target.to_str().map(str::to_owned)
    }

    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn file(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(root: &Path, path: &str, target: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
    }

    fn system(root: &Path, name: &str, kernel: &str) {
        link(root, &format!("nix/store/{name}/kernel"), kernel);
        link(
            root,
            &format!("nix/store/{name}/initrd"),
            "/nix/store/initrd/initrd",
        );
        link(
            root,
            &format!("nix/store/{name}/systemd"),
            "/nix/store/systemd",
        );
    }

    #[test]
    fn off_nixos_nothing_is_invented() {
        let root = tempfile::tempdir().unwrap();
        file(
            root.path(),
            "etc/os-release",
            "ID=debian\nVERSION_ID=\"12\"\n",
        );
        file(root.path(), "proc/sys/kernel/osrelease", "6.12.30\n");
        let facts = FactsSource::below(root.path(), root.path(), Path::new("/nowhere")).read();
        let known = Facts {
            agent_version: facts.agent_version.clone(),
            kernel: Some("6.12.30".into()),
            ..Facts::default()
        };
        assert_eq!(facts, known);
    }

    #[test]
    fn a_machine_id_is_told_apart_and_never_told() {
        let root = tempfile::tempdir().unwrap();
        let source = FactsSource::below(root.path(), root.path(), Path::new("/nowhere"));
        assert_eq!(source.machine_id(), None);
        let mut hashes = Vec::new();
        for id in [
            "0123456789abcdef0123456789abcdef",
            "1123456789abcdef0123456789abcdef",
        ] {
            file(root.path(), "etc/machine-id", &format!("{id}\n"));
            let hash = source.machine_id().unwrap();
            assert!(hash.len() == 32 && !hash.contains(&id[..8]), "{hash}");
            assert_eq!(source.machine_id().unwrap(), hash);
            hashes.push(hash);
        }
        assert_ne!(hashes[0], hashes[1]);
    }

    #[test]
    fn a_nixos_host_says_what_it_is() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        file(
            root,
            "etc/os-release",
            "NAME=NixOS\nID=nixos\nVERSION_ID=\"26.05\"\n",
        );
        file(
            root,
            "nix/store/new/nixos-version",
            "26.05.20261101.5e2305d",
        );
        link(root, "nix/var/nix/profiles/system", "system-42-link");
        system(root, "new", "/nix/store/linux-2/bzImage");
        system(root, "old", "/nix/store/linux-1/bzImage");
        link(root, "run/current-system", "/nix/store/new");
        let source = FactsSource::below(root, root, Path::new("/nowhere"));
        let facts = source.read();
        assert_eq!(facts.os_version.as_deref(), Some("26.05"));
        assert_eq!(facts.host_type.as_deref(), Some("nixos"));
        assert_eq!(facts.generation, Some(42));
        assert_eq!(facts.system.as_deref(), Some("/nix/store/new"));
        assert_eq!(facts.reboot_required, None);
        link(root, "run/booted-system", "/nix/store/new");
        assert_eq!(source.read().reboot_required, Some(false));
        link(root, "run/booted-system", "/nix/store/old");
        assert_eq!(source.read().reboot_required, Some(true));
        fs::remove_file(root.join("nix/store/old/kernel")).unwrap();
        assert_eq!(source.read().reboot_required, None);
    }
}
