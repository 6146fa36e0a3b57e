//! What a host of the tests has beside Debian: an agent, and a configuration that nix builds.

use crate::common::Dashboard;
use crate::units;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The host's id.
pub(crate) const HOST: &str = "h1";

/// What a NixOS host has in `/run` before its services start: the system that it booted is not made by nix.
const LINKS: &str = "L /run/booted-system - - - - /opt/system\nL /run/current-system - - - - /opt/system\n\
                     L /run/wrappers - - - - /opt/packages/wrappers\n";

/// Puts everything of ours into the host's files, which are in `mnt`; its agent connects to this address.
pub(crate) fn furnish(mnt: &Path, dashboard: &str) {
    let put = |path: &str, text: &str, mode: u32| {
        let path = mnt.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let unit = "etc/systemd/system/switchyard-agent.service";
    put(unit, &units::agent(), 0o644);
    put(
        "opt/packages/nixos-rebuild/bin/nixos-rebuild",
        include_str!("host/nixos-rebuild"),
        0o755,
    );
    put("etc/tmpfiles.d/nixos.conf", LINKS, 0o644);
    fs::create_dir(mnt.join("opt/system")).unwrap();
    std::os::unix::fs::symlink("/opt/sw", mnt.join("opt/system/sw")).unwrap();
    put("etc/nix/nix.conf", include_str!("host/nix.conf"), 0o644);
    put("etc/nixos/flake.nix", include_str!("host/flake.nix"), 0o644);
    put("etc/nixos/salt", "1", 0o644);
    let switch = include_str!("host/switch-to-configuration");
    put("etc/nixos/switch-to-configuration", switch, 0o755);
    put("etc/hostname", HOST, 0o644);
    put("var/toy/built", "", 0o666);
    put("etc/switchyard/token", &Dashboard::token(HOST), 0o600);
    let config = format!(
        "dashboard = \"ws://{dashboard}\"\nallow_plaintext = true\nhost_id = \"{HOST}\"\nheartbeat_interval = 1\n\
         token_file = \"/run/credentials/switchyard-agent.service/token\"\n[repo]\ndir = \"/etc/nixos\"\n"
    );
    put("etc/switchyard/agent.toml", &config, 0o600);
    put("etc/hosts", &format!("127.0.0.1 localhost {HOST}\n"), 0o644);
    // It would listen in the network of this machine.
    let no_server = mnt.join("etc/systemd/system/ssh.service");
    std::os::unix::fs::symlink("/dev/null", no_server).unwrap();
    let wanted = mnt.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wanted).unwrap();
    let link = wanted.join("switchyard-agent.service");
    std::os::unix::fs::symlink("../switchyard-agent.service", link).unwrap();
    let program = env!("CARGO_BIN_EXE_switchyard");
    fs::copy(program, mnt.join("usr/local/bin/switchyard")).unwrap();
}
