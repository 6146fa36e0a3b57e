//! The git repository that the demo's hosts pull: a configuration as a fleet has it.

use super::Error;
use super::fleet::REAL_NIX;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The checks of every host; each is true on any machine.
const CHECKS: [(&str, &str); 3] = [
    (
        "T01-clock.sh",
        "#!/bin/sh\n# The clock is set.\nsleep 1\ndate -u\ntest \"$(date -u +%Y)\" -ge 2025\n",
    ),
    (
        "T02-disk.sh",
        "#!/bin/sh\n# There is a disk.\nsleep 1\ndf -P / | tail -n 1\n",
    ),
    (
        "T03-shell.sh",
        "#!/bin/sh\n# Programs can be started.\nsleep 1\nuname -s\n",
    ),
];

/// A few derivations that any nix builds without a network, anew each time.
const SYSTEM: &str = r#"let
  # What differs each time is built each time.
  salt = toString builtins.currentTime;
  make = name: steps: inputs: derivation {
    inherit name salt inputs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/run/current-system/sw/bin:/usr/bin:/bin";
    args = [
      "-c"
      ''
        n=0
        while [ $n -lt ${toString steps} ]; do
          n=$((n+1))
          echo "step $n of ${toString steps}"
          sleep 0.2
        done
        echo "$inputs" > $out
      ''
    ];
  };
  units = map (unit: make "unit-${unit}.service" 3 [ ]) [ "nginx" "sshd" "backup" "toy" ];
  etc = make "etc" 5 units;
  initrd = make "initrd" 8 [ ];
  systemPath = make "system-path" 6 [ ];
in
{
  toplevel = make "nixos-system-real-nix" 4 [ etc initrd systemPath ];
}
"#;

/// Makes the repository in `path`, with a folder for each host.
pub(super) fn create(path: &Path, hosts: &[String]) -> Result<(), Error> {
    let write = |file: &str, text: &str| write(&path.join(file), text);
    write(
        "README.md",
        "# The demo's fleet\n\nMade by `switchyard demo`, and gone when it ends.\n",
    )?;
    write("flake.nix", &flake(hosts))?;
    for host in hosts {
        let text = format!(
            "{{ ... }}:\n{{\n  networking.hostName = \"{host}\";\n  services.openssh.enable = true;\n}}\n"
        );
        write(&format!("hosts/{host}/default.nix"), &text)?;
        for (name, script) in CHECKS {
            let file = format!("hosts/{host}/tests/{name}");
            write(&file, script)?;
            let executable = Permissions::from_mode(0o755);
            fs::set_permissions(path.join(&file), executable)
                .map_err(Error::file(&path.join(file)))?;
        }
    }
    if hosts.iter().any(|host| host == REAL_NIX) {
        write(&format!("hosts/{REAL_NIX}/system.nix"), SYSTEM)?;
    }
    git(path, &["init", "--quiet", "--initial-branch=main"])?;
    git(path, &["add", "--all"])?;
    git(
        path,
        &[
            "commit",
            "--quiet",
            "--message=all hosts: first configuration",
        ],
    )
}

/// A copy of the repository for one host, as its first pull would make it.
pub(super) fn clone(from: &Path, to: &Path) -> Result<(), Error> {
    let (from_text, to_text) = (from.to_string_lossy(), to.to_string_lossy());
    git(from, &["clone", "--quiet", &from_text, &to_text])
}

fn flake(hosts: &[String]) -> String {
    let systems: String = hosts
        .iter()
        .map(|host| format!("      {host} = system ./hosts/{host};\n"))
        .collect();
    format!(
        "{{\n  inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-26.05\";\n\n  outputs = {{ nixpkgs, ... }}:\n    let\n      \
         system = host: nixpkgs.lib.nixosSystem {{ modules = [ host ]; }};\n    in\n    {{\n      \
         nixosConfigurations = {{\n{systems}      }};\n    }};\n}}\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    fs::write(path, text).map_err(Error::file(path))
}

/// Runs git as nobody in particular, whatever its user has configured.
fn git(folder: &Path, args: &[&str]) -> Result<(), Error> {
    let output = Command::new("git")
        .args(["-c", "user.name=Switchyard demo"])
        .args(["-c", "user.email=demo@localhost"])
        .args([
            "-c",
            "commit.gpgSign=false",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(Error::GitMissing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Git {
        command: args.join(" "),
        said,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gets_its_configuration_and_its_checks() {
        let folder = tempfile::tempdir().unwrap();
        let (origin, copy) = (folder.path().join("origin"), folder.path().join("copy"));
        fs::create_dir(&origin).unwrap();
        create(&origin, &["nas".to_owned(), REAL_NIX.to_owned()]).unwrap();
        clone(&origin, &copy).unwrap();
        for file in ["hosts/nas/default.nix", "hosts/real-nix/system.nix"] {
            assert!(copy.join(file).is_file(), "{file}");
        }
        for (name, _) in CHECKS {
            let check = copy.join("hosts/nas/tests").join(name);
            assert!(Command::new(check).status().unwrap().success(), "{name}");
        }
    }
}
