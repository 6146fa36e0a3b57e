//! Who did what to which host, when, from where, and with what result: `DATA_DIR/audit.log`, to which is only ever
//! added, one JSON object a line. The same goes to our own log, with a field for each.

mod budget;
mod chain;
mod file;
mod filter;
mod read;
mod record;
mod segments;
mod verify;

pub(crate) use filter::Filter;
pub(crate) use read::{Page, read};
pub(crate) use record::{Action, Note, Record};
pub use verify::{Verified, VerifyError, verify};

use crate::logging::AUDIT;
use crate::protocol::{CommandName, HostId, RunId};
use budget::{Budgets, Refused};
use file::Size;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// How many records may wait for the disk; more make their requests wait.
const QUEUE: usize = 256;

type Written = oneshot::Sender<()>;

/// Owns the audit log by a thread of its own.
#[derive(Debug)]
pub(crate) struct Audit {
    folder: PathBuf,
    records: mpsc::Sender<(Vec<u8>, Written)>,
    refusals: Mutex<Budgets>,
}

impl Audit {
    /// Opens or makes the audit log in the data folder. All its files together take up to `max_bytes`; the oldest
    /// go first.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub(crate) fn open(data_dir: &Path, max_bytes: u64) -> io::Result<Self> {
        let (records, todo) = mpsc::channel(QUEUE);
        file::start(data_dir, Size { max_bytes }, todo)?;
        Ok(Self {
            folder: data_dir.to_owned(),
            records,
            refusals: Mutex::new(Budgets::new(Instant::now())),
        })
    }

    /// The folder in which the log is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes down that something was done; returns once that is on disk, or cannot be.
    pub(crate) async fn done(&self, note: Note) {
        self.write(note.ok()).await;
    }

    /// Writes down that something was not done, for this reason. Of many refusals the first are written down, then
    /// few, and the rest is counted.
    pub(crate) async fn refused(&self, note: Note, why: String) {
        let mut note = note.detail(&why);
        note.record.result = "refused".to_owned();
        let who = match &note.record.user {
            Some(name) if !note.is_stranger => Refused::User(name),
            _ => Refused::Strangers,
        };
        let left_out = {
            let mut budgets = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            budgets.spend(who, Instant::now())
        };
        let Some(left_out) = left_out else { return };
        note.record.left_out = left_out;
        self.write(note).await;
    }

    async fn write(&self, Note { record, .. }: Note) {
        say(&record);
        let Ok(record) = serde_json::to_vec(&record) else {
            return;
        };
        let (written, is_written) = oneshot::channel();
        if self.records.send((record, written)).await.is_ok() {
            let _ = is_written.await;
        }
    }
}

/// Writes a record to our own log.
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
        hosts,
        left_out,
        ..
    } = record;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    tracing::info!(
        target: AUDIT, user = text(user), role = text(role), via = text(via),
        address = address.map(|address| address.to_string()).unwrap_or_default(),
        action = ?action, host = host_id.as_ref().map(HostId::as_str).unwrap_or_default(),
        run = run_id.as_ref().map(RunId::as_str).unwrap_or_default(),
        command = command.as_ref().map(CommandName::as_str).unwrap_or_default(),
        result, detail = text(detail), hosts = hosts.len(), left_out, "audit"
    );
}
