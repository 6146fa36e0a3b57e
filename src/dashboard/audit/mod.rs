//! Who did what to which host, when, from where, and with what result: `DATA_DIR/audit.log`, to which is only ever
//! added, one JSON object a line. The same goes to our own log, with a field for each.

mod budget;
mod file;
mod filter;

pub(crate) use file::{Page, read};
pub(crate) use filter::Filter;

use super::auth::{ClientAddress, Identity};
use crate::protocol::{CommandName, HostId, RunId, Timestamp};
use budget::Budget;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// How many records may wait for the disk; more make their requests wait.
const QUEUE: usize = 256;
/// The longest detail, in bytes.
const LONGEST: usize = 1_024;

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Login,
    Logout,
    LogoutAll,
    Command,
    Stop,
    EndSession,
    IssueToken,
    RevokeToken,
    Enrol,
    /// Something that was refused before it was clear what it was.
    Request,
}

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    time: Timestamp,
    /// Who, or who they said they were.
    user: Option<String>,
    role: Option<String>,
    via: Option<String>,
    address: Option<IpAddr>,
    action: Action,
    host_id: Option<HostId>,
    run_id: Option<RunId>,
    command: Option<CommandName>,
    /// `ok` or `refused`.
    result: String,
    detail: Option<String>,
    /// How many more of strangers there were since the one before, which were not worth a line each.
    #[serde(default, skip_serializing_if = "is_none")]
    left_out: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What is to be written down.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    record: Record,
    is_stranger: bool,
}

impl Note {
    /// Somebody known, or nobody, did something.
    pub(crate) fn of(who: Option<&Identity>, address: ClientAddress, action: Action) -> Self {
        let record = Record {
            time: Timestamp::now(),
            user: who.map(|who| who.name.clone()),
            role: who.map(|who| who.role.to_string()),
            via: who.map(|who| who.via.word().to_owned()),
            address: address.0,
            action,
            host_id: None,
            run_id: None,
            command: None,
            result: String::new(),
            detail: None,
            left_out: 0,
        };
        let is_stranger = who.is_none();
        Self {
            record,
            is_stranger,
        }
    }

    /// The name that was given; whoever gave it showed nothing.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.record.user = Some(shortened(name));
        self
    }

    /// To this host.
    pub(crate) fn host(mut self, host: &HostId) -> Self {
        self.record.host_id = Some(host.clone());
        self
    }

    /// With this run.
    pub(crate) fn run(mut self, run: &RunId) -> Self {
        self.record.run_id = Some(run.clone());
        self
    }

    /// By this command.
    pub(crate) fn command(mut self, command: &CommandName) -> Self {
        self.record.command = Some(command.clone());
        self
    }

    /// In these words.
    pub(crate) fn detail(mut self, detail: &str) -> Self {
        self.record.detail = Some(shortened(detail));
        self
    }

    /// It worked: whoever it was, they showed who they are.
    fn ok(mut self) -> Self {
        self.record.result = "ok".to_owned();
        self.is_stranger = false;
        self
    }
}

type Written = oneshot::Sender<()>;

/// Owns the file by a thread of its own.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    lines: mpsc::Sender<(Vec<u8>, Written)>,
    strangers: Mutex<Budget>,
}

impl Audit {
    /// Opens or makes `DATA_DIR/audit.log`.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("audit.log");
        let (lines, todo) = mpsc::channel(QUEUE);
        file::start(&path, todo)?;
        let strangers = Mutex::new(Budget::new(Instant::now()));
        Ok(Self {
            path,
            lines,
            strangers,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Something was done; returns once that is on disk, or cannot be.
    pub(crate) async fn done(&self, note: Note) {
        self.write(note.ok()).await;
    }

    /// Something was not done, for this reason. What strangers are refused is written down as long as there is
    /// little of it, and then counted, so that they cannot fill the disk.
    pub(crate) async fn refused(&self, note: Note, why: String) {
        let mut note = note.detail(&why);
        note.record.result = "refused".to_owned();
        if note.is_stranger {
            let mut budget = self
                .strangers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match budget.spend(Instant::now()) {
                Some(left_out) => note.record.left_out = left_out,
                None => return,
            }
        }
        self.write(note).await;
    }

    async fn write(&self, Note { record, .. }: Note) {
        say(&record);
        let Ok(mut line) = serde_json::to_vec(&record) else {
            return;
        };
        line.push(b'\n');
        let (written, is_written) = oneshot::channel();
        if self.lines.send((line, written)).await.is_ok() {
            let _ = is_written.await;
        }
    }
}

/// To our own log.
fn say(record: &Record) {
    let Record {
        user,
        role,
        via,
        address,
        action,
        host_id,
        run_id,
        command,
        result,
        detail,
        left_out,
        ..
    } = record;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    tracing::info!(
        user = text(user), role = text(role), via = text(via),
        address = address.map(|address| address.to_string()).unwrap_or_default(),
        action = ?action, host = host_id.as_ref().map(HostId::as_str).unwrap_or_default(),
        run = run_id.as_ref().map(RunId::as_str).unwrap_or_default(),
        command = command.as_ref().map(CommandName::as_str).unwrap_or_default(),
        result, detail = text(detail), left_out, "audit"
    );
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}
