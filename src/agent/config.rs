//! What the agent is told in its TOML file. Reading it opens no other file and asks nothing of the machine.

use super::endpoint::Endpoint;
use super::tls::Trust;
use crate::clone::Address;
use crate::config_file::{self, ConfigError, ConfigSource, Remedies};
use crate::mask::{Masker, Masking};
use crate::protocol::{CommandName, HostId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to do where a value has another type than its key, or a form that nobody can read.
const REMEDIES: Remedies = &[
    (
        "heartbeat_interval",
        "write seconds from 1 to 300, without quotes",
    ),
    ("spool.*", "write a number of bytes, without quotes"),
    (
        "commands.*.timeout",
        "write seconds, at least 1, without quotes",
    ),
    (
        "commands.*.steps",
        "write each step as a list, as [[\"program\", \"argument\"]]",
    ),
];

/// The agent's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) dashboard: Endpoint,
    /// `None`: the host name, read when the agent runs.
    pub(super) host_id: Option<HostId>,
    /// Where the token is: given, or in the state folder, where enrolment writes it.
    pub(super) token_file: PathBuf,
    /// The secret that is exchanged for a token where there is none.
    pub(super) enrolment_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    /// Whether the system's roots are trusted beside `ca_file`.
    pub(super) system_roots: bool,
    pub(super) state_dir: PathBuf,
    pub(super) heartbeat_interval: Duration,
    pub(super) repo: Option<Repo>,
    pub(super) commands: BTreeMap<CommandName, Custom>,
    pub(super) supervisor: SupervisorKind,
    pub(super) spool: Spool,
    pub(super) masking: Masking,
}

/// The repository with the host's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repo {
    /// Where `pull` fetches from; without it there is no built-in `pull`.
    pub(super) url: Option<String>,
    /// It may be fetched over a network without encryption.
    pub(super) allow_plaintext: bool,
    pub(super) branch: String,
    pub(super) dir: PathBuf,
}

/// How much of the spools may wait for the dashboard, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Spool {
    /// Of one run.
    max_run_bytes: u64,
    /// In all.
    max_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            max_run_bytes: 1 << 30,
            max_bytes: 4 << 30,
        }
    }
}

impl Spool {
    /// How much one more run may take where so much waits already.
    pub(super) fn room(self, waiting: u64) -> u64 {
        self.max_run_bytes
            .min(self.max_bytes.saturating_sub(waiting))
    }
}

/// A command as the file has it: each key that is there replaces the built-in's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Custom {
    /// Each an argv.
    pub(super) steps: Option<Vec<Vec<String>>>,
    /// The folder of the checks.
    pub(super) checks: Option<String>,
    /// Seconds.
    pub(super) timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dashboard: String,
    host_id: Option<String>,
    token_file: Option<PathBuf>,
    enrolment_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default = "default_system_roots")]
    system_roots: bool,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    #[serde(default = "default_heartbeat")]
    heartbeat_interval: u64,
    #[serde(default)]
    supervisor: SupervisorKind,
    #[serde(default)]
    allow_plaintext: bool,
    repo: Option<RepoTable>,
    #[serde(default)]
    spool: Spool,
    #[serde(default)]
    masking: Masking,
    #[serde(default)]
    commands: BTreeMap<String, Custom>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepoTable {
    url: Option<String>,
    #[serde(default)]
    allow_plaintext: bool,
    #[serde(default = "default_branch")]
    branch: String,
    dir: Option<PathBuf>,
}

/// How a run's supervisor is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SupervisorKind {
    /// As services where the agent is one, else as processes.
    #[default]
    Auto,
    /// As transient services of systemd.
    Systemd,
    /// As processes, which die with the agent where that is a service.
    Process,
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/switchyard-agent")
}

fn default_system_roots() -> bool {
    true
}

fn default_heartbeat() -> u64 {
    5
}

fn default_branch() -> String {
    "main".to_owned()
}

impl Config {
    /// Reads and checks `path`. No file that it names is opened, and the host name is not read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (file, source): (File, _) = config_file::load(path, REMEDIES)?;
        let dashboard = Endpoint::parse(&file.dashboard)
            .map_err(|error| source.invalid("dashboard", error.to_string(), error.remedy()))?;
        if !dashboard.is_tls() && !dashboard.is_loopback() && !file.allow_plaintext {
            return Err(source.invalid(
                "dashboard",
                "ws:// would send the token and every line unencrypted over the network",
                "use wss://, or set allow_plaintext = true where the network itself is encrypted",
            ));
        }
        let host_id =
            match &file.host_id {
                Some(id) => Some(HostId::new(id).map_err(|error| {
                    source.invalid("host_id", error.to_string(), "correct the id")
                })?),
                None => None,
            };
        if !(1..=300).contains(&file.heartbeat_interval) {
            return Err(source.invalid(
                "heartbeat_interval",
                format!("{} is out of range", file.heartbeat_interval),
                "give seconds from 1 to 300",
            ));
        }
        let absolute = |key: &str, path: &Path| {
            if path.is_absolute() {
                Ok(())
            } else {
                let problem = format!("\"{}\" is not an absolute path", path.display());
                Err(source.invalid(key, problem, "begin it with /"))
            }
        };
        let token_file = token_file(&file, &source)?;
        absolute("token_file", &token_file)?;
        if let Some(enrolment_file) = &file.enrolment_file {
            absolute("enrolment_file", enrolment_file)?;
        }
        absolute("state_dir", &file.state_dir)?;
        if let Some(ca_file) = &file.ca_file {
            absolute("ca_file", ca_file)?;
        } else if !file.system_roots {
            return Err(source.invalid(
                "system_roots",
                "with system_roots = false and without ca_file, no certificate of a dashboard would be trusted",
                "set ca_file to the only certificates to trust",
            ));
        }
        if let Err(error) = Masker::new(&file.masking) {
            let problem = error.to_string().replace('\n', " ");
            return Err(source.invalid("masking.patterns", problem, "correct the expression"));
        }
        let repo = file
            .repo
            .map(|table| repo(table, &file.state_dir, &source))
            .transpose()?;
        if let Some(repo) = &repo {
            absolute("repo.dir", &repo.dir)?;
        }
        Ok(Self {
            commands: commands(file.commands, &source)?,
            dashboard,
            host_id,
            token_file,
            enrolment_file: file.enrolment_file,
            ca_file: file.ca_file,
            system_roots: file.system_roots,
            heartbeat_interval: Duration::from_secs(file.heartbeat_interval),
            repo,
            state_dir: file.state_dir,
            supervisor: file.supervisor,
            spool: file.spool,
            masking: file.masking,
        })
    }
}

impl Config {
    pub(super) fn trust(&self) -> Trust<'_> {
        Trust {
            ca_file: self.ca_file.as_deref(),
            system_roots: self.system_roots,
        }
    }
}

/// Where the token is, or will be.
fn token_file(file: &File, source: &ConfigSource) -> Result<PathBuf, ConfigError> {
    match (&file.token_file, &file.enrolment_file) {
        (Some(token), None) => Ok(token.clone()),
        (None, Some(_)) => Ok(file.state_dir.join("token")),
        (None, None) => Err(source.missing(
            "token_file",
            "add `token_file = …`, or `enrolment_file = …` to get a token once",
        )),
        (Some(_), Some(_)) => Err(source.invalid(
            "enrolment_file",
            "token_file is set too",
            "remove one of the two: enrolment writes its token into the state folder",
        )),
    }
}

fn repo(table: RepoTable, state_dir: &Path, source: &ConfigSource) -> Result<Repo, ConfigError> {
    if let Some(url) = &table.url {
        check_url(url, table.allow_plaintext, source)?;
    }
    // It becomes an argument of git, which takes what begins with '-' for an option.
    let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    if table.branch.is_empty() || table.branch.starts_with('-') || table.branch.contains(odd) {
        return Err(source.invalid(
            "repo.branch",
            format!("\"{}\" is not a valid branch name", table.branch),
            "write the name of a branch, such as \"main\"",
        ));
    }
    let dir = table.dir.unwrap_or_else(|| state_dir.join("repo"));
    if state_dir.starts_with(&dir) || dir.starts_with(state_dir.join("runs")) {
        return Err(source.invalid(
            "repo.dir",
            format!(
                "a pull deletes everything in {} that is not in the repository, and the agent keeps its runs there",
                dir.display()
            ),
            "give the clone a folder of its own",
        ));
    }
    Ok(Repo {
        url: table.url,
        allow_plaintext: table.allow_plaintext,
        branch: table.branch,
        dir,
    })
}

/// Whether git can fetch from there, and only what its server sent.
fn check_url(url: &str, allow_plaintext: bool, source: &ConfigSource) -> Result<(), ConfigError> {
    let address = Address::parse(url).map_err(|error| {
        source.invalid(
            "repo.url",
            error.to_string(),
            "write an address that git can fetch from",
        )
    })?;
    match address.plaintext() {
        Some(scheme) if !allow_plaintext => Err(source.invalid(
            "repo.url",
            format!(
                "{scheme}:// is not encrypted: anyone on the network path could change the configuration of this host"
            ),
            "use https:// or ssh, or set allow_plaintext = true in [repo] where the network itself is encrypted",
        )),
        _ => Ok(()),
    }
}

fn commands(
    tables: BTreeMap<String, Custom>,
    source: &ConfigSource,
) -> Result<BTreeMap<CommandName, Custom>, ConfigError> {
    let mut commands = BTreeMap::new();
    for (name, custom) in tables {
        let key = format!("commands.{name}");
        let command = CommandName::new(&name)
            .map_err(|error| source.invalid(&key, error.to_string(), "choose another name"))?;
        let steps_key = format!("{key}.steps");
        match &custom.steps {
            None if !super::commands::is_built_in(&command) => {
                return Err(source.invalid(
                    &steps_key,
                    "this command is not built in, so it needs steps",
                    "add `steps = [[\"program\", \"argument\"]]`",
                ));
            }
            Some(steps)
                if steps.is_empty()
                    || steps.iter().any(|s| s.first().is_none_or(String::is_empty)) =>
            {
                return Err(source.invalid(
                    &steps_key,
                    "a step without a program",
                    "give each step as [\"program\", \"argument\"], and at least one",
                ));
            }
            _ => {}
        }
        if custom
            .steps
            .iter()
            .flatten()
            .flatten()
            .any(|word| word.contains('\0'))
        {
            return Err(source.invalid(
                &steps_key,
                "an argument contains a NUL character",
                "remove it",
            ));
        }
        if custom.timeout == Some(0) {
            return Err(source.invalid(
                &format!("{key}.timeout"),
                "0 seconds would end every run at once",
                "give at least 1, or leave it out for no limit",
            ));
        }
        commands.insert(command, custom);
    }
    Ok(commands)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
