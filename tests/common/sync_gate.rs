//! A disk that takes its time: syncs are counted, slowed down, and held up while a gate is closed, as are writes to logs
//! and removals of files.

use super::{has, skip};
use std::fs;
use std::process::Command;

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
static int is_there(const char *dir, const char *name) {
  char file[4200];
  snprintf(file, sizeof file, "%s/%s", dir, name);
  return access(file, F_OK) == 0;
}
static int is_hung(const char *dir) { return is_there(dir, "hung"); }
/* Counts in the file `name`. */
static void tally(const char *dir, const char *name) {
  char file[4200];
  snprintf(file, sizeof file, "%s/%s", dir, name);
  int count = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ssize_t (*next)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  if (count >= 0) { next(count, ".", 1); close(count); }
}
/* The same, and returns once there is no file `hung`. */
static void hold(const char *dir, const char *name) {
  tally(dir, name);
  while (is_hung(dir)) usleep(2000);
}
static void wait_for_writes(int fd) {
  char link[64], path[4096] = "";
  const char *dir = getenv("SYNC_GATE");
  if (!dir || (!is_hung(dir) && !is_there(dir, "counting"))) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  readlink(link, path, sizeof path - 1);
  if (!strstr(path, "/logs/")) return;
  if (is_there(dir, "counting")) tally(dir, "writes");
  if (is_hung(dir)) hold(dir, "held-writes");
}
int unlink(const char *path) {
  int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
  const char *dir = getenv("SYNC_GATE");
  if (dir && strncmp(path, dir, strlen(dir)) != 0 && is_hung(dir)) hold(dir, "held-removals");
  return next(path);
}
ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t (*next)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  wait_for_writes(fd);
  return next(fd, bytes, length);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  ssize_t (*next)(int, const void *, size_t, off64_t) = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  wait_for_writes(fd);
  return next(fd, bytes, length, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  ssize_t (*next)(int, const struct iovec *, int) = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
  wait_for_writes(fd);
  return next(fd, parts, count);
}
static void wait_for_disk(int fd) {
  char link[64], file[4200], path[4096] = "";
  const char *dir = getenv("SYNC_GATE"), *delay = getenv("SYNC_DELAY_US");
  if (!dir) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  readlink(link, path, sizeof path - 1);
  snprintf(file, sizeof file, "%s/%s", dir, strstr(path, ".sqlite") ? "database" : "logs");
  int count = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (count >= 0) { write(count, ".", 1); close(count); }
  snprintf(file, sizeof file, "%s/closed", dir);
  while (access(file, F_OK) == 0) usleep(2000);
  if (delay) usleep(atoi(delay));
}
#define SLOW(name) int name(int fd) { \
  wait_for_disk(fd); \
  return 0; }
SLOW(fsync)
SLOW(fdatasync)
SLOW(syncfs)
"#;

/// Stands between a dashboard and its disk.
pub(crate) struct SyncGate(tempfile::TempDir);

impl SyncGate {
    /// An open gate; `None` where there is no C compiler, which was said.
    pub(crate) fn new() -> Option<Self> {
        if !has("cc") {
            skip("there is no C compiler");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("gate.c"), dir.path().join("gate.so"));
        fs::write(&source, LIBRARY).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-w", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(built.unwrap().success());
        Some(Self(dir))
    }

    /// What a dashboard needs in its environment to stand behind it; each sync takes so long.
    pub(crate) fn environment(&self, delay_us: u32) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        vec![
            ("LD_PRELOAD", path("gate.so")),
            ("SYNC_GATE", self.0.path().display().to_string()),
            ("SYNC_DELAY_US", delay_us.to_string()),
        ]
    }

    /// From now on no sync returns.
    pub(crate) fn close(&self) {
        fs::write(self.0.path().join("closed"), "").unwrap();
    }

    /// From now on they return again.
    pub(crate) fn open(&self) {
        fs::remove_file(self.0.path().join("closed")).unwrap();
    }

    /// From now on no write to a log returns, and no removal of a file.
    pub(crate) fn hang(&self) {
        fs::write(self.0.path().join("hung"), "").unwrap();
    }

    /// From now on they return again.
    pub(crate) fn go_on(&self) {
        fs::remove_file(self.0.path().join("hung")).unwrap();
    }

    /// From now on writes to logs are counted.
    pub(crate) fn count_writes(&self) {
        fs::write(self.0.path().join("counting"), "").unwrap();
    }

    /// How many writes to logs were counted.
    pub(crate) fn log_writes(&self) -> u64 {
        self.syncs("writes")
    }

    /// How many writes to logs were held up.
    pub(crate) fn held_writes(&self) -> u64 {
        self.syncs("held-writes")
    }

    /// How many removals of files were held up.
    pub(crate) fn held_removals(&self) -> u64 {
        self.syncs("held-removals")
    }

    /// How many syncs of the database were begun.
    pub(crate) fn database_syncs(&self) -> u64 {
        self.syncs("database")
    }

    /// How many syncs of logs, their folders and their file system were begun.
    pub(crate) fn log_syncs(&self) -> u64 {
        self.syncs("logs")
    }

    fn syncs(&self, of: &str) -> u64 {
        fs::metadata(self.0.path().join(of)).map_or(0, |file| file.len())
    }
}
