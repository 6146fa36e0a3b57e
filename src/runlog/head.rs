//! The lines of a log that are not output: header and footer, for people first and for programs in JSON.

use crate::protocol::{Cause, CommandName, HostId, Progress, Run, RunId, Seq, Status, Timestamp};
use serde::{Deserialize, Serialize};

/// How much of a file is looked at for a header, in bytes,
pub(super) const MAX_HEAD_BYTES: usize = 256 * 1024;
/// and for a footer: no message on the wire is as long.
pub(super) const MAX_FOOTER_BYTES: usize = 4 << 20;

/// What a log begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The command.
    pub command: CommandName,
    /// The host.
    pub host_id: HostId,
    /// The rest, which only programs read.
    pub meta: RunMeta,
}

/// The JSON behind `# Run: `.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMeta {
    /// Tells two requests of one run id apart.
    pub nonce: Option<String>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// When it was asked for.
    pub queued: Option<Timestamp>,
    /// When it began.
    pub started: Timestamp,
    /// The system profile's generation before it.
    pub generation_before: Option<u64>,
    /// The run's place in the order of runs; 0 on hosts, which do not count them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// The command to start once this run was `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<CommandName>,
    /// The run before it, which had it as `then`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<RunId>,
}

impl RunMeta {
    /// A run of which nothing is known but when it began.
    pub fn started_at(started: Timestamp) -> Self {
        Self {
            nonce: None,
            requested_by: None,
            queued: None,
            started,
            generation_before: None,
            number: 0,
            then: None,
            after: None,
        }
    }
}

/// Whether a field has its default and is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the log of an ended run ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Of the step that ended the run.
    pub exit_code: Option<i32>,
    /// The rest, which only programs read.
    pub result: RunResult,
}

/// The JSON behind `# Result: `.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// A final one.
    pub status: Status,
    /// When it ended.
    pub completed: Timestamp,
    /// What to tell the user.
    pub message: Option<String>,
    /// Why the run failed, the most important cause first; empty unless it did.
    #[serde(
        default,
        deserialize_with = "crate::protocol::causes",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cause: Vec<Cause>,
    /// How many lines the log has.
    pub lines: Seq,
    /// How many of them came from standard error; unknown where the index was rebuilt.
    pub errors: Option<u64>,
    /// How long the run took, by a clock that never jumps.
    pub duration_ms: Option<u64>,
    /// How far it came.
    #[serde(flatten)]
    pub progress: Progress,
    /// The system profile's generation after it.
    pub generation_after: Option<u64>,
    /// The store path of the system after it: the one of the next boot for `boot`, else the running one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_after: Option<String>,
    /// The configuration's revision after it.
    pub revision: Option<String>,
}

impl RunResult {
    /// An end of which nothing else is known. The number of lines is counted by who writes the log.
    pub fn ended_at(status: Status, completed: Timestamp) -> Self {
        Self {
            status,
            completed,
            message: None,
            cause: Vec::new(),
            lines: 0,
            errors: None,
            duration_ms: None,
            progress: Progress::default(),
            generation_after: None,
            system_after: None,
            revision: None,
        }
    }
}

impl Header {
    /// That of a run of which nothing else is known.
    pub fn started_at(host_id: HostId, command: CommandName, started: Timestamp) -> Self {
        Self {
            command,
            host_id,
            meta: RunMeta::started_at(started),
        }
    }

    /// The text with which the log begins, the empty line behind it included.
    pub(super) fn to_text(&self) -> String {
        let json = serde_json::to_string(&self.meta).unwrap_or_default();
        let started = self.meta.started.to_seconds_text();
        format!(
            "# Command: {}\n# Started: {started}\n# Host: {}\n# Run: {json}\n\n",
            self.command, self.host_id
        )
    }

    /// Reads the header at the beginning of `text`; gives its length, too.
    pub(super) fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let end = memchr::memmem::find(text, b"\n\n")? + 2;
        let mut lines = std::str::from_utf8(&text[..end]).ok()?.split('\n');
        let command = lines.next()?.strip_prefix("# Command: ")?;
        lines.next()?.strip_prefix("# Started: ")?;
        let host_id = lines.next()?.strip_prefix("# Host: ")?;
        let meta = serde_json::from_str(lines.next()?.strip_prefix("# Run: ")?).ok()?;
        let header = Self {
            command: CommandName::new(command).ok()?,
            host_id: HostId::new(host_id).ok()?,
            meta,
        };
        Some((header, end))
    }
}

impl Footer {
    /// Makes `run` over, with this result.
    pub fn complete(&self, run: &mut Run) {
        let result = self.result.clone();
        run.status = result.status;
        run.completed = Some(result.completed);
        run.message = result.message;
        run.cause = result.cause;
        run.duration_ms = result.duration_ms;
        run.exit_code = self.exit_code;
        run.lines = result.lines;
        run.errors = result.errors;
        run.progress = result.progress;
        run.generation_after = result.generation_after;
        run.system_after = result.system_after;
        run.revision = result.revision;
        run.phase = None;
    }

    /// The text with which the log ends, the empty line before it included.
    pub(super) fn to_text(&self) -> String {
        let json = serde_json::to_string(&self.result).unwrap_or_default();
        let completed = self.result.completed.to_seconds_text();
        let exit = self
            .exit_code
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        format!("\n# Completed: {completed}\n# Exit code: {exit}\n# Result: {json}\n")
    }

    /// Reads `text`, all that stands behind the last line; `None` unless it is a whole footer.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(text)
            .ok()?
            .strip_prefix("\n# Completed: ")?;
        let mut lines = rest.split('\n').skip(1);
        let exit = lines.next()?.strip_prefix("# Exit code: ")?;
        let exit_code = if exit == "none" {
            None
        } else {
            Some(exit.parse().ok()?)
        };
        let result = serde_json::from_str(lines.next()?.strip_prefix("# Result: ")?).ok()?;
        (lines.next()?.is_empty() && lines.next().is_none()).then_some(Self { exit_code, result })
    }
}
