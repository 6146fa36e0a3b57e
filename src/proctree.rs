//! Processes as /proc shows them: who descends from whom, and the end of what a run left behind.
//!
//! A process is its pid and the moment it started, so that a pid given to another process is never
//! taken for the first.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The variable by which every process of a run's child is known, even after it left the tree. It holds
/// the folder of the run, because the agents of a demo on one machine may have runs with the same id.
pub const RUN_VARIABLE: &str = "SWITCHYARD_RUN";

/// How the names of the units begin in which nixos-rebuild activates.
pub const ACTIVATION_UNIT: &str = "nixos-rebuild-switch-to-configuration";

/// What [`RUN_VARIABLE`] is set to for a run in this folder.
pub fn mark(rundir: &Path) -> PathBuf {
    rundir.canonicalize().unwrap_or_else(|_| rundir.to_owned())
}

/// How long a process has from SIGTERM to SIGKILL.
pub const GRACE: Duration = Duration::from_secs(10);

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number, which another process may get once it is gone.
    pub pid: i32,
    /// When it started, in clock ticks since the boot (field 22 of /proc/PID/stat).
    pub started: u64,
}

/// What /proc/PID/stat says.
struct Stat {
    id: ProcessId,
    parent: i32,
    /// CPU time of all its threads, in clock ticks.
    ticks: u64,
    /// It has ended, and its parent has not asked how.
    is_zombie: bool,
}

impl ProcessId {
    /// This process; `None` where there is no /proc.
    pub fn own() -> Option<Self> {
        Self::of(Pid::this().as_raw())
    }

    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| stat.id)
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.id == self && !stat.is_zombie)
    }

    /// The CPU time that it has used, in clock ticks; none where it is gone.
    pub fn ticks(self) -> u64 {
        let stat = Stat::read(self.pid).filter(|stat| stat.id == self);
        stat.map_or(0, |stat| stat.ticks)
    }

    /// Whether it changes the machine from one NixOS system to another, or waits for what does.
    pub fn activates(self) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let is_it = |pair: &[&[u8]]| {
            let looks_only = [&b"check"[..], b"dry-activate"].contains(&pair[1]);
            pair[0].ends_with(b"/switch-to-configuration") && !looks_only
        };
        arguments.windows(2).any(is_it)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            // It may end in this very moment, which is as good.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, field 2, may hold anything, so the others are counted from its last parenthesis.
    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        let name_end = memchr::memrchr(b')', stat)?;
        let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let [user, system] = [fields.nth(9)?, fields.next()?].map(str::parse::<u64>);
        let started = fields.nth(6)?.parse().ok()?;
        Some(Self {
            id: ProcessId { pid, started },
            parent,
            ticks: user.ok()?.saturating_add(system.ok()?),
            is_zombie: matches!(state, "Z" | "X"),
        })
    }
}

/// Every process there is.
fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Stat::read)
        .collect()
}

/// The living descendants of these, and those of these that `with_roots` asks for.
fn tree(all: &[Stat], roots: &HashSet<i32>, with_roots: bool) -> Vec<ProcessId> {
    let mut family = roots.clone();
    loop {
        let before = family.len();
        for stat in all {
            if family.contains(&stat.parent) {
                family.insert(stat.id.pid);
            }
        }
        if family.len() == before {
            break;
        }
    }
    all.iter()
        .filter(|stat| !stat.is_zombie && family.contains(&stat.id.pid))
        .filter(|stat| with_roots || !roots.contains(&stat.id.pid))
        .map(|stat| stat.id)
        .collect()
}

/// The living descendants of this process, at any depth.
pub fn descendants() -> Vec<ProcessId> {
    tree(&all(), &HashSet::from([Pid::this().as_raw()]), false)
}

/// The process with this pid and its descendants, as far as they live.
pub fn family(pid: i32) -> Vec<ProcessId> {
    tree(&all(), &HashSet::from([pid]), true)
}

/// The process that was started to supervise the run in this folder, whether or not it wrote itself down yet.
pub fn supervising(rundir: &Path) -> Option<ProcessId> {
    let arguments = [b"\0supervise\0", rundir.as_os_str().as_bytes(), b"\0"].concat();
    let is_it = |id: &ProcessId| {
        fs::read(format!("/proc/{}/cmdline", id.pid)).is_ok_and(|line| line.ends_with(&arguments))
    };
    let living = all().into_iter().filter(|stat| !stat.is_zombie);
    living.map(|stat| stat.id).find(is_it)
}

/// The living processes of a run, as its supervisor finds them: its own descendants, and what an earlier
/// supervisor left, which is in the cgroup of the service and may have dropped its mark. The oldest first, so
/// that a parent gets a signal before it can see the death of its child.
pub fn of_supervisor(rundir: &Path, child: Option<ProcessId>) -> Vec<ProcessId> {
    let mut found = descendants();
    found.extend(of_run(rundir, child));
    found.extend(of_cgroup());
    found.retain(|id| id.pid != Pid::this().as_raw());
    found.sort_by_key(|id| (id.started, id.pid));
    found.dedup();
    found
}

/// The living processes of the units in which nixos-rebuild activates, which are nobody's descendants. There is
/// one activation at a time.
pub fn of_activation() -> Vec<ProcessId> {
    let Ok(units) = fs::read_dir(cgroups().join("system.slice")) else {
        return Vec::new();
    };
    let is_of_activation = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.as_bytes().starts_with(ACTIVATION_UNIT.as_bytes())
    };
    let units = units.flatten().filter(is_of_activation);
    units.flat_map(|unit| in_cgroup(&unit.path())).collect()
}

/// What is in the cgroup of this process, if that is one of a run's own.
fn of_cgroup() -> Vec<ProcessId> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let cgroup = text.lines().find_map(|line| line.strip_prefix("0::"));
    let of_run = |path: &&str| {
        let unit = path.rsplit('/').next().unwrap_or_default();
        unit.starts_with("switchyard-run-")
    };
    match cgroup.filter(of_run) {
        Some(cgroup) => in_cgroup(&cgroups().join(cgroup.trim_start_matches('/'))),
        None => Vec::new(),
    }
}

/// Where the unified hierarchy is: all there is, or beside the others in systemd's hybrid layout.
fn cgroups() -> &'static Path {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    if hybrid.is_dir() {
        hybrid
    } else {
        Path::new("/sys/fs/cgroup")
    }
}

/// The living processes of a cgroup.
fn in_cgroup(cgroup: &Path) -> Vec<ProcessId> {
    let processes = fs::read_to_string(cgroup.join("cgroup.procs"));
    let processes = processes.unwrap_or_default();
    let pids = processes.lines().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Stat::read)
        .filter(|stat| !stat.is_zombie)
        .map(|stat| stat.id)
        .collect()
}

/// What lives of a run's child: `child`, the processes that carry the run's mark, and their descendants,
/// but never this process. The supervisor itself does not carry the mark.
pub fn of_run(rundir: &Path, child: Option<ProcessId>) -> Vec<ProcessId> {
    let mark = mark(rundir);
    let mark = [RUN_VARIABLE.as_bytes(), b"=", mark.as_os_str().as_bytes()].concat();
    let all = all();
    let own = Pid::this().as_raw();
    let roots = all
        .iter()
        .map(|stat| stat.id)
        .filter(|id| Some(*id) == child || is_marked(id.pid, &mark))
        .map(|id| id.pid)
        .filter(|pid| *pid != own)
        .collect();
    let mut found = tree(&all, &roots, true);
    found.retain(|id| id.pid != own);
    found
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark))
}

/// Ends what lives of a run's child: SIGTERM, after [`GRACE`] SIGKILL. Blocks until it is gone, at most
/// twice [`GRACE`]; false when something is left even then. Only for a run whose supervisor is dead.
pub fn end_run(rundir: &Path, child: Option<ProcessId>) -> bool {
    let begin = Instant::now();
    let mut warned = HashSet::new();
    loop {
        let left = of_run(rundir, child);
        if left.is_empty() {
            return true;
        }
        let waited = begin.elapsed();
        if waited > 2 * GRACE {
            return false;
        }
        for id in left {
            if waited > GRACE {
                id.signal(Signal::SIGKILL);
            } else if warned.insert(id) {
                id.signal(Signal::SIGTERM);
            }
        }
        sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    /// Of this process alone, because others may run these tests at the same time.
    fn unique(name: &str) -> PathBuf {
        format!("{name}-{}", Pid::this()).into()
    }

    fn shell(script: &str, rundir: &Path) -> Child {
        Command::new("/bin/sh")
            .args(["-c", script])
            .env(RUN_VARIABLE, rundir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn eventually(mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_recycled_pid_is_another_process() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        let before = ProcessId {
            started: own.started - 1,
            ..own
        };
        assert!(!before.is_alive());
        before.signal(Signal::SIGKILL);
    }

    #[test]
    fn a_supervisor_is_known_by_its_arguments() {
        let rundir = unique("/unit-test-supervising");
        let rundir = rundir.as_path();
        assert_eq!(supervising(rundir), None);
        let mut child = Command::new("/bin/sh")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .args("-c|sleep 60; true|supervise".split('|'))
            .arg(rundir)
            .spawn()
            .unwrap();
        let process = ProcessId::of(child.id().cast_signed()).unwrap();
        // The kernel lets `spawn` go on before the new program's arguments can be read.
        eventually(|| supervising(rundir) == Some(process));
        assert_eq!(supervising(Path::new("/run")), None);
        child.kill().unwrap();
        eventually(|| supervising(rundir).is_none());
        child.wait().unwrap();
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let text = b"7 (a) b) Z 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = Stat::parse(7, text).unwrap();
        assert_eq!((stat.id.started, stat.parent), (12345, 3));
        assert!(stat.is_zombie);
    }

    #[test]
    fn a_grandchild_is_a_descendant_and_a_zombie_is_not() {
        let mut child = shell("sleep 60 & echo $!; wait", &unique("unit-test-tree"));
        let mut line = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(child.stdout.take().unwrap()),
            &mut line,
        )
        .unwrap();
        let grandchild = ProcessId::of(line.trim().parse().unwrap()).unwrap();
        assert!(descendants().contains(&grandchild));
        grandchild.signal(Signal::SIGKILL);
        let pid = child.id() as i32;
        let begin = Instant::now();
        while descendants().iter().any(|id| id.pid == pid) {
            assert!(begin.elapsed() < Duration::from_secs(10), "still alive");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn what_a_run_left_behind_is_found_by_its_mark_and_ended() {
        let rundir = unique("unit-test-left-behind");
        let rundir = rundir.as_path();
        let mut child = shell("sleep 60", rundir);
        let mut other = shell("exec sleep 60", &unique("unit-test-left-behind-not"));
        let reaper = std::thread::spawn(move || child.wait().unwrap());
        let begin = Instant::now();
        while of_run(rundir, None).is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(10), "never found");
            std::thread::yield_now();
        }
        assert!(end_run(rundir, None));
        assert!(!reaper.join().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "not of that run");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
