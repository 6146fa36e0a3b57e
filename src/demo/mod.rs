//! A whole fleet on this machine, without any set-up: the dashboard and the agents of production, on loopback,
//! in a folder that is gone when it ends. Only `nixos-rebuild` is a stand-in.

mod fleet;
mod folder;
mod opening;
mod repository;
pub mod stand_in;

use crate::lifecycle::Shutdown;
use crate::{agent, config_file::ConfigError, dashboard, proctree};
use folder::Folder;
use nix::sys::signal::Signal;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};

/// How long dashboard and agents have to end in order.
const GRACE: Duration = Duration::from_secs(10);

/// The variable by which systemd marks what it started. Agents refuse to run their supervisors as plain
/// processes where it is set, since those would die with the agent's unit; a demo's may.
const SYSTEMD_MARK: &str = "INVOCATION_ID";

/// How large it is and where it listens.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many agents.
    pub hosts: usize,
    /// Of the page; a loopback address.
    pub listen: SocketAddr,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken.
    #[error("cannot listen on {address}: {source}; choose another with --listen ADDR:PORT")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file or folder of the demo's own cannot be made.
    #[error(
        "cannot use {}: {source}; the demo needs free space in a folder that it can write to: set TMPDIR to another one",
        path.display()
    )]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program cannot be started again without the mark of systemd.
    #[error("cannot start {} again: {source}; unset INVOCATION_ID and try again", program.display())]
    Restart {
        /// Its path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no git.
    #[error("git cannot be started: {0}; install git, the hosts of the demo need it to pull")]
    GitMissing(#[source] io::Error),
    /// git failed.
    #[error("git {command} failed: {said}")]
    Git {
        /// What it was to do.
        command: String,
        /// What it said.
        said: String,
    },
    /// The system gives no random numbers.
    #[error("the system gave no random bytes: {0}")]
    Random(#[source] getrandom::Error),
    /// The orphans of the runs cannot be watched.
    #[error("cannot watch the processes that runs leave behind (PR_SET_CHILD_SUBREAPER): {0}")]
    Subreaper(#[source] nix::Error),
    /// A configuration that the demo wrote is not taken.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The dashboard failed.
    #[error("dashboard: {0}")]
    Dashboard(#[from] dashboard::Error),
    /// An agent failed.
    #[error("agent: {0}")]
    Agent(#[from] agent::Error),
    /// A part of it died.
    #[error("a part of the demo crashed: {0}")]
    Died(#[from] JoinError),
}

impl Error {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

/// Runs until `shutdown`, then ends every run and removes every file.
pub async fn run(options: Options, shutdown: Shutdown) -> Result<(), Error> {
    leave_systemd()?;
    // What the runs leave behind becomes a child of this process, which can find it and end it.
    nix::sys::prctl::set_child_subreaper(true).map_err(Error::Subreaper)?;
    let folder = Folder::create().map_err(Error::file(&std::env::temp_dir()))?;
    let ended = serve(&options, folder.path(), &shutdown).await;
    shutdown.trigger();
    tokio::task::spawn_blocking(move || {
        end_descendants();
        drop(folder);
    })
    .await?;
    ended
}

/// Runs dashboard and agents until `shutdown` or until one of them fails.
async fn serve(options: &Options, folder: &Path, shutdown: &Shutdown) -> Result<(), Error> {
    let listen = |source| Error::Listen {
        address: options.listen,
        source,
    };
    let listener = TcpListener::bind(options.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let names = fleet::names(options.hosts, fleet::nix_is_there());
    let opening = opening::play(address, names.clone(), shutdown.clone());
    let fleet = {
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || {
            fleet::set_up(&folder, &names, &format!("ws://{address}"))
        })
        .await??
    };
    let lasting = shutdown.clone();
    let mut parts: JoinSet<Result<(), Error>> = JoinSet::new();
    let config = dashboard::config::Config {
        listen: address,
        data_dir: fleet.data_dir,
        agents_file: Some(fleet.agents_file),
        users_file: None,
        public_url: None,
        retention: dashboard::config::Retention::default(),
        sessions: dashboard::config::SessionLimits::default(),
        proxy: dashboard::config::ProxyConfig::default(),
        limits: dashboard::config::Limits::default(),
        audit: dashboard::config::AuditLimits::default(),
    };
    let ending = shutdown.clone();
    parts.spawn(async move { Ok(dashboard::run(listener, config, ending).await?) });
    for path in &fleet.agents {
        let config = agent::config::Config::load(path)?;
        let ending = shutdown.clone();
        parts.spawn(async move { Ok(agent::run(config, ending).await?) });
    }
    parts.spawn(async move {
        opening.await;
        // The others go on, and the demo with them.
        lasting.wait().await;
        Ok(())
    });
    let mut ended = Ok(());
    tokio::select! {
        () = shutdown.wait() => {}
        Some(part) = parts.join_next() => ended = part?,
    }
    shutdown.trigger();
    let all = async {
        while let Some(part) = parts.join_next().await {
            if let (Ok(Err(error)), Ok(())) = (part, &ended) {
                ended = Err(error);
            }
        }
    };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("a part of the demo did not end in {} s", GRACE.as_secs());
    }
    ended
}

/// Starts this program anew without systemd's mark, if there is one.
fn leave_systemd() -> Result<(), Error> {
    if std::env::var_os(SYSTEMD_MARK).is_none() {
        return Ok(());
    }
    let program = Path::new("/proc/self/exe");
    let source = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env_remove(SYSTEMD_MARK)
        .exec();
    Err(Error::Restart {
        program: program.to_owned(),
        source,
    })
}

/// Ends the runs that still go on; their files go, too, so nothing needs to be written down.
fn end_descendants() {
    let begin = Instant::now();
    loop {
        let left = proctree::descendants();
        if left.is_empty() {
            return;
        }
        if begin.elapsed() > GRACE {
            tracing::warn!(
                processes = left.len(),
                "processes of the demo could not be ended; end them yourself if they still run"
            );
            return;
        }
        for process in left {
            process.signal(Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
