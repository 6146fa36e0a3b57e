//! A disk that can be full.

use super::skip::skip;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own over a folder, until it is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of so many KiB; `None` where none can be mounted, which was said.
    pub(crate) fn over(folder: &Path, kib: u32) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(folder)
            .status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        if !is_mounted {
            skip("mounting a file system needs root");
            return None;
        }
        Some(Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut options = File::options();
        let ballast = options
            .create(true)
            .append(true)
            .open(self.ballast())
            .unwrap();
        for size in [1 << 16, 4096] {
            while (&ballast).write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
