//! The messages between agent and dashboard. Read the `type` with [`split`](super::split), then the struct.

use super::{
    Cause, CommandName, Facts, HostId, Metrics, Progress, RunId, Seq, Status, Systems, Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// Codes with which a WebSocket is closed.
pub mod close {
    /// The service goes away, or the peer is done.
    pub const GOING_AWAY: u16 = 1001;
    /// A frame was over [`MAX_FRAME_BYTES`](crate::protocol::MAX_FRAME_BYTES).
    pub const TOO_BIG: u16 = 1009;
    /// A frame or a message was malformed.
    pub const MALFORMED: u16 = 4400;
    /// The peer may not, or no longer, be here, or spoke for another host.
    pub const FORBIDDEN: u16 = 4403;
    /// A newer connection of the same host took over.
    pub const REPLACED: u16 = 4409;
}

/// What agents send, by `type`; receivers pass over other types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentMessage {
    /// [`Register`].
    Register,
    /// [`Heartbeat`].
    Heartbeat,
    /// [`Output`] or [`SingleOutput`].
    Output,
    /// [`ProgressReport`].
    Progress,
    /// [`StatusReport`].
    Status,
    /// [`CommandRejected`].
    CommandRejected,
}

impl AgentMessage {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Output,
        Self::Heartbeat,
        Self::Progress,
        Self::Status,
        Self::CommandRejected,
        Self::Register,
    ];

    /// Its `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Heartbeat => "heartbeat",
            Self::Output => "output",
            Self::Progress => "progress",
            Self::Status => "status",
            Self::CommandRejected => "command_rejected",
        }
    }

    /// The one of this `type`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message| message.name() == name)
    }
}

/// What browsers send, by `type`; receivers pass over other types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserMessage {
    /// Watch a run.
    Subscribe,
    /// Watch it no more.
    Unsubscribe,
    /// Watch the metrics of these hosts, and of no others.
    WatchMetrics,
}

impl BrowserMessage {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Subscribe, Self::Unsubscribe, Self::WatchMetrics];

    /// Its `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::WatchMetrics => "watch_metrics",
        }
    }

    /// The one of this `type`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message| message.name() == name)
    }
}

/// Reads null, too, as the default: an absent field equals null.
pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Agent → dashboard, first of all: who this is and what it has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "register")]
pub struct Register {
    /// The version of the wire.
    pub protocol: u32,
    /// What the agent can do beyond the first version of the wire, by name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub features: Vec<String>,
    /// The host's clock.
    pub time: Option<Timestamp>,
    /// The host.
    pub host_id: HostId,
    /// The machine's id, hashed as `machine-id(5)` asks for: it tells machines apart and is confidential.
    #[serde(default)]
    pub machine_id: Option<String>,
    /// A random id of the agent's state folder: it tells two agents on one machine apart.
    #[serde(default)]
    pub installation_id: Option<String>,
    /// The host's facts.
    #[serde(flatten)]
    pub facts: Facts,
    /// Every run the dashboard has not yet acknowledged as final.
    #[serde(default, deserialize_with = "null_as_default")]
    pub runs: Vec<OfferedRun>,
}

/// A run that the agent still holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfferedRun {
    /// The run.
    pub run_id: RunId,
    /// The nonce it was asked for with.
    pub nonce: Option<String>,
    /// Its command.
    pub command: CommandName,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How many lines its spool has.
    pub lines: Option<Seq>,
    /// Where it stands.
    #[serde(deserialize_with = "super::run::status_or_running")]
    pub status: Status,
}

/// Agent → dashboard, every `heartbeat_interval`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "heartbeat")]
pub struct Heartbeat {
    /// The host's clock.
    pub time: Option<Timestamp>,
    /// The host.
    pub host_id: HostId,
    /// As in [`Facts`].
    pub generation: Option<u64>,
    /// As in [`Facts`].
    pub system: Option<String>,
    /// As in [`Facts`].
    pub revision: Option<String>,
    /// As in [`Facts`].
    pub behind: Option<u64>,
    /// As in [`Facts`].
    pub reboot_required: Option<bool>,
    /// As in [`Facts`].
    #[serde(flatten)]
    pub systems: Systems,
    /// The command that runs.
    pub pending_command: Option<CommandName>,
    /// Its run.
    pub run_id: Option<RunId>,
    /// How busy the host is.
    pub metrics: Option<Metrics>,
}

/// Agent → dashboard: lines, borrowed from the frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "output")]
pub struct Output<'a> {
    /// The host.
    pub host_id: HostId,
    /// The run.
    pub run_id: RunId,
    /// The run's command.
    pub command: CommandName,
    /// The number of the first line.
    pub seq: Seq,
    /// The lines.
    #[serde(borrow)]
    pub lines: Vec<WireLine<'a>>,
}

/// What tells the two forms of `output` apart: the simplest agents send no `run_id`.
#[derive(Debug, Deserialize)]
pub struct OutputHead {
    /// The run, in the form with many lines.
    pub run_id: Option<RunId>,
}

/// A line on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireLine<'a> {
    /// Its text.
    #[serde(borrow)]
    pub line: Cow<'a, str>,
    /// When it was written, RFC 3339.
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    /// Whether it came from standard error.
    pub is_error: Option<bool>,
}

/// Agent → dashboard: one line without run and number, from the simplest agent there can be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "output")]
pub struct SingleOutput<'a> {
    /// The host.
    pub host_id: HostId,
    /// The command whose run it belongs to.
    pub command: CommandName,
    /// Its text.
    #[serde(borrow)]
    pub line: Cow<'a, str>,
    /// When it was written.
    pub timestamp: Option<Timestamp>,
    /// Whether it came from standard error.
    pub is_error: Option<bool>,
}

/// Agent → dashboard, on change, at most 10 a second.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "progress")]
pub struct ProgressReport {
    /// The host.
    pub host_id: HostId,
    /// The run.
    pub run_id: RunId,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// Agent → dashboard: `running` once the spool exists, and a final one behind the last line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "status")]
pub struct StatusReport {
    /// The host.
    pub host_id: HostId,
    /// The run; null from the simplest agents.
    pub run_id: Option<RunId>,
    /// Its command.
    pub command: CommandName,
    /// Where it stands.
    #[serde(deserialize_with = "super::run::status_or_error")]
    pub status: Status,
    /// Of the step that ended it.
    pub exit_code: Option<i32>,
    /// What to tell the user.
    pub message: Option<String>,
    /// Why the run failed, the most important cause first; empty unless it did.
    #[serde(
        default,
        deserialize_with = "super::causes",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cause: Vec<Cause>,
    /// How many lines there are.
    pub lines: Option<Seq>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// How long it took, by a clock that never jumps.
    pub duration_ms: Option<u64>,
    /// The system profile's generation.
    pub generation: Option<u64>,
    /// The store path of the system after the run: the one of the next boot for `boot`, else the running one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The configuration's revision.
    pub revision: Option<String>,
}

/// Agent → dashboard: a command that was not begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "command_rejected")]
pub struct CommandRejected {
    /// The host.
    pub host_id: HostId,
    /// The run that was asked for.
    pub run_id: RunId,
    /// Why.
    pub reason: Option<String>,
    /// What runs in its place.
    pub current_command: Option<CommandName>,
}

/// Dashboard → agent, in answer to `register`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "registered")]
pub struct Registered {
    /// The host the token speaks for.
    pub host_id: HostId,
    /// The version of the wire that both sides speak: the lower of theirs.
    #[serde(default)]
    pub protocol: Option<u32>,
    /// What the dashboard can do beyond the first version of the wire, by name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub features: Vec<String>,
    /// Where to go on with each run.
    #[serde(default, deserialize_with = "null_as_default")]
    pub resume: Vec<ResumeFrom>,
}

/// The next line wanted of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeFrom {
    /// The run.
    pub run_id: RunId,
    /// The line.
    pub seq: Seq,
}

/// Dashboard → agent, in answer to a `register` with an enrolment secret: the host's own token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename = "enrolled")]
pub struct Enrolled {
    /// The host.
    pub host_id: HostId,
    /// Its token, told this once.
    pub token: String,
}

/// Dashboard → agent: begin a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "command")]
pub struct CommandRequest {
    /// The run to begin.
    pub run_id: RunId,
    /// Random; tells two requests of one `run_id` apart.
    pub nonce: String,
    /// What to run.
    pub command: CommandName,
    /// Who asked.
    pub requested_by: Option<String>,
    /// Milliseconds from now after which it may not begin.
    pub not_after: Option<u64>,
}

/// Dashboard → agent: end a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "stop")]
pub struct StopRequest {
    /// The run to end.
    pub run_id: RunId,
    /// Who asked.
    pub requested_by: Option<String>,
    /// Even in mid-activation.
    pub force: Option<bool>,
}

/// Dashboard → agent: send again from there, and the final status again behind the last line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "resume")]
pub struct Resume {
    /// The run.
    pub run_id: RunId,
    /// The next line wanted.
    pub seq: Seq,
}

/// Dashboard → agent: what is on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "ack")]
pub struct Ack {
    /// The run.
    pub run_id: RunId,
    /// Every line below it is on disk.
    pub seq: Seq,
    /// Whether the final status is, too.
    #[serde(rename = "final")]
    pub is_final: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_needs_protocol_and_host_alone() {
        let least: Register =
            serde_json::from_str(r#"{"type":"register","protocol":1,"host_id":"h1","runs":null}"#)
                .unwrap();
        assert_eq!(least.facts, Facts::default());
        assert!(serde_json::from_str::<Register>(r#"{"type":"register","host_id":"h1"}"#).is_err());
        assert!(
            serde_json::from_str::<Register>(
                r#"{"type":"register","protocol":1,"host_id":"../x"}"#
            )
            .is_err()
        );
    }

    #[test]
    fn a_message_begins_with_its_type() {
        let ack = Ack {
            run_id: RunId::new("2025-12-14T10-30-00-switch").unwrap(),
            seq: 7,
            is_final: Some(true),
        };
        let json = serde_json::to_string(&ack).unwrap();
        assert_eq!(
            json,
            r#"{"type":"ack","run_id":"2025-12-14T10-30-00-switch","seq":7,"final":true}"#
        );
        assert_eq!(serde_json::from_str::<Ack>(&json).unwrap().seq, 7);
    }

    #[test]
    fn lines_without_escapes_are_borrowed_from_the_frame() {
        let json = r#"{"type":"output","host_id":"h","run_id":"2025-12-14T10-30-00-switch","command":"switch","seq":0,
            "lines":[{"line":"plain","timestamp":"2025-12-14T10:30:01.000Z","is_error":true}]}"#;
        let output: Output<'_> = serde_json::from_str(json).unwrap();
        assert!(matches!(output.lines[0].line, Cow::Borrowed("plain")));
    }
}
