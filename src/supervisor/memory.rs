//! What the kernel says of the memory of a run: its control group is its own where it is a unit.

use super::checkpoint::Clock;
use super::unit_end;
use crate::progress::{Killed, Memory};
use crate::spool::RunDir;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the units of activations are.
const ACTIVATION_SLICE: &str = "/sys/fs/cgroup/system.slice";

/// The control group of this process, below which everything of the run is, but for its activation.
pub(super) fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    group(&groups)
}

/// The folder of the group in the one hierarchy of cgroup v2.
fn group(groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new("/sys/fs/cgroup").join(path))
}

/// How many processes of a group the kernel had killed, because memory ran out, at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kills {
    /// The group. systemd removes that of a run of which nothing is left, and makes another one for the supervisor
    /// that goes on with it, whose counters begin anew.
    group: u64,
    count: u64,
}

impl Kills {
    /// Those so far.
    pub(super) fn now(group: &Path) -> Option<Self> {
        let events = fs::read_to_string(group.join("memory.events")).ok()?;
        Some(Self {
            group: fs::metadata(group).ok()?.ino(),
            count: number_of(&events, "oom_kill ")?,
        })
    }
}

/// What became of the group since.
pub(super) fn since(group: &Path, before: Kills) -> Option<Memory> {
    let now = Kills::now(group)?;
    let is_same = now.group == before.group;
    let count_before = if is_same { before.count } else { 0 };
    Some(Memory {
        killed: (now.count > count_before).then_some(Killed::Process),
        peak_bytes: number_in(&group.join("memory.peak")).filter(|_| is_same),
        ..of_host(group)
    })
}

/// The same where all of the run was ended for that.
pub(super) fn of_ended(rundir: &RunDir, before: Option<Kills>, killed: Killed) -> Memory {
    let group = own_group();
    let counted = group.as_deref().zip(before);
    let counted = counted.and_then(|(group, before)| since(group, before));
    let memory = counted.unwrap_or_default();
    Memory {
        killed: Some(killed),
        peak_bytes: memory.peak_bytes.or_else(|| unit_end::peak_bytes(rundir)),
        ..memory
    }
}

/// What is known of the memory of an activation that ran out of it, of a run that began then.
pub(super) fn of_activation(began: Clock) -> Option<Memory> {
    let ended = unit_end::activation_out_of_memory(began)?;
    Some(Memory {
        killed: Some(Killed::Activation),
        peak_bytes: ended.peak_bytes,
        ..of_host(Path::new(ACTIVATION_SLICE))
    })
}

/// What the host has, and what the group may have of it.
fn of_host(group: &Path) -> Memory {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let host_bytes = number_of(&info, "MemTotal:").map(|kib| kib * 1024);
    let limit = limit(group);
    Memory {
        limit_bytes: limit.filter(|limit| host_bytes.is_none_or(|host| *limit < host)),
        host_bytes,
        ..Memory::default()
    }
}

/// The least limit of the group and those above it.
fn limit(group: &Path) -> Option<u64> {
    let files = group
        .ancestors()
        .flat_map(|group| ["memory.max", "memory.high"].map(|name| group.join(name)));
    // A group without a limit says `max`.
    files.filter_map(|file| number_in(&file)).min()
}

fn number_in(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind `name` at the beginning of a line.
fn number_of(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_that_of_the_one_hierarchy() {
        let groups = "1:name=systemd:/x\n0::/system.slice/switchyard-run-1.service\n";
        let path = "/sys/fs/cgroup/system.slice/switchyard-run-1.service";
        assert_eq!(group(groups).as_deref(), Some(Path::new(path)));
        assert_eq!(group("1:memory:/x\n"), None);
    }

    /// A group below a slice, and what its files say.
    fn write(slice: &Path, files: &[(&str, &str)]) -> PathBuf {
        let group = slice.join("a.service");
        fs::create_dir_all(&group).unwrap();
        for (name, text) in files {
            fs::write(group.join(name), text).unwrap();
        }
        group
    }

    const EVENTS: &str = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n";

    #[test]
    fn kills_that_were_before_do_not_count() {
        let slice = tempfile::tempdir().unwrap();
        let group = write(slice.path(), &[]);
        assert_eq!(Kills::now(&group), None);
        write(
            slice.path(),
            &[("memory.events", EVENTS), ("memory.peak", "3328599654\n")],
        );
        let before = |count| Kills {
            count,
            ..Kills::now(&group).unwrap()
        };
        let memory = since(&group, before(1)).unwrap();
        assert_eq!(memory.killed, Some(Killed::Process));
        assert_eq!(memory.peak_bytes, Some(3_328_599_654));
        assert!(memory.host_bytes > Some(1 << 20));
        assert_eq!(since(&group, before(2)).unwrap().killed, None);
    }

    #[test]
    fn a_group_that_was_made_anew_counts_from_the_beginning() {
        let slice = tempfile::tempdir().unwrap();
        let group = write(
            slice.path(),
            &[("memory.events", EVENTS), ("memory.peak", "4096\n")],
        );
        let other = Kills { group: 0, count: 7 };
        let memory = since(&group, other).unwrap();
        assert_eq!(memory.killed, Some(Killed::Process));
        assert_eq!(memory.peak_bytes, None, "it is not that of the run");
    }

    #[test]
    fn the_limit_is_the_least_of_those_that_are_set() {
        let slice = tempfile::tempdir().unwrap();
        let group = write(slice.path(), &[("memory.max", "max\n")]);
        assert_eq!(of_host(&group).limit_bytes, None);
        fs::write(slice.path().join("memory.high"), "2097152\n").unwrap();
        assert_eq!(of_host(&group).limit_bytes, Some(2 << 20));
        fs::write(slice.path().join("memory.max"), "1048576\n").unwrap();
        assert_eq!(of_host(&group).limit_bytes, Some(1 << 20));
        write(slice.path(), &[("memory.max", "9999999999999999\n")]);
        assert_eq!(of_host(&group).limit_bytes, Some(1 << 20));
        for name in ["memory.max", "memory.high"] {
            fs::remove_file(slice.path().join(name)).unwrap();
        }
        assert_eq!(of_host(&group).limit_bytes, None, "the host has less");
    }
}
