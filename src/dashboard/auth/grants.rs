//! Tokens that were made by the dashboard itself, and tokens that were taken back. Both live in its own state, not
//! in the files, so they take effect at once.

use super::identity::{Identity, LOCAL, Role, Via};
use super::scope::Scope;
use super::token::SecretHash;
use crate::protocol::{HostId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Grant {
    /// To speak for a host.
    Agent {
        /// The host.
        host_id: HostId,
    },
    /// To use the API.
    Api {
        /// The user.
        name: String,
        /// What they may do.
        role: Role,
        /// Of which hosts.
        hosts: Scope,
    },
    /// To get the token of one host, once.
    Enrolment {
        /// One of these.
        hosts: Scope,
    },
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { host_id } => write!(f, "the token of the host {host_id}"),
            Self::Api { name, role, hosts } => {
                write!(f, "an API token of the {role} {name} for {hosts}")
            }
            Self::Enrolment { hosts } => write!(f, "an enrolment secret for {hosts}"),
        }
    }
}

/// What a token that the dashboard made depends on: it is good while its maker could make it today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Maker {
    /// Whoever may open the data folder, or a visitor of a dashboard without users: nothing.
    Local,
    /// The user who is named beside it, in the users file.
    User,
    /// Another API token.
    Token(SecretHash),
}

impl Maker {
    /// Of what somebody makes.
    pub(crate) fn of(identity: &Identity) -> Self {
        match identity.via {
            Via::Open | Via::Socket => Self::Local,
            Via::Session(_) | Via::Proxy => Self::User,
            Via::Token(hash) => Self::Token(hash),
        }
    }
}

/// A token that the dashboard made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issued {
    /// What for.
    #[serde(flatten)]
    pub(crate) grant: Grant,
    /// From when on no more.
    pub(crate) expires: Option<Timestamp>,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// By whom.
    pub(crate) created_by: String,
    /// What it depends on; not stored by earlier versions.
    #[serde(default)]
    pub(crate) maker: Option<Maker>,
    /// The enrolment secret for which it was given, until a host comes with it.
    #[serde(default)]
    pub(crate) traded_for: Option<SecretHash>,
}

impl Issued {
    pub(super) fn maker(&self) -> Maker {
        self.maker.unwrap_or_else(|| {
            if self.created_by == LOCAL {
                Maker::Local
            } else {
                Maker::User
            }
        })
    }
}

/// A token that was taken back, wherever it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revoked {
    /// When.
    pub(crate) time: Timestamp,
    /// By whom.
    pub(crate) by: String,
}

/// All of both.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) issued: HashMap<SecretHash, Issued>,
    pub(crate) revoked: HashMap<SecretHash, Revoked>,
}
