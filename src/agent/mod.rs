//! The agent of one host: it connects out, takes the names of commands, starts a supervisor for each run,
//! and sends every line of its spool.
//!
//! One task owns all of its state (`Agent`). `uplink` connects and reconnects, to what `tls` trusts;
//! `session` is one connection; `orders` decides on commands; `runs` owns the folders of the runs and `live`
//! watches the one that goes on; `follower` and `feed` read the spools; `facts` and `metrics` say how the
//! host is; `removal` notices that the agent is to leave it.

mod addresses;
mod backoff;
mod behind;
mod boot;
mod commands;
pub mod config;
mod connect;
mod damaged;
mod endpoint;
mod enrolment;
mod facts;
mod feed;
mod follower;
mod frames;
mod http_proxy;
mod installation;
mod late;
mod launcher;
mod live;
mod lock;
mod metrics;
mod orders;
mod outbound;
mod owner;
mod reach;
mod removal;
mod requests;
mod runs;
mod session;
mod system;
mod tls;
mod token;
mod uplink;
mod watch;

use crate::clone;
use crate::lifecycle::{self, Shutdown};
use crate::protocol::HostId;
use commands::Catalogue;
use config::Config;
use facts::FactsSource;
use launcher::Launcher;
use lock::StateLock;
use metrics::Sampler;
use removal::Removal;
use runs::Runs;
use std::io;
use std::path::{Path, PathBuf};
use tracing::Instrument;

/// Why an agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder cannot be used.
    #[error(
        "{}: {source}{}; the agent keeps its runs there: make it usable, or set state_dir to another folder",
        path.display(), owner::hint(path, source)
    )]
    State {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent has the state folder.
    #[error(
        "the state folder {} is in use by another agent, {}; stop that one, or give this one a state_dir of its own",
        state_dir.display(),
        pid.map_or_else(|| "whose process is unknown".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The folder.
        state_dir: PathBuf,
        /// The other one, where it has written that down.
        pid: Option<u32>,
    },
    /// The host name cannot be the host's id.
    #[error("the host name {0:?} is not a valid host id; set host_id in the agent's configuration")]
    HostName(String),
    /// Runs are to be services, and there is no systemd.
    #[error(
        "supervisor is \"systemd\", but systemd does not run here; use \"auto\" or \"process\""
    )]
    NoSystemd,
    /// Runs are to be processes of the agent's service, with which they would die.
    #[error(
        "supervisor is \"process\", but the agent is a service of systemd: each restart of it would end a running run; use \"auto\" or \"systemd\""
    )]
    ProcessInService,
}

impl Error {
    /// Whether the configuration is to be changed.
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, Self::NoSystemd | Self::ProcessInService)
    }
}

/// All that an agent is.
struct Agent {
    config: Config,
    host_id: HostId,
    catalogue: Catalogue,
    /// Tells this state folder from others.
    installation_id: Option<String>,
    facts: FactsSource,
    sampler: Sampler,
    runs: Runs,
    removal: Removal,
}

/// Runs an agent until `shutdown`, or until a switch has removed it from the host. Runs that go on at a shutdown
/// go on without it, and the next agent finds them.
///
/// # Errors
/// When the state folder cannot be used, or there is no id for the host. Whatever happens to the connection
/// is no error: it is tried for ever.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    let host_id = match &config.host_id {
        Some(host_id) => host_id.clone(),
        None => host_name()?,
    };
    // Whatever the agent says is said of its host.
    let span = tracing::info_span!("agent", host = %host_id);
    let launcher = Launcher::new(config.supervisor)?;
    let _lock = span.in_scope(|| StateLock::take(&config.state_dir))?;
    if launcher == Launcher::Systemd {
        tokio::spawn(launcher::warn_of_strangers(config.state_dir.clone()));
    }
    let catalogue = Catalogue::new(&config, &host_id);
    warn_of_other_owner(catalogue.repo_dir());
    let runs = span.in_scope(|| Runs::open(&config.state_dir, &host_id, launcher))?;
    let mut agent = Agent {
        installation_id: span.in_scope(|| installation::id(&config.state_dir)),
        facts: FactsSource::new(&config.state_dir, catalogue.repo_dir()),
        sampler: Sampler::default(),
        removal: Removal::watch(launcher, runs.end()),
        runs,
        catalogue,
        host_id,
        config,
    };
    // A switch may remove the unit, and the agent has its run to finish.
    lifecycle::keep_being_heard();
    lifecycle::notify_ready("connecting");
    uplink::run(&mut agent, &shutdown).instrument(span).await;
    Ok(())
}

/// Says in the journal what git and nix would only say in the middle of a run.
fn warn_of_other_owner(dir: &Path) {
    if let Some(user) = clone::other_owner(dir) {
        tracing::warn!(
            "{} belongs to user {user}, and git and nix refuse the repository of another user; remove it, and the next \
             pull makes a new clone",
            dir.display()
        );
    }
}

fn host_name() -> Result<HostId, Error> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    HostId::new(&name).map_err(|_| Error::HostName(name.into_owned()))
}
