use super::*;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const PROFILE: &str = "/nix/store/new";

/// A host whose system profile is `new`, and which one boot loader's installer has been at.
struct Host(tempfile::TempDir);

impl Host {
    fn with(installer: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        let switch = format!(
            "#! /nix/store/1-bash/bin/bash -e\nexport INSTALL_BOOTLOADER='/nix/store/2-{installer}'\nexec switch\n"
        );
        host.file("nix/store/new/bin/switch-to-configuration", &switch);
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

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    fn variable_path(name: &str) -> String {
        format!("sys/firmware/efi/efivars/{name}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
    }

    fn variable(&self, name: &str, value: &str) {
        let mut bytes = vec![7, 0, 0, 0];
        let units = value.encode_utf16().chain([0]);
        bytes.extend(units.flat_map(u16::to_le_bytes));
        fs::write(self.path(&Self::variable_path(name)), bytes).unwrap();
    }

    fn next(&self) -> Option<String> {
        next_system(self.0.path(), PROFILE)
    }

    #[track_caller]
    fn starts(&self, system: &str) {
        let system = format!("/nix/store/{system}");
        assert_eq!(self.next().as_deref(), Some(system.as_str()));
    }
}

/// A host with systemd-boot and the generations 12, `old`, and 13, `new`, of which 13 is the default.
fn systemd_boot() -> Host {
    let host = Host::with("install-systemd-boot.sh");
    host.variable("LoaderInfo", "systemd-boot 258.2");
    host.file("boot/loader/loader.conf", LOADER_CONF);
    for (number, system) in [(12, "old"), (13, "new")] {
        entry(&host, &format!("nixos-generation-{number}"), number, system);
    }
    host
}

const LOADER_CONF: &str = "timeout 5\ndefault nixos-generation-13.conf\nconsole-mode keep\n";

fn entry(host: &Host, name: &str, number: u32, system: &str) {
    let text = format!(
        "title NixOS\nsort-key nixos\nversion Generation {number} NixOS Yarara 26.05, Linux Kernel 6.12.30, built on 2026-11-01\n\
         linux /EFI/nixos/k-linux-6.12.30-bzImage.efi\ninitrd /EFI/nixos/i-initrd.efi\n\
         options init=/nix/store/{system}/init loglevel=4 lsm=landlock\nmachine-id 0123456789abcdef0123456789abcdef\n"
    );
    host.file(&format!("boot/loader/entries/{name}.conf"), &text);
}

#[test]
fn systemd_boot_starts_the_entry_that_its_configuration_names() {
    let host = systemd_boot();
    host.starts("new");
    let older = LOADER_CONF.replace("13", "12");
    host.file("boot/loader/loader.conf", &older);
    host.starts("old");
    // A specialisation has an entry of its own.
    entry(&host, "nixos-generation-13-specialisation-slow", 13, "slow");
    host.starts("old");
    host.file(
        "boot/loader/loader.conf",
        "default nixos-generation-13-specialisation-*\n",
    );
    host.starts("slow");
}

#[test]
fn with_systemd_boot_a_variable_of_the_firmware_comes_before_the_configuration() {
    let host = systemd_boot();
    host.variable("LoaderEntryDefault", "nixos-generation-12.conf");
    host.starts("old");
    host.variable("LoaderEntryOneShot", "NixOS-Generation-13.conf");
    host.starts("new");
    host.variable("LoaderEntryOneShot", "auto-reboot-to-firmware-setup");
    assert_eq!(host.next(), None);
    host.remove(&Host::variable_path("LoaderEntryOneShot"));
    host.variable("LoaderEntryDefault", "@saved");
    assert_eq!(host.next(), None, "none was booted yet");
    host.variable("LoaderEntryLastBooted", "nixos-generation-13.conf");
    host.starts("new");
    host.remove(&Host::variable_path("LoaderEntryDefault"));
    host.file("boot/loader/loader.conf", "default @saved\n");
    host.starts("new");
    host.variable("LoaderEntryPreferred", "nixos-generation-12.conf");
    assert_eq!(host.next(), None);
}

#[test]
fn entries_and_configuration_of_systemd_boot_may_be_on_two_partitions() {
    let host = systemd_boot();
    host.remove("boot/loader/loader.conf");
    host.file("efi/loader/loader.conf", LOADER_CONF);
    host.starts("new");
    host.file("boot/loader/loader.conf", LOADER_CONF);
    assert_eq!(host.next(), None, "one of the two is an old one");
}

#[test]
fn an_entry_of_systemd_boot_that_counts_its_boots_is_found_and_one_without_boots_left_is_not() {
    let host = systemd_boot();
    host.remove("boot/loader/entries/nixos-generation-13.conf");
    assert_eq!(host.next(), None, "it is not there");
    entry(&host, "nixos-generation-13+2-1", 13, "new");
    host.starts("new");
    host.remove("boot/loader/entries/nixos-generation-13+2-1.conf");
    entry(&host, "nixos-generation-13+0-3", 13, "new");
    assert_eq!(host.next(), None);
}

#[test]
fn what_systemd_boot_starts_is_not_guessed() {
    let host = systemd_boot();
    for (configuration, why) in [
        ("timeout 5\n", "it takes the first in its own order"),
        ("default nixos-*\n", "it takes the first of these"),
        ("default nixos-generation-1[23].conf\n", "a set is not read"),
        (
            "preferred a.conf\ndefault nixos-generation-13.conf\n",
            "newer than this",
        ),
        ("default other.conf\n", "there is none"),
    ] {
        host.file("boot/loader/loader.conf", configuration);
        assert_eq!(host.next(), None, "{why}");
    }
    host.file("boot/loader/loader.conf", LOADER_CONF);
    for options in [
        "options root=/dev/sda1",
        "options init=/bin/sh",
        "options init=/nix/store/new/init init=/nix/store/old/init",
        "options init=/nix/store/new/bin/init",
    ] {
        host.file("boot/loader/entries/nixos-generation-13.conf", options);
        assert_eq!(host.next(), None, "{options}");
    }
    let long = format!("options init=/nix/store/new/init {}", "x".repeat(1 << 20));
    host.file("boot/loader/entries/nixos-generation-13.conf", &long);
    assert_eq!(host.next(), None, "too long");
    entry(&host, "nixos-generation-13", 13, "new");
    host.starts("new");
    for other in ["GRUB 2.12", "Limine 10.1", "systemd-bootish"] {
        host.variable("LoaderInfo", other);
        assert_eq!(host.next(), None, "{other} started this machine");
    }
}

const GRUB_CFG: &str = r#"# Automatically generated.  DO NOT EDIT THIS FILE!

search --set=drive1 --fs-uuid 2f1c
if [ -s $prefix/grubenv ]; then
  load_env
fi

# ‘grub-reboot’ sets a one-time saved entry, which we process here and
# then delete.
if [ "${next_entry}" ]; then
  set default="${next_entry}"
  set next_entry=
  save_env next_entry
  set timeout=1
  set boot_once=true
else
  set default=0
  set timeout=5
fi

function savedefault {
    if [ -z "${boot_once}"]; then
        saved_entry="${chosen}"
        save_env saved_entry
    fi
}

# Setup the graphics stack for bios and efi systems
if [ "${grub_platform}" = "efi" ]; then
  insmod efi_gop
else
  insmod vbe
fi

menuentry "NixOS - Default" --class nixos --unrestricted {
search --set=drive1 --fs-uuid 2f1c
  linux ($drive1)//kernels/k-linux-6.12.30-bzImage init=/nix/store/new/init loglevel=4
  initrd ($drive1)//kernels/i-initrd
}

submenu "NixOS - All configurations" --class submenu {
menuentry "NixOS - Configuration 13 (2026-11-02 - 26.05)" --class nixos {
  linux ($drive1)//kernels/k-linux-6.12.30-bzImage init=/nix/store/new/init loglevel=4
  initrd ($drive1)//kernels/i-initrd
}
menuentry "NixOS - Configuration 12 (2026-11-01 - 26.05)" --class nixos {
  linux ($drive1)//kernels/k-linux-6.12.29-bzImage init=/nix/store/old/init loglevel=4
  initrd ($drive1)//kernels/i-initrd
}
}

if [ "${grub_platform}" = efi ]; then insmod bli; fi
"#;

fn grub(configuration: &str) -> Host {
    let host = Host::with("install-grub.sh");
    host.file("boot/grub/grub.cfg", configuration);
    host
}

fn environment(host: &Host, variables: &str) {
    let block = format!("# GRUB Environment Block\n{variables}{}", "#".repeat(900));
    host.file("boot/grub/grubenv", &block);
}

#[test]
fn grub_starts_the_entry_that_its_configuration_names() {
    let host = grub(GRUB_CFG);
    host.starts("new");
    let default = |value: &str| {
        let text = GRUB_CFG.replace("set default=0", &format!("set default={value}"));
        host.file("boot/grub/grub.cfg", &text);
    };
    default("\"1>1\"");
    host.starts("old");
    default("\"NixOS - All configurations>NixOS - Configuration 12 (2026-11-01 - 26.05)\"");
    host.starts("old");
    for unknown in ["1", "2", "\"1>5\"", "\"NixOS\"", "\"${other}\""] {
        default(unknown);
        assert_eq!(host.next(), None, "{unknown}");
    }
}

#[test]
fn with_grub_what_was_chosen_for_one_boot_or_saved_is_started() {
    let host = grub(GRUB_CFG);
    environment(&host, "saved_entry=1>1\n");
    host.starts("new");
    environment(&host, "next_entry=1>1\n");
    host.starts("old");
    let saved = GRUB_CFG.replace("set default=0", "set default=\"${saved_entry}\"");
    host.file("boot/grub/grub.cfg", &saved);
    environment(
        &host,
        "saved_entry=NixOS - All configurations>NixOS - Configuration 12 (2026-11-01 - 26.05)\nnext_entry=\n",
    );
    host.starts("old");
    environment(&host, "");
    host.starts("new");
    environment(&host, "saved_entry=1\\\n>1\n");
    assert_eq!(host.next(), None, "it goes on in another line");
    host.remove("boot/grub/grubenv");
    host.starts("new");
}

#[test]
fn entries_of_other_systems_count_and_are_none_of_ours() {
    let windows = "menuentry \"Windows\" {\n  chainloader (hd0,1)+1\n}\n";
    let first = "menuentry \"NixOS - Default\"";
    let text = GRUB_CFG.replacen(first, &format!("{windows}{first}"), 1);
    let host = grub(&text);
    assert_eq!(host.next(), None);
    let text = text.replace("set default=0", "set default=1");
    host.file("boot/grub/grub.cfg", &text);
    host.starts("new");
}

#[test]
fn what_grub_starts_is_not_guessed() {
    let first = "menuentry \"NixOS - Default\"";
    for before in [
        "menuentry \"Windows\" { chainloader (hd0,1)+1 }\n",
        "source /grub/more.cfg\n",
        "if [ -e /more ]; then\nmenuentry \"More\" {\n}\nfi\n",
        "function more {\nmenuentry \"More\" {\n}\n}\n",
        "for x in a b; do\n",
        "set default=1\n",
        "}\n",
        "function more {\n",
    ] {
        let text = GRUB_CFG.replacen(first, &format!("{before}{first}"), 1);
        assert_eq!(grub(&text).next(), None, "{before}");
    }
    assert_eq!(grub("").next(), None);
    assert_eq!(grub(&"#\n".repeat(1 << 20)).next(), None, "too long");
    let host = grub(GRUB_CFG);
    host.variable("LoaderInfo", "GRUB 2.12");
    host.starts("new");
    host.variable("LoaderInfo", "systemd-boot 258.2");
    assert_eq!(host.next(), None, "another loader started this machine");
}

const EXTLINUX_CONF: &str = "# Generated file, all changes will be lost on nixos-rebuild!

# Change this to e.g. nixos-42 to temporarily boot to an older configuration.
DEFAULT nixos-default

MENU TITLE ------------------------------------------------------------
TIMEOUT 50

LABEL nixos-default
  MENU LABEL NixOS - Default
  LINUX ../nixos/k-linux-6.12.30-Image
  INITRD ../nixos/i-initrd
  APPEND init=/nix/store/new/init console=ttyS0,115200n8
  FDTDIR ../nixos/d-dtbs

LABEL nixos-12-default
  MENU LABEL NixOS - Configuration 12-default (2026-11-01 10:00 - 26.05)
  LINUX ../nixos/k-linux-6.12.29-Image
  INITRD ../nixos/i-initrd
  APPEND init=/nix/store/old/init console=ttyS0,115200n8
";

#[test]
fn extlinux_starts_the_entry_that_its_configuration_names() {
    let host = Host::with("extlinux-conf-builder.sh");
    let configuration = |text: &str| host.file("boot/extlinux/extlinux.conf", text);
    assert_eq!(host.next(), None);
    configuration(EXTLINUX_CONF);
    host.starts("new");
    let older = EXTLINUX_CONF.replace("DEFAULT nixos-default", "default nixos-12-default");
    configuration(&older);
    host.starts("old");
    configuration(&EXTLINUX_CONF.replace("DEFAULT nixos-default", "DEFAULT other"));
    assert_eq!(host.next(), None);
    configuration(&format!("{EXTLINUX_CONF}\nINCLUDE more.conf\n"));
    assert_eq!(host.next(), None);
    configuration(&EXTLINUX_CONF.replace("nixos-12-default", "nixos-default"));
    assert_eq!(host.next(), None, "two of one name");
}

#[test]
fn a_loader_that_is_not_known_or_was_not_installed_tells_nothing() {
    let host = systemd_boot();
    host.file("boot/grub/grub.cfg", GRUB_CFG);
    host.starts("new");
    let switch = "nix/store/new/bin/switch-to-configuration";
    for installer in [
        "INSTALL_BOOTLOADER=/nix/store/2-lanzaboote-install",
        "/nix/store/2-install-grub.sh /nix/store/2-install-systemd-boot.sh",
        "",
    ] {
        host.file(switch, installer);
        assert_eq!(host.next(), None, "{installer}");
    }
    host.remove(switch);
    assert_eq!(host.next(), None);
    // Whoever reads that waits for ever.
    let pipe = host.path(switch);
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(host.next(), None);
    host.remove(switch);
    symlink("/dev/zero", &pipe).unwrap();
    assert_eq!(host.next(), None);
}
