//! systemd's file descriptor store: the pipes of the running program outlive this process there.
//!
//! See `FDSTORE=1`, `FDPOLL=0` and `BARRIER=1` in sd_notify(3).

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sd_notify::NotifyState;
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// How long systemd may take to put something into its store.
const BARRIER: Duration = Duration::from_secs(5);

/// Whether this process is a service that has a store.
pub(super) fn is_there() -> bool {
    std::env::var_os("FDSTORE").is_some() && std::env::var_os("NOTIFY_SOCKET").is_some()
}

fn names(launch: u32) -> [String; 2] {
    ["stdout", "stderr"].map(|stream| format!("{stream}-{launch}"))
}

/// Stores the pipes of a launch. When this returns systemd has them.
pub(super) fn keep(launch: u32, pipes: [&PipeReader; 2]) -> io::Result<()> {
    for (name, pipe) in names(launch).iter().zip(pipes) {
        // systemd would drop a pipe that nobody writes to any more, with what is still in it.
        let state = [
            NotifyState::FdStore,
            NotifyState::FdName(name),
            NotifyState::Custom("FDPOLL=0"),
        ];
        sd_notify::notify_with_fds(&state, &[pipe.as_fd()])?;
    }
    barrier()
}

/// Waits until systemd has taken what it was sent: it cannot tell whose a message was once its sender is dead.
fn barrier() -> io::Result<()> {
    let (seen, held) = io::pipe()?;
    sd_notify::notify_with_fds(&[NotifyState::Custom("BARRIER=1")], &[held.as_fd()])?;
    drop(held);
    let mut end = [PollFd::new(seen.as_fd(), PollFlags::POLLIN)];
    let given_up = Instant::now() + BARRIER;
    loop {
        let left = given_up.saturating_duration_since(Instant::now());
        match poll(
            &mut end,
            PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO),
        ) {
            Ok(0) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the pipes of a launch out of the store.
pub(super) fn forget(launch: u32) {
    for name in &names(launch) {
        let state = [NotifyState::FdStoreRemove, NotifyState::FdName(name)];
        if let Err(error) = sd_notify::notify(&state) {
            tracing::warn!(%error, "cannot remove a pipe from systemd's file descriptor store");
        }
    }
}

/// The pipes of a launch that an earlier process of this service stored.
pub(super) fn pipes(launch: u32) -> io::Result<Option<[PipeReader; 2]>> {
    let stored: Vec<(i32, String)> = sd_notify::listen_fds_with_names()?.collect();
    let find = |name: &String| {
        let (fd, _) = stored.iter().find(|(_, stored)| stored == name)?;
        Some(reopen(*fd))
    };
    let [stdout, stderr] = names(launch);
    match (find(&stdout), find(&stderr)) {
        (Some(stdout), Some(stderr)) => Ok(Some([stdout?, stderr?])),
        _ => Ok(None),
    }
}

/// Another reading end of the same pipe.
fn reopen(fd: i32) -> io::Result<PipeReader> {
    let mut options = File::options();
    options
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    let file = options.open(format!("/proc/self/fd/{fd}"))?;
    Ok(PipeReader::from(OwnedFd::from(file)))
}
