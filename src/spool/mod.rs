//! The folder of a run on its host, through which agent and supervisor speak: each file has one writer.
//!
//! | file | writer | holds |
//! | --- | --- | --- |
//! | `spec.json` | agent, before it starts the supervisor | [`Spec`]: what to run |
//! | `RUN_ID.log`, `RUN_ID.idx` | supervisor | the spool, in the format of [`runlog`](crate::runlog); the footer is the result |
//! | `progress.json` | supervisor, replaced whole, at most 10 times a second | [`Progress`](crate::protocol::Progress) |
//! | `supervisor.json` | supervisor, replaced whole | [`Supervisor`]: which processes run it |
//! | `program-N.json` | waiter of the Nth launch of a program | which process it is, and how it ended |
//! | `checkpoint.json`, `capture-N.*` | supervisor | what it takes to go on after its death |
//! | `boot_id` | agent, before it starts the supervisor | in which boot the run began |
//! | `supervisor.err` | whoever starts the supervisor | why it did not start |
//! | `unit-end.json` | `ExecStopPost` of the run's service | how systemd says that it ended |
//! | `acknowledged.json` | agent, replaced whole | the first line that the dashboard does not have |
//! | `reserve` | supervisor, removed at the end | room on the disk for the footer |
//! | `stop.json` | agent, replaced whole; removed by a supervisor that refuses | [`StopOrder`]: somebody asked for the end |
//!
//! Whoever runs the run, or settles it, holds a lock on the folder itself.

mod begin_limit;
mod captures;

pub use begin_limit::{DEFAULT_BEGIN_LIMIT, START_GRACE, begin_by, is_past};
pub use captures::remove_captures;

use crate::mask::Masking;
use crate::proctree::ProcessId;
use crate::protocol::{CommandName, HostId, RunId, Seq, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What the supervisor is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The run.
    pub run_id: RunId,
    /// The host, for the log's header.
    pub host_id: HostId,
    /// The command's name.
    pub command: CommandName,
    /// From the request.
    pub nonce: Option<String>,
    /// From the request.
    pub requested_by: Option<String>,
    /// When the agent took the request.
    pub queued: Timestamp,
    /// When it is too late to begin, in milliseconds of CLOCK_BOOTTIME of the boot in which the agent took the request.
    /// See [`begin_by`]; `None` from agents that knew no such limit.
    #[serde(default)]
    pub begin_by: Option<u64>,
    /// The system profile's generation before the run.
    pub generation_before: Option<u64>,
    /// Each an argv, `{repo}` and `{host}` already replaced; run in order until one fails.
    pub steps: Vec<Vec<String>>,
    /// What a step that is the built-in `pull` finds here.
    #[serde(default)]
    pub pull: Option<Pull>,
    /// The folder whose executable `T*.sh` run after the steps.
    pub checks: Option<PathBuf>,
    /// The repository; steps run in there when it exists.
    pub work_dir: PathBuf,
    /// Where the steps run in place of the repository.
    #[serde(default)]
    pub steps_dir: Option<PathBuf>,
    /// Seconds for the whole run.
    pub timeout: Option<u64>,
    /// How much of the spool may wait for the dashboard, in bytes.
    #[serde(default = "no_limit")]
    pub max_unacknowledged: u64,
    /// What is masked in the output.
    #[serde(default)]
    pub masking: Masking,
    /// Added to the environment.
    pub environment: Vec<(String, String)>,
}

fn no_limit() -> u64 {
    u64::MAX
}

/// What the built-in `pull` brings to which branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Where it fetches from; it may hold a password.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// The folder of the clone.
    pub dir: PathBuf,
    /// That folder is below the agent's state folder, where nobody else puts anything.
    pub in_state_dir: bool,
    /// It may go over a network without encryption.
    pub allow_plaintext: bool,
}

/// Somebody asked for the end of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// Who.
    pub requested_by: Option<String>,
    /// Even in mid-activation.
    pub force: bool,
}

/// Which processes run a run; there from before the spool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// The supervisor. While it lives the run goes on; once it is dead, a spool without footer stays without.
    pub supervisor: ProcessId,
    /// The program of the step or check that runs.
    pub child: Option<ProcessId>,
}

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    run_id: RunId,
}

impl RunDir {
    /// The folder of `run_id` below the agent's state folder; it need not exist.
    pub fn new(state_dir: &Path, run_id: &RunId) -> Self {
        Self {
            path: state_dir.join("runs").join(run_id.as_str()),
            run_id: run_id.clone(),
        }
    }

    /// The folder at `path`, if its last part is the id of a run.
    pub fn at(path: &Path) -> Option<Self> {
        let run_id = RunId::new(path.file_name()?.to_str()?).ok()?;
        Some(Self {
            path: path.to_owned(),
            run_id,
        })
    }

    /// The folder itself, which holds the spool too.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Where the [`Spec`] is.
    pub fn spec(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// Where the [`Progress`](crate::protocol::Progress) is.
    pub fn progress(&self) -> PathBuf {
        self.path.join("progress.json")
    }

    /// Where the [`Supervisor`] is.
    pub fn supervisor(&self) -> PathBuf {
        self.path.join("supervisor.json")
    }

    /// Where the waiter of the Nth launch of a program writes how that ended.
    pub fn program(&self, launch: u32) -> PathBuf {
        self.path.join(format!("program-{launch}.json"))
    }

    /// Where the supervisor keeps where the run stands.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.json")
    }

    /// Where systemd's word for the end of the run's service is.
    pub fn unit_end(&self) -> PathBuf {
        self.path.join("unit-end.json")
    }

    /// Where a supervisor that did not start says why.
    pub fn last_words(&self) -> PathBuf {
        self.path.join("supervisor.err")
    }

    /// Where the number of the first line is that the dashboard has not acknowledged.
    fn acknowledged(&self) -> PathBuf {
        self.path.join("acknowledged.json")
    }

    /// The file that takes room on the disk until the run ends.
    pub fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    fn boot_id(&self) -> PathBuf {
        self.path.join("boot_id")
    }

    /// Where the [`StopOrder`] is.
    pub fn stop(&self) -> PathBuf {
        self.path.join("stop.json")
    }
}

/// The number of the first line that the dashboard has not acknowledged, as far as the agent has noted.
pub fn acknowledged(dir: &RunDir) -> Seq {
    let noted = read_json(&dir.acknowledged());
    noted.ok().flatten().unwrap_or(0)
}

/// Notes that the dashboard has every line below `seq`.
pub fn note_acknowledged(dir: &RunDir, seq: Seq) -> io::Result<()> {
    write_json(&dir.acknowledged(), &seq)
}

/// Notes in which boot the run begins; on disk before this returns, since it is asked for after a power cut.
pub fn note_boot(dir: &RunDir) -> io::Result<()> {
    let mut file = std::fs::File::create(dir.boot_id())?;
    file.write_all(boot_id().unwrap_or_default().as_bytes())?;
    file.sync_all()
}

/// Whether the host has restarted since the run began, as far as that is known.
pub fn is_other_boot(dir: &RunDir) -> bool {
    let then = std::fs::read_to_string(dir.boot_id()).unwrap_or_default();
    !then.is_empty() && boot_id().is_some_and(|now| now != then)
}

fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

/// Replaces `path` as a whole: a reader sees the old content or the new, never half of either.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let written =
        std::fs::write(&new, serde_json::to_vec(value)?).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // Half a file would take room that others need.
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// Reads what [`write_json`] wrote; `None` where there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
