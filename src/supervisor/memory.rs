//! What the kernel says of the memory of a run: its control group is its own where it is a unit.

use crate::progress::Memory;
use std::fs;
use std::path::{Path, PathBuf};

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

/// How many processes of the group the kernel killed because memory ran out, so far.
pub(super) fn kills(group: &Path) -> Option<u64> {
    let events = fs::read_to_string(group.join("memory.events")).ok()?;
    number_of(&events, "oom_kill ")
}

/// What became of the group since it had had so many kills.
pub(super) fn since(group: &Path, kills_before: u64) -> Option<Memory> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let peak = fs::read_to_string(group.join("memory.peak")).unwrap_or_default();
    Some(Memory {
        killed: kills(group)? > kills_before,
        peak_bytes: peak.trim().parse().ok(),
        host_bytes: number_of(&info, "MemTotal:").map(|kib| kib * 1024),
    })
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

    #[test]
    fn kills_that_were_before_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(since(folder.path(), 0), None);
        let events = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n";
        fs::write(folder.path().join("memory.events"), events).unwrap();
        fs::write(folder.path().join("memory.peak"), "3328599654\n").unwrap();
        let memory = since(folder.path(), 1).unwrap();
        assert!(memory.killed);
        assert_eq!(memory.peak_bytes, Some(3_328_599_654));
        assert!(memory.host_bytes > Some(1 << 20));
        assert!(!since(folder.path(), 2).unwrap().killed);
    }
}
