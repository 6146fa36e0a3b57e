//! Mount points, at the place of the clone and below it: they cannot be renamed, and what is below them belongs to
//! whoever mounted it there.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The mount points that this process sees.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// Asks the kernel; none where it does not tell.
    pub(super) fn read() -> Self {
        let text = fs::read("/proc/self/mountinfo");
        text.map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    /// The mount point is the fifth word of each line: proc_pid_mountinfo(5).
    fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
        Self(points.map(unescaped).collect())
    }

    /// Whether something is mounted at `dir`, which holds no link: a file system, or a folder of one (a bind mount).
    pub(super) fn is_at(&self, dir: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        let parent = dir.parent().and_then(device);
        // A subvolume of btrfs that is not mounted has a device of its own, too, and is to stay in its place.
        self.0.iter().any(|point| point == dir)
            || device(dir).is_some_and(|own| parent != Some(own))
    }

    /// What is mounted below `dir`, which holds no link.
    pub(super) fn below<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = &'a Path> {
        let points = self.0.iter().map(PathBuf::as_path);
        points.filter(move |point| *point != dir && point.starts_with(dir))
    }
}

/// Resolves `\040` and the like.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(word.len());
    let mut at = 0;
    while let Some(&byte) = word.get(at) {
        let digits = word.get(at + 1..at + 4).filter(|_| byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.push(code.unwrap_or(byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let text = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
            40 22 0:30 /nixos /etc/nixos rw - btrfs /dev/sdb rw\n\
            41 40 0:31 / /etc/nixos/a\\040b\\134c rw - tmpfs tmpfs rw\n\
            42 22 0:32 / /etc/nixos-old rw - tmpfs tmpfs rw\n";
        let mounts = Mounts::parse(text);
        let dir = Path::new("/etc/nixos");
        assert!(mounts.is_at(dir));
        let below: Vec<_> = mounts.below(dir).collect();
        assert_eq!(below, [Path::new("/etc/nixos/a b\\c")]);
        assert!(!mounts.is_at(Path::new("/nowhere/at/all")));
        assert!(Mounts::parse(b"").below(dir).next().is_none());
    }

    #[test]
    fn the_kernel_names_at_least_one_mount_point() {
        assert!(Mounts::read().0.contains(&PathBuf::from("/")));
    }
}
