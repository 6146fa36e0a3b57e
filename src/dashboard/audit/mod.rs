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

use crate::dashboard::health::Health;
use crate::logging::AUDIT;
use crate::protocol::{CommandName, HostId, RunId};
use budget::{Budgets, Refused};
use file::Size;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// How many records may wait for the disk; more make their requests wait.
const QUEUE: usize = 256;

/// So many bytes may wait for a disk that takes none, and nothing more is done that would have to be written down.
/// What is under way then still has room: see [`file::MAX_WAITING_BYTES`].
const MAX_WAITING_OF_DEEDS: usize = 1 << 20;
/// With so many bytes waiting, refusals are counted and no longer kept: they must not take the room of deeds.
const MAX_WAITING_OF_REFUSALS: usize = MAX_WAITING_OF_DEEDS / 4;
/// Bytes of a record that are added when it is written: the hash of the line before it, and how many were left out.
const ADDED_BYTES: usize = 100;

/// A record for the thread, or none where it is only to try again; and whom to tell.
type Todo = (Option<Vec<u8>>, oneshot::Sender<()>);

/// Owns the audit log by a thread of its own.
#[derive(Debug)]
pub(crate) struct Audit {
    folder: PathBuf,
    records: mpsc::Sender<Todo>,
    refusals: Mutex<Budgets>,
    /// How many bytes wait for a disk that took none.
    waiting: Arc<AtomicUsize>,
}

impl Audit {
    /// Opens or makes the audit log in the data folder. All its files together take up to `max_bytes`; the oldest
    /// go first. `health` is told when it cannot be written, and when it can again.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub(crate) fn open(data_dir: &Path, max_bytes: u64, health: Arc<Health>) -> io::Result<Self> {
        let (records, todo) = mpsc::channel(QUEUE);
        let waiting = Arc::<AtomicUsize>::default();
        let size = Size { max_bytes };
        file::start(data_dir, size, todo, health, Arc::clone(&waiting))?;
        Ok(Self {
            folder: data_dir.to_owned(),
            records,
            refusals: Mutex::new(Budgets::new(max_bytes, Instant::now())),
            waiting,
        })
    }

    /// Whether there is room for records of what is done next, on disk or in memory.
    pub(crate) fn takes_deeds(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MAX_WAITING_OF_DEEDS
    }

    /// Has the thread try again what the disk did not take.
    pub(crate) fn try_again(&self) {
        // Where the queue is full it is at it.
        let _ = self.records.try_send((None, oneshot::channel().0));
    }

    /// The folder in which the log is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes down that something was done; returns once that is on disk, or waits in memory for a disk that cannot
    /// take it.
    pub(crate) async fn done(&self, note: Note) {
        self.write(note.ok()).await;
    }

    /// Writes down that something was not done, for this reason. Of many refusals the first are written down, then
    /// few, and the rest is counted.
    pub(crate) async fn refused(&self, note: Note, why: String) {
        let mut note = note.refused(&why);
        let Ok(text) = serde_json::to_vec(&note.record) else {
            return;
        };
        let has_room = self.waiting.load(Ordering::Relaxed) < MAX_WAITING_OF_REFUSALS;
        let who = match &note.record.user {
            Some(name) if !note.is_stranger => Refused::User(name),
            _ => Refused::Strangers,
        };
        let left_out = {
            let mut budgets = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            if has_room {
                budgets.spend(who, text.len() + ADDED_BYTES, Instant::now())
            } else {
                budgets.leave_out(who, Instant::now());
                None
            }
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
        if self.records.send((Some(record), written)).await.is_ok() {
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
