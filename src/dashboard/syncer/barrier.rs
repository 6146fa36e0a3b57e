//! One sync for many logs: that of their whole file system.
//!
//! A sync of one file makes the disk flush its cache, and so does one of the whole file system. Where hundreds of logs
//! grow at a time the second is by far the cheaper one, unless others write much to the same file system: so it is
//! measured which is.
//!
//! `syncfs` is asked only where its answer means that everything is on disk. Before Linux 5.8 it did not tell of failed
//! writes of files, before 5.17 not of those of the file system's own data (kernel commit 2719c7160dcf); on network,
//! stacked and FUSE file systems it may know of neither. And on a file system that went read-only after an error it
//! does nothing and says that all is well, while `fdatasync` fails: so a sync of a file that was just written proves
//! that the file system still takes writes, and did so before.

use nix::fcntl::OFlag;
use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, TMPFS_MAGIC, XFS_SUPER_MAGIC, fstatfs,
};
use nix::unistd::syncfs;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Fewer logs are synced one by one.
const MIN_LOGS: u32 = 8;
/// First version of Linux whose `syncfs` tells of every write that failed.
const MIN_KERNEL: (u32, u32) = (5, 17);
/// File systems that note failed writes where `syncfs` finds them.
const FILE_SYSTEMS: [FsType; 4] = [
    EXT4_SUPER_MAGIC,
    XFS_SUPER_MAGIC,
    BTRFS_SUPER_MAGIC,
    TMPFS_MAGIC,
];

/// The file system of the logs.
#[derive(Debug)]
pub(super) struct Barrier {
    /// Open from the beginning: it tells of every write that failed since.
    folder: File,
    /// A file without a name on the same file system, written and synced after each sync of everything.
    witness: File,
    device: u64,
    /// What the last sync of everything took, at most twice the one before; a little less after each time that it was
    /// not used, so that it is tried again.
    whole: Option<Duration>,
    /// What the last sync of a single log took.
    single: Duration,
    /// A sync of everything failed. The kernel tells of a failed write once: the next one would say that all is well,
    /// also to a log that had no part in this one. From now on each log is asked by itself, which has its own word.
    has_failed: bool,
}

impl Barrier {
    /// That of this folder; none where its syncs do not tell of failed writes.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        // Not from /proc, of which the service sees processes alone.
        let kernel = nix::sys::utsname::uname().ok()?;
        if !tells_of_failed_writes(kernel.release().to_str()?) {
            return None;
        }
        let mut options = File::options();
        options.write(true).mode(0o600);
        let witness = options.custom_flags(OFlag::O_TMPFILE.bits()).open(folder);
        let (folder, witness) = (File::open(folder).ok()?, witness.ok()?);
        if !FILE_SYSTEMS.contains(&fstatfs(&folder).ok()?.filesystem_type()) {
            return None;
        }
        let device = folder.metadata().ok()?.dev();
        Some(Self {
            folder,
            witness,
            device,
            whole: None,
            single: Duration::MAX,
            has_failed: false,
        })
    }

    /// Whether one sync of everything is cheaper than one of each of so many logs.
    pub(super) fn is_worth_it(&self, logs: usize) -> bool {
        let logs = u32::try_from(logs).unwrap_or(u32::MAX);
        let singly = self.single.saturating_mul(logs);
        !self.has_failed && logs >= MIN_LOGS && self.whole.is_none_or(|whole| whole <= singly)
    }

    /// Whether what is on this device is made durable by [`sync`](Self::sync).
    pub(super) fn covers(&self, device: u64) -> bool {
        self.device == device
    }

    /// Makes everything durable that was written to the file system so far.
    ///
    /// # Errors
    /// When some write failed, of whichever file, or the file system takes none any more.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let synced = self.sync_and_prove();
        self.has_failed |= synced.is_err();
        synced?;
        // One that had to wait for something else, once, does not decide for long.
        let took = began.elapsed();
        let most = self
            .whole
            .map_or(Duration::MAX, |whole| whole.saturating_mul(2));
        self.whole = Some(took.min(most));
        Ok(())
    }

    fn sync_and_prove(&self) -> io::Result<()> {
        syncfs(&self.folder)?;
        self.witness.write_all_at(b"synced", 0)?;
        self.witness.sync_data()
    }

    /// So many logs were synced one by one.
    pub(super) fn synced_singly(&mut self, logs: usize, took: Duration) {
        let logs = u32::try_from(logs).unwrap_or(u32::MAX).max(1);
        self.single = took / logs;
        self.whole = self.whole.map(|whole| whole - whole / 16);
    }
}

fn tells_of_failed_writes(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    let version: Option<(u32, u32)> = (|| Some((next()?, next()?)))();
    version.is_some_and(|version| version >= MIN_KERNEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_synced_as_a_whole_where_that_tells_of_failed_writes() {
        for (release, tells) in [
            ("5.8.0", false),
            ("5.16.20", false),
            ("5.17.0", true),
            ("6.1.0-30-amd64", true),
            ("6.18.1\n", true),
            ("4.19", false),
            ("?", false),
        ] {
            assert_eq!(tells_of_failed_writes(release), tells, "{release}");
        }
    }

    #[test]
    fn a_file_system_that_takes_no_writes_is_not_held_for_synced() {
        let dir = tempfile::tempdir().unwrap();
        let mut barrier = Barrier::of(dir.path()).unwrap();
        assert!(barrier.sync().is_ok());
        let written = dir.path().join("read-only");
        std::fs::write(&written, "").unwrap();
        let witness = std::mem::replace(&mut barrier.witness, File::open(written).unwrap());
        assert!(barrier.is_worth_it(1_000));
        assert!(barrier.sync().is_err());
        // What failed is told once: the next sync of everything says nothing of it, and is not asked.
        barrier.witness = witness;
        assert!(barrier.sync().is_ok());
        assert!(!barrier.is_worth_it(1_000));
    }

    #[test]
    fn only_file_systems_that_keep_count_of_failed_writes_are_synced_as_a_whole() {
        assert!(Barrier::of(Path::new("/proc")).is_none());
    }

    #[test]
    fn many_logs_are_synced_at_once_unless_that_takes_longer_than_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut barrier = Barrier::of(dir.path()).unwrap();
        assert!(!barrier.is_worth_it(7) && barrier.is_worth_it(8));
        let ms = Duration::from_millis;
        barrier.synced_singly(4, ms(20));
        barrier.whole = Some(ms(60));
        assert!(!barrier.is_worth_it(10) && barrier.is_worth_it(12));
        for _ in 0..20 {
            barrier.synced_singly(10, ms(50));
        }
        assert!(barrier.is_worth_it(10), "it is tried again");
    }
}
