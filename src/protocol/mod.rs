//! What crosses the wire and the disk: ids, times, lines, runs, hosts and messages. Types only, no I/O.
//!
//! Field names are fixed; receivers ignore fields and message types they do not know, and an absent
//! field equals null. Times are RFC 3339 in UTC with milliseconds.

mod cause;
mod command;
mod deployment;
mod frame;
mod host;
mod ids;
mod line;
mod message;
mod run;
mod time;

pub use cause::{Cause, CauseKind, MAX_CAUSES, causes};
pub use command::{CommandName, InvalidCommand};
pub use deployment::Deployment;
pub use frame::{FrameError, MAX_FRAME_BYTES, MAX_NAME_BYTES, RawMessage, shorten_name, split};
pub use host::{Facts, Metrics, Systems};
pub use ids::{HostId, InvalidHostId, InvalidRunId, RunId, Seq, nonce};
pub use line::{LINE_BATCH_BYTES, Line, LineEncoder, MAX_LINE_BYTES};
pub use message::{
    Ack, AgentMessage, BrowserMessage, CommandRejected, CommandRequest, Enrolled, Heartbeat,
    OfferedRun, Output, OutputHead, ProgressReport, Register, Registered, Resume, ResumeFrom,
    SingleOutput, StatusReport, StopRequest, WireLine, close,
};
pub use run::{Phase, PhaseMark, Progress, Run, Status, Tests};
pub use time::{Timestamp, TimestampFormatter};

/// The version of the wire that this program speaks.
pub const PROTOCOL: u32 = 1;

/// What this program can do beyond the first version of the wire. A side uses such a message or status only if the
/// other side has named it.
pub const FEATURES: [&str; 0] = [];
