//! The names and lines that a real system is full of.

use super::dice::Dice;

/// Packages that a binary cache has, and their size in KiB.
pub(super) const CACHED: [(&str, u64); 14] = [
    ("glibc-2.42-47", 10_240),
    ("openssl-3.6.1", 2_380),
    ("coreutils-full-9.9", 1_540),
    ("curl-8.17.0", 480),
    ("linux-6.12.63", 98_304),
    ("linux-firmware-20261110-zstd", 312_400),
    ("nginx-1.29.4", 890),
    ("openssh-10.2p1", 1_310),
    ("python3-3.13.11", 24_800),
    ("git-minimal-2.52.0", 8_700),
    ("systemd-258.3", 11_900),
    ("zstd-1.5.7", 610),
    ("sqlite-3.51.1", 1_120),
    ("tzdata-2026c", 390),
];

/// Packages that it does not have.
pub(super) const COMPILED: [&str; 4] = [
    "fleet-dashboard-1.8.2",
    "zigbee-bridge-0.42.0",
    "backup-agent-3.2.1",
    "photo-index-2.11.0",
];

/// What is built of the configuration itself, in an order in which it can be.
pub(super) const CONFIGURATION: [&str; 18] = [
    "users-groups.json",
    "etc-os-release",
    "unit-nginx.service",
    "unit-sshd.service",
    "unit-backup.service",
    "unit-backup.timer",
    "unit-prometheus-node-exporter.service",
    "nginx.conf",
    "firewall-start",
    "issue",
    "linux-6.12.63-modules",
    "linux-6.12.63-modules-shrunk",
    "system-path",
    "dbus-1",
    "user-units",
    "system-units",
    "etc",
    "initrd-linux-6.12.63",
];

/// The store path of a host's new system.
pub(super) fn system_path(host: &str, dice: &mut Dice) -> String {
    let name = format!("nixos-system-{host}-26.05.20261120.5e2305d");
    format!("/nix/store/{}-{name}", dice.hash())
}

/// What the builder of a package says.
pub(super) fn compilation(name: &str, dice: &mut Dice) -> Vec<String> {
    let mut lines: Vec<String> = [
        "Running phase: unpackPhase",
        "unpacking source archive /nix/store/0n3hf4dpb0kx5lm6zv5l1c7vsydvq1fz-source",
        "source root is source",
        "Running phase: patchPhase",
        "Running phase: updateAutotoolsGnuConfigScriptsPhase",
        "Running phase: configurePhase",
        "fixing cmake files...",
        "cmake flags: -GNinja -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=ON",
        "-- The C compiler identification is GNU 15.2.0",
        "-- Detecting C compiler ABI info - done",
        "-- Found OpenSSL: /nix/store/q5ng6wl1l6zvpm7pvx8dq1xw6ylkcnpk-openssl-3.6.1/lib/libcrypto.so",
        "-- Configuring done (1.4s)",
        "Running phase: buildPhase",
        "build flags: -j4",
    ]
    .map(str::to_owned)
    .into();
    let files = dice.between(40, 120);
    for n in 1..=files {
        let part = ["core", "net", "store", "proto", "cli"][(n % 5) as usize];
        lines.push(format!(
            "[{n}/{files}] Building C object src/{part}/CMakeFiles/{part}.dir/unit_{n:03}.c.o"
        ));
        if n % 23 == 0 {
            lines.push(format!(
                "src/{part}/unit_{n:03}.c:{}:9: \x1b[35mwarning:\x1b[0m unused variable 'rc' [-Wunused-variable]",
                n * 7 % 400
            ));
        }
    }
    lines.extend(
        [
            "Running phase: checkPhase",
            "100% tests passed, 0 tests failed out of 64",
            "Running phase: installPhase",
            "Running phase: fixupPhase",
        ]
        .map(str::to_owned),
    );
    lines.push(format!(
        "shrinking RPATHs of ELF executables and libraries in /nix/store/{}-{name}",
        dice.hash()
    ));
    lines.push("stripping (with command strip and flags -S -p) in the outputs".to_owned());
    lines
}

/// What the builder of a part of the configuration says; most say nothing.
pub(super) fn assembly(name: &str) -> Vec<String> {
    let lines: &[&str] = match name {
        "linux-6.12.63-modules-shrunk" => &[
            "root module: ahci",
            "root module: nvme",
            "root module: xhci_pci",
            "resolving dependencies of 27 modules",
            "copying firmware for 4 modules",
        ],
        "initrd-linux-6.12.63" => &[
            "copying 212 files",
            "cpio: 38,114 blocks",
            "compressing with zstd -19 -T0",
        ],
        "system-path" => &[
            "created 11,482 symlinks in user environment",
            "\x1b[35mwarning:\x1b[0m collision between `/share/man/man1/kill.1.gz' of util-linux and procps",
        ],
        "nginx.conf" => &["nginx: configuration file syntax is ok"],
        "etc" => &["generated /etc with 388 entries"],
        _ => &[],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// What a compiler says before its builder fails.
pub(super) const BROKEN: [&str; 4] = [
    "src/net/unit_017.c:212:14: \x1b[31merror:\x1b[0m implicit declaration of function 'tls_session_resume'",
    "  212 |     int rc = tls_session_resume(ctx, &ticket);",
    "      |              ^~~~~~~~~~~~~~~~~~",
    "ninja: build stopped: subcommand failed.",
];

/// What nix says behind `error:` of a configuration that fails an assertion.
pub(super) const ASSERTION: &str = "       \u{2026} while calling the 'head' builtin
         at /nix/store/0n3hf4dpb0kx5lm6zv5l1c7vsydvq1fz-source/lib/attrsets.nix:1696:13:
         1695|           if length values == 1 || pred here (elemAt values 1) (head values) then
         1696|             head values
             |             ^
         1697|           else

       \u{2026} while evaluating the option `system.build.toplevel':

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error:
       Failed assertions:
       - The \u{2018}fileSystems\u{2019} option does not specify your root file system.
       - You must set the option \u{2018}boot.loader.grub.devices\u{2019} or 'boot.loader.grub.mirroredBoots' to make the system bootable.";
