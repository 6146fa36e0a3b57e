//! One host: a virtual machine, whose kernel counts memory by control group (cgroup v2), as that of the machine of
//! the tests may not.

use crate::common::wait_for;
use crate::furnish::furnish;
use crate::root;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the machine, which is emulated, may take for anything, on a busy processor.
const PATIENCE: Duration = Duration::from_secs(600);

/// The memory of the machine, in MiB.
pub(crate) const MEMORY_MIB: u32 = 1024;

/// What the machine has besides what containers have.
const PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "systemd-oomd"];

/// The machine of the tests, as the virtual machine sees it.
const GATEWAY: &str = "10.0.2.2";

/// The kernel kills rather than read the same pages of programs again and again, for minutes.
const NO_THRASHING: &str = "w /sys/kernel/mm/lru_gen/min_ttl_ms - - - - 1000\n";

const NETWORK: &str = "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n";

/// A short time in place of half a minute, so that the test does not wait.
const OOMD: &str = "[OOM]\nDefaultMemoryPressureDurationSec=1s\n";

/// A running virtual machine, gone when dropped.
pub(crate) struct Machine {
    folder: PathBuf,
    qemu: Child,
}

impl Machine {
    /// Boots a host whose agent connects to this port of loopback and has these commands besides. `None` where it
    /// cannot be done, which was said.
    pub(crate) fn boot(port: u16, commands: &str) -> Option<Self> {
        let root = match prerequisites().and_then(|()| root::make(&PACKAGES)) {
            Ok(root) => root,
            Err(why) => {
                crate::common::skip(&why);
                return None;
            }
        };
        let folder = root::folder().join("memory");
        remove(&folder);
        for part in ["upper", "work", "mnt"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        make_disk(&folder, &root, &format!("{GATEWAY}:{port}"), commands);
        let qemu = start(&folder, &root);
        Some(Self { folder, qemu })
    }

    /// What the machine said on its console.
    pub(crate) fn console(&self) -> String {
        let said = fs::read(self.folder.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until `condition` gives something, as long as the machine runs.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut() -> Option<T>,
    ) -> T {
        wait_for(what, PATIENCE, || {
            let ended = self.qemu.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}\n{}", self.console());
            // The machine needs the processor more than the question does.
            std::thread::sleep(Duration::from_millis(100));
            condition()
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.console());
        }
        remove(&self.folder);
    }
}

fn prerequisites() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("the disk of a virtual machine needs root".to_owned());
    }
    for program in [
        "debootstrap",
        "qemu-system-x86_64",
        "mount",
        "setpriv",
        "truncate",
    ] {
        if !crate::common::has(program) {
            return Err(format!("{program} is not installed"));
        }
    }
    Ok(())
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn remove(folder: &Path) {
    unmount(folder);
    let _ = fs::remove_dir_all(folder);
}

fn unmount(folder: &Path) {
    let mut unmount = Command::new("umount");
    unmount
        .arg("-l")
        .arg(folder.join("mnt"))
        .stderr(Stdio::null());
    let _ = unmount.status();
}

/// Makes the disk: the root, and everything of ours.
fn make_disk(folder: &Path, root: &Path, dashboard: &str, commands: &str) {
    let [upper, work, mnt] = ["upper", "work", "mnt"].map(|part| folder.join(part));
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        root.display(),
        upper.display(),
        work.display()
    );
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "overlay", "-o", &options]);
    must(mount.arg(&mnt));
    furnish(&mnt, dashboard);
    let put = |path: &str, text: &str, mode: u32| {
        let path = mnt.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let rebuild = "opt/packages/nixos-rebuild/bin/nixos-rebuild";
    put(rebuild, include_str!("host/nixos-rebuild"), 0o755);
    let switch = "etc/nixos/hungry/bin/switch-to-configuration";
    put(switch, include_str!("host/switch-to-configuration"), 0o755);
    put("etc/nixos/flake.nix", include_str!("host/flake.nix"), 0o644);
    put("etc/systemd/network/wired.network", NETWORK, 0o644);
    put("etc/systemd/oomd.conf.d/test.conf", OOMD, 0o644);
    put("etc/tmpfiles.d/memory.conf", NO_THRASHING, 0o644);
    let networkd = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
    symlink(
        "/usr/lib/systemd/system/systemd-networkd.service",
        mnt.join(networkd),
    )
    .unwrap();
    let config = fs::read_to_string(mnt.join("etc/switchyard/agent.toml")).unwrap();
    put(
        "etc/switchyard/agent.toml",
        &format!("{config}{commands}"),
        0o600,
    );
    // What the machine has no use for, and would take long to copy.
    for waste in ["var/cache/apt", "usr/share/doc", "usr/share/locale"] {
        let _ = fs::remove_dir_all(mnt.join(waste));
    }
    let disk = folder.join("disk");
    must(Command::new("truncate").args(["-s", "4G"]).arg(&disk));
    let mut format = Command::new("/usr/sbin/mkfs.ext4");
    format.args(["-q", "-F", "-d"]).arg(&mnt).arg(&disk);
    must(&mut format);
    unmount(folder);
}

/// The one file of the root's `/boot` whose name begins so.
fn boot_file(root: &Path, name: &str) -> PathBuf {
    let entries = fs::read_dir(root.join("boot")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found = paths.filter(|path| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(name)
    });
    found.next().unwrap()
}

/// Starts the machine, which ends with this process. It is emulated, so that it is the same wherever the tests run:
/// not every machine has `/dev/kvm`, and not every one that is there carries a kernel.
fn start(folder: &Path, root: &Path) -> Child {
    let console = folder.join("console");
    let disk = folder.join("disk");
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-smp", "2", "-cpu", "max"])
        .args(["-m", &MEMORY_MIB.to_string()])
        .args(["-accel", "tcg"])
        .args(["-nic", "user,model=virtio-net-pci"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw,cache=unsafe", disk.display()))
        .arg("-kernel")
        .arg(boot_file(root, "vmlinuz-"))
        .arg("-initrd")
        .arg(boot_file(root, "initrd.img-"))
        .args([
            "-append",
            "root=/dev/vda rw console=ttyS0 panic=-1 psi=1 systemd.getty_auto=no loglevel=5 systemd.journald.forward_to_console=1 \
             systemd.journald.max_level_console=info",
        ]);
    let said = fs::File::create(folder.join("qemu")).unwrap();
    qemu.stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap()
}
