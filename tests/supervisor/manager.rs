//! What systemd does for the supervisor of a run: a file descriptor store, and another start after its death.

use command_fds::{CommandFdExt, FdMapping};
use sendfd::RecvWithFd;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::TestRun;

type Store = Arc<Mutex<Vec<(String, OwnedFd)>>>;

/// How often somebody said to be ready.
type Ready = Arc<AtomicUsize>;

/// The service manager of one run.
pub(crate) struct Manager {
    socket: PathBuf,
    store: Store,
    ready: Ready,
}

impl Manager {
    /// Listens in the folder of the test.
    pub(crate) fn new(run: &TestRun) -> Self {
        let socket = run.path("notify");
        let listener = UnixDatagram::bind(&socket).unwrap();
        let store = Store::default();
        let ready = Ready::default();
        let of_thread = (Arc::clone(&store), Arc::clone(&ready));
        std::thread::spawn(move || listen(&listener, &of_thread.0, &of_thread.1));
        Self {
            socket,
            store,
            ready,
        }
    }

    /// Starts the supervisor with what is in the store.
    pub(crate) fn start(&self, run: &TestRun) -> Child {
        run.prepare();
        self.start_again(run)
    }

    /// The same where the run's folder is ready.
    pub(crate) fn start_again(&self, run: &TestRun) -> Child {
        let store = self.store.lock().unwrap();
        let names: Vec<&str> = store.iter().map(|(name, _)| name.as_str()).collect();
        let mappings = store.iter().zip(3..).map(|((_, fd), child_fd)| FdMapping {
            parent_fd: fd.try_clone().unwrap(),
            child_fd,
        });
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_switchyard"))
            .arg("supervise")
            .arg(run.rundir.path())
            .env("NOTIFY_SOCKET", &self.socket)
            .env("FDSTORE", "8")
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .fd_mappings(mappings.collect())
            .unwrap();
        command.spawn().unwrap()
    }

    /// How often a supervisor said to be ready. systemd starts one again that ends without.
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// The names of what is in the store.
    pub(crate) fn stored(&self) -> Vec<String> {
        let store = self.store.lock().unwrap();
        store.iter().map(|(name, _)| name.clone()).collect()
    }
}

fn listen(socket: &UnixDatagram, store: &Store, ready: &Ready) {
    let (mut bytes, mut fds) = ([0; 4096], [0; 8]);
    while let Ok((length, count)) = socket.recv_with_fd(&mut bytes, &mut fds) {
        let message = std::str::from_utf8(&bytes[..length]).unwrap();
        let has = |what: &str| message.lines().any(|line| line == what);
        if has("READY=1") {
            ready.fetch_add(1, Ordering::Relaxed);
        }
        let name = message
            .lines()
            .find_map(|line| line.strip_prefix("FDNAME="));
        let mut store = store.lock().unwrap();
        for fd in &fds[..count] {
            if has("FDSTORE=1") {
                assert!(has("FDPOLL=0"), "{message}");
                store.push((name.unwrap().to_owned(), own(*fd)));
            }
            nix::unistd::close(*fd).unwrap();
        }
        if has("FDSTOREREMOVE=1") {
            store.retain(|(stored, _)| Some(stored.as_str()) != name);
        }
    }
}

/// Another descriptor of the same pipe.
fn own(fd: RawFd) -> OwnedFd {
    let mut options = File::options();
    options
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    options.open(format!("/proc/self/fd/{fd}")).unwrap().into()
}
