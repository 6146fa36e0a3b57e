//! The dashboard: takes what the agents send, stores it, and shows it to browsers.

mod allowance;
mod answer;
mod api;
mod app;
mod assets;
mod audit;
pub mod auth;
mod chores;
mod clock;
mod code_clock;
mod completion;
pub mod config;
mod core;
mod cpu_permits;
mod disk_work;
mod extract;
mod fleet;
#[cfg(test)]
mod fuzz_tests;
mod health;
mod import;
mod intake;
mod live;
mod log_access;
mod many;
mod mend;
mod problem;
mod rates;
mod receive_error;
mod retention;
mod router;
pub mod routes;
mod search;
pub mod serve;
mod set_aside;
mod shared_threads;
mod starting;
mod startup;
mod state;
mod syncer;
#[cfg(test)]
mod testing;
mod visits;
mod websocket;

pub use audit::{Verified, VerifyError, verify as verify_audit_log};
pub use state::StateError;

use crate::config_file::ConfigError;
use crate::lifecycle::{self, Shutdown};
use crate::logging;
use crate::protocol::Timestamp;
use app::App;
use audit::Audit;
use auth::Auth;
use clock::ClockCheck;
use config::Config;
use core::Core;
use health::{Health, Part};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serve::Entrance;
use starting::Starting;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use syncer::Syncer;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};
use tokio::time::timeout;

/// Name of the database in the data folder.
const DATABASE: &str = "switchyard.sqlite";
/// How often it is stored who was here last when.
const STORE_SESSIONS_EVERY: Duration = Duration::from_secs(600);

const MOST_FILES: u64 = 65_536;

/// How long the end may take for requests that go on, then for connections to hear of it, and then for logs to
/// become durable.
const END_WITHIN: Duration = Duration::from_millis(1_500);
/// How long requests that change something may take beyond that; systemd waits for 10 seconds in all.
const DEEDS_WITHIN: Duration = Duration::from_secs(4);

/// Why the dashboard ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Agents or users file cannot be used.
    #[error("the agents file or the users file cannot be used")]
    Credentials(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error("cannot use the data folder {}: {source}; it must be a folder that this user can write to", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another dashboard has it.
    #[error("the data folder {} is in use by another dashboard", .0.display())]
    InUse(PathBuf),
    /// The database cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The socket does not serve.
    #[error("cannot serve: {0}")]
    Serve(#[from] io::Error),
}

/// Serves on `listener` until `shutdown`.
///
/// # Errors
/// When files, database or socket cannot be used.
pub async fn run(
    listener: std::net::TcpListener,
    config: Config,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let mut auth = Auth::load(&config)?;
    auth.warn_without_sign_in();
    raise_file_limit();
    let _lock = prepare(&config.data_dir)?;
    auth.load_devices(&config.data_dir)
        .map_err(|source| Error::DataDir {
            path: config.data_dir.clone(),
            source,
        })?;
    // From here on a reload waits until there is something to reload.
    let hangups = signal(SignalKind::hangup())?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    let local = serve::bind_local(&config.data_dir);
    let starting = Arc::new(Starting::default());
    let first = starting::router(Arc::clone(&starting), auth.is_behind_tls());
    let entrance = Entrance::new(first);
    let serving = serve::serve(listener, local, &config, entrance.clone(), shutdown.clone());
    let mut serving = std::pin::pin!(serving);
    let end = async || {
        shutdown.wait().await;
        tokio::time::sleep(END_WITHIN).await;
    };
    let started = tokio::select! {
        started = start(auth, &config, &starting, &shutdown) => started.map(Some),
        served = &mut serving => served.map(|()| None).map_err(Error::from),
        () = end() => Ok(None),
    };
    let Ok(Some((app, clock))) = started else {
        serve::clean_up(&config.data_dir);
        return started.map(drop);
    };
    let work = Work::start(&app, &config, clock, hangups);
    entrance.open(router::router(&app));
    logging::announce(&format!("listening on http://{address}"));
    lifecycle::notify_ready(&app.core.summary());
    tokio::select! {
        served = &mut serving => served?,
        () = end() => {}
    }
    serve::clean_up(&config.data_dir);
    work.finish(&app.core).await
}

/// What goes on beside the requests.
struct Work {
    chores: JoinHandle<()>,
    damage: JoinHandle<StateError>,
}

impl Work {
    fn start(app: &Arc<App>, config: &Config, clock: ClockCheck, hangups: Signal) -> Self {
        let core = Arc::clone(&app.core);
        tokio::spawn(reload(Arc::clone(app), hangups));
        tokio::spawn(store_sessions(Arc::clone(app)));
        Self {
            chores: tokio::spawn(chores::run(Arc::clone(&core), config.retention, clock)),
            damage: tokio::spawn(end_when_damaged(core)),
        }
    }

    /// Ends it once nothing is served any more.
    async fn finish(self, core: &Core) -> Result<(), Error> {
        // What was done must be written down; its client may be gone, so no connection tells of it.
        if timeout(DEEDS_WITHIN, core.deeds.gone()).await.is_err() {
            tracing::warn!(
                "ending although something that somebody asked for is still under way: the audit log may lack its record"
            );
        }
        let inside = async {
            core.guests.gone().await;
            self.chores.await
        };
        let _ = timeout(END_WITHIN, inside).await;
        block_in_place(|| core.syncer.finish(END_WITHIN));
        if self.damage.is_finished() {
            return Err(self.damage.await.unwrap_or(StateError::Closed).into());
        }
        self.damage.abort();
        Ok(())
    }
}

/// Opens the database and takes in what the files say. Nothing in it holds the thread up: meanwhile it serves.
async fn start(
    auth: Auth,
    config: &Config,
    starting: &Arc<Starting>,
    shutdown: &Shutdown,
) -> Result<(Arc<App>, ClockCheck), Error> {
    let told = starting::tell(Arc::clone(starting));
    let work = open(auth, config, starting, shutdown);
    tokio::select! {
        opened = work => opened,
        () = told => Err(StateError::Closed.into()),
    }
}

async fn open(
    auth: Auth,
    config: &Config,
    starting: &Starting,
    shutdown: &Shutdown,
) -> Result<(Arc<App>, ClockCheck), Error> {
    let (database, logs) = (config.data_dir.join(DATABASE), config.data_dir.join("logs"));
    let folder = logs.clone();
    let opened = spawn_blocking(move || state::open(&database, startup::has_logs(&folder))).await;
    let (state, anew) = opened.map_err(|_| StateError::Closed)??;
    auth.remember_sessions(state.sessions().await?);
    auth.credentials.remember(state.ledger().await?);
    let health = Arc::new(Health::default());
    let max_bytes = config.audit.max_bytes;
    let audit = Audit::open(&config.data_dir, max_bytes, Arc::clone(&health));
    let audit = Arc::new(audit.map_err(|source| Error::DataDir {
        path: config.data_dir.clone(),
        source,
    })?);
    let syncer = Syncer::start(&logs, Arc::clone(&health))?;
    let core = Arc::new(Core::new(
        state,
        logs,
        syncer,
        health,
        Arc::clone(&audit),
        shutdown.clone(),
        Arc::clone(&auth.sessions.clock),
    ));
    core.writes.threads().keep_runtime_awake()?;
    core.tell_anew(anew).await;
    startup::load(&core, auth.credentials.hosts(), starting).await?;
    let clock = ClockCheck::start(&core).await;
    Ok((Arc::new(App::new(auth, core, audit)), clock))
}

/// Ends the dashboard when its database turns out to be damaged: the next start sets that aside.
async fn end_when_damaged(core: Arc<Core>) -> StateError {
    let damage = core.state.damage().await;
    let health = damage.to_string();
    core.health.fault(&Part::Database, &health);
    core.shutdown.trigger();
    damage
}

/// Every run that goes on holds two files open, every connection one, and the usual limit is 1,024.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most.min(MOST_FILES), most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Makes the data folder and takes it for this process alone.
fn prepare(data_dir: &Path) -> Result<Flock<File>, Error> {
    let unusable = |source| Error::DataDir {
        path: data_dir.to_owned(),
        source,
    };
    let mut folder = DirBuilder::new();
    let folder = folder.recursive(true).mode(0o700);
    folder.create(data_dir.join("logs")).map_err(unusable)?;
    seal(data_dir).map_err(unusable)?;
    let mut lock = File::options();
    let lock = lock.write(true).create(true).truncate(false).mode(0o600);
    let lock = lock.custom_flags(nix::libc::O_NOFOLLOW);
    let lock = lock.open(data_dir.join("lock")).map_err(unusable)?;
    Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|_| Error::InUse(data_dir.to_owned()))
}

/// Keeps what is in the data folder from others, also where somebody else made the folder or an earlier version the
/// files. The folder itself is left alone: it may be one that others need.
fn seal(data_dir: &Path) -> std::io::Result<()> {
    let mode = std::fs::metadata(data_dir)?.permissions().mode();
    if mode & 0o022 != 0 {
        tracing::warn!(
            path = %data_dir.display(),
            mode = format_args!("{:o}", mode & 0o7777),
            "other users can write to the data folder and replace its files: chmod it to 0700"
        );
    }
    let narrow = |path: PathBuf, allowed: u32, private: u32| {
        let mode = match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Ok(()),
            Ok(found) => found.permissions().mode() & 0o7777,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if mode & !allowed == 0 {
            return Ok(());
        }
        std::fs::set_permissions(&path, Permissions::from_mode(private))
    };
    narrow(data_dir.join("logs"), 0o750, 0o700)?;
    for end in ["", "-wal", "-shm"] {
        narrow(data_dir.join(format!("{DATABASE}{end}")), 0o640, 0o600)?;
    }
    Ok(())
}

/// Reads the credentials again at each SIGHUP.
async fn reload(app: Arc<App>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        lifecycle::notify_reloading();
        let read = Arc::clone(&app);
        match spawn_blocking(move || read.auth.credentials.reload()).await {
            Ok(Ok(())) => match startup::show(&app.core, || app.auth.credentials.hosts()).await {
                Ok(()) => tracing::info!("agents file and users file reloaded"),
                Err(error) => tracing::error!(%error, "new hosts are not shown yet"),
            },
            Ok(Err(error)) => {
                tracing::error!(%error, "agents file and users file not reloaded, the old entries stay valid: correct the file, then reload again");
            }
            Err(error) => tracing::error!(%error, "agents file and users file not reloaded"),
        }
        lifecycle::notify_reloaded();
    }
}

/// Stores now and then when each session was used last; beginnings and ends are stored at once.
async fn store_sessions(app: Arc<App>) {
    while !app.core.shutdown.is_triggered() {
        tokio::time::sleep(STORE_SESSIONS_EVERY).await;
        let held = Arc::clone(&app);
        let living = move || held.auth.sessions.all(Timestamp::now());
        if let Err(error) = app.core.state.replace_sessions(living).await {
            tracing::warn!(%error, "the sessions could not be stored");
        }
    }
}
