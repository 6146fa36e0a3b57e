//! One host: a container with its own systemd, nix and agent.

use crate::common::wait_for;
use crate::furnish::furnish;
use crate::root;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use crate::furnish::HOST;

/// How long a container may take for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// One container at a time for each of these, so that they do not starve each other.
static SLOTS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];

/// A running container, removed when dropped.
pub(crate) struct Container {
    folder: PathBuf,
    /// Where its network is, if it is not ours.
    network: Option<String>,
    nspawn: Child,
    _slot: MutexGuard<'static, ()>,
}

impl Container {
    /// Boots a host whose agent connects to this address; `name` is the test's own. `None` where it cannot be
    /// done, which was said.
    pub(crate) fn boot(name: &str, dashboard: &str, network: Option<String>) -> Option<Self> {
        let root = match prerequisites().and_then(|()| root::root()) {
            Ok(root) => root,
            Err(why) => {
                crate::common::skip(&why);
                return None;
            }
        };
        let slot = slot();
        let folder = root::folder().join(name);
        remove(&folder);
        for part in ["upper", "work", "mnt"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            root.display(),
            folder.join("upper").display(),
            folder.join("work").display()
        );
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", &options]);
        must(mount.arg(folder.join("mnt")));
        furnish(&folder.join("mnt"), dashboard);
        let container = Self {
            nspawn: nspawn(&folder, network.as_deref()),
            network,
            folder,
            _slot: slot,
        };
        container.await_boot();
        Some(container)
    }

    /// A file of the host.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join("mnt").join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Waits until the host has this file.
    pub(crate) fn await_file(&self, path: &str) {
        wait_for(path, PATIENCE, || self.path(path).exists().then_some(()));
    }

    /// The host's first process, which another one is after a reboot.
    fn leader(&self) -> Option<String> {
        let pid = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    /// What a program on the host prints, if it ends with 0.
    pub(crate) fn try_run(&self, argv: &[&str]) -> Option<String> {
        let output = Command::new("nsenter")
            .args(["-t", &self.leader()?, "-a", "--"])
            .args(argv)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    }

    /// The same, which must end with 0.
    pub(crate) fn run(&self, argv: &[&str]) -> String {
        let Some(said) = self.try_run(argv) else {
            panic!("{argv:?} failed on the host\n{}", self.journal());
        };
        said
    }

    /// A property of a unit.
    pub(crate) fn show(&self, unit: &str, property: &str) -> String {
        self.run(&["systemctl", "show", "--value", "-p", property, unit])
    }

    /// The end of the host's journal.
    pub(crate) fn journal(&self) -> String {
        let argv = [
            "journalctl",
            "--no-pager",
            "-n",
            "60",
            "-o",
            "short-monotonic",
        ];
        self.try_run(&argv).unwrap_or_default()
    }

    fn await_boot(&self) {
        wait_for("the host to boot", PATIENCE, || {
            self.try_run(&["systemctl", "is-active", "switchyard-agent.service"])
        });
    }

    /// Restarts the host in order.
    pub(crate) fn reboot(&mut self) {
        // The answer may not come any more.
        let _ = self.try_run(&["systemctl", "reboot"]);
        wait_for("the end of the host", PATIENCE, || {
            self.nspawn.try_wait().unwrap()
        });
        self.boot_again();
    }

    /// The host is off at once, and then on again.
    pub(crate) fn lose_power(&mut self) {
        self.kill();
        self.boot_again();
    }

    /// All its processes go with the first.
    fn kill(&mut self) {
        if let Some(leader) = self.leader() {
            let _ = kill(Pid::from_raw(leader.parse().unwrap()), Signal::SIGKILL);
        } else {
            let _ = self.nspawn.kill();
        }
        let _ = self.nspawn.wait();
    }

    fn boot_again(&mut self) {
        self.nspawn = nspawn(&self.folder, self.network.as_deref());
        self.await_boot();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.kill();
        remove(&self.folder);
    }
}

/// A port of loopback on which nobody listens, and which the kernel gives to nobody who asks for any.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn slot() -> MutexGuard<'static, ()> {
    loop {
        if let Some(slot) = SLOTS.iter().find_map(|slot| slot.try_lock().ok()) {
            return slot;
        }
        drop(SLOTS[0].lock().unwrap_or_else(PoisonError::into_inner));
        SLOTS.iter().for_each(Mutex::clear_poison);
    }
}

fn prerequisites() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("containers need root".to_owned());
    }
    for program in ["debootstrap", "systemd-nspawn", "nsenter", "mount"] {
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

/// Unmounts and removes what a test, perhaps an interrupted one, left.
fn remove(folder: &Path) {
    let mut unmount = Command::new("umount");
    unmount
        .arg("-l")
        .arg(folder.join("mnt"))
        .stderr(Stdio::null());
    let _ = unmount.status();
    let _ = fs::remove_dir_all(folder);
}

fn nspawn(folder: &Path, network: Option<&str>) -> Child {
    let console = fs::File::create(folder.join("console")).unwrap();
    let network = network.map(|path| format!("--network-namespace-path={path}"));
    Command::new("systemd-nspawn")
        .args(network)
        .args([
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--boot",
            "-D",
        ])
        .arg(folder.join("mnt"))
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap()
}
