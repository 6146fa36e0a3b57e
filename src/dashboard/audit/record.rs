//! Records of the audit log, and what is known of a deed before it becomes one.

use crate::dashboard::auth::{ClientAddress, Identity};
use crate::protocol::{CommandName, HostId, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Longest detail, and longest name that a stranger gave, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;
/// Longest detail of what a stranger was refused, in bytes: it may be made of what they sent.
const MAX_STRANGER_BYTES: usize = 256;

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
    /// Two living machines have the token of one host, or no longer.
    Conflict,
    /// One of them was chosen.
    ChooseMachine,
    /// The database was damaged or gone, and a new one was made.
    DatabaseAnew,
    /// Something that was refused before it was clear what it was.
    Request,
}

/// One line of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) time: Timestamp,
    /// Who, or who they said they were.
    pub(super) user: Option<String>,
    pub(super) role: Option<String>,
    pub(super) via: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) action: Action,
    pub(super) host_id: Option<HostId>,
    pub(super) run_id: Option<RunId>,
    pub(super) command: Option<CommandName>,
    /// `ok` or `refused`.
    pub(super) result: String,
    pub(super) detail: Option<String>,
    /// The hosts of a request for several: those for which it was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hosts: Vec<HostId>,
    /// How many more refusals there were since the record before, which were not worth a line each.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) left_out: u64,
    /// SHA-256 of the line before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prev: Option<String>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is known of a deed.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(super) record: Record,
    pub(super) is_stranger: bool,
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
            hosts: Vec::new(),
            left_out: 0,
            prev: None,
        };
        let is_stranger = who.is_none();
        Self {
            record,
            is_stranger,
        }
    }

    /// The dashboard itself noticed something.
    pub(crate) fn of_dashboard(action: Action) -> Self {
        Self::of(None, ClientAddress(None), action)
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

    /// To these hosts.
    pub(crate) fn hosts(mut self, hosts: Vec<HostId>) -> Self {
        self.record.hosts = hosts;
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

    /// It was refused, in these words.
    pub(super) fn refused(mut self, why: &str) -> Self {
        let most = if self.is_stranger {
            MAX_STRANGER_BYTES
        } else {
            MAX_TEXT_BYTES
        };
        self.record.detail = Some(why[..why.floor_char_boundary(most)].to_owned());
        self.record.result = "refused".to_owned();
        self
    }

    /// It worked: whoever it was, they showed who they are.
    pub(super) fn ok(mut self) -> Self {
        self.record.result = "ok".to_owned();
        self.is_stranger = false;
        self
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned()
}
