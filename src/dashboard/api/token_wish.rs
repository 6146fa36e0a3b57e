//! What is asked for where a token is to be made: `{"kind": "agent", "host_id"}`, `{"kind": "api", "name", "role", "hosts"}`
//! or `{"kind": "enrolment", "hosts"}`, the last two with `expires` or without; and `password` or `code` of whoever asks.

use crate::dashboard::auth::{Again, Grant, Role, Scope, is_user_name};
use crate::dashboard::problem::Problem;
use crate::protocol::{HostId, Timestamp};
use serde::Deserialize;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// How long an API token lasts where nobody says,
const API_LIFETIME_MS: i64 = 90 * DAY_MS;
/// and an enrolment secret.
const ENROLMENT_LIFETIME_MS: i64 = DAY_MS;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    kind: Kind,
    host_id: Option<HostId>,
    name: Option<String>,
    role: Option<Role>,
    hosts: Option<Scope>,
    expires: Option<Expiry>,
    password: Option<String>,
    code: Option<String>,
}

/// A wish that can be fulfilled.
pub(super) struct Wanted {
    pub(super) grant: Grant,
    pub(super) expires: Option<Timestamp>,
    pub(super) again: Again,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Agent,
    Api,
    Enrolment,
}

/// When a token ends.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
enum Expiry {
    /// Whoever wants that says so.
    Never,
    At(Timestamp),
}

impl TryFrom<String> for Expiry {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let at = Timestamp::parse(&text).map(Self::At);
        at.ok_or_else(|| {
            format!("`expires` is {text:?}: give \"2027-01-31T00:00:00Z\" or \"never\"")
        })
    }
}

impl Wish {
    /// # Errors
    /// 400 when something is missing, does not go with the kind, or is over already.
    pub(super) fn wanted(self, now: Timestamp) -> Result<Wanted, Problem> {
        let kind = self.kind;
        self.only_of(kind)?;
        let expires = self.expires_at(now)?;
        let grant = match kind {
            Kind::Agent => Grant::Agent {
                host_id: given("host_id", self.host_id)?,
            },
            Kind::Api => Grant::Api {
                name: user_name(given("name", self.name)?)?,
                role: given("role", self.role)?,
                hosts: given("hosts", self.hosts)?,
            },
            Kind::Enrolment => Grant::Enrolment {
                hosts: given("hosts", self.hosts)?,
            },
        };
        let again = Again {
            password: self.password,
            code: self.code,
        };
        Ok(Wanted {
            grant,
            expires,
            again,
        })
    }

    /// Refuses what would change nothing, which is not what somebody meant who wrote it.
    fn only_of(&self, kind: Kind) -> Result<(), Problem> {
        let (is_agent, is_api) = (matches!(kind, Kind::Agent), matches!(kind, Kind::Api));
        let fields = [
            ("host_id", self.host_id.is_some(), is_agent),
            ("name", self.name.is_some(), is_api),
            ("role", self.role.is_some(), is_api),
            ("hosts", self.hosts.is_some(), !is_agent),
            ("expires", self.expires.is_some(), !is_agent),
        ];
        match fields.iter().find(|(_, is_given, fits)| *is_given && !fits) {
            Some((name, ..)) => Err(Problem::bad_request(format!(
                "`{name}` does not go with this kind of token: leave it out"
            ))),
            None => Ok(()),
        }
    }

    fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let after = |ms| Some(Timestamp::from_millis(now.millis().saturating_add(ms)));
        match (self.expires, self.kind) {
            (Some(Expiry::Never), _) | (None, Kind::Agent) => Ok(None),
            (Some(Expiry::At(at)), _) if at <= now => Err(Problem::bad_request(format!(
                "`expires` is {at}, which is in the past (it is {now} now)"
            ))),
            (Some(Expiry::At(at)), _) => Ok(Some(at)),
            (None, Kind::Api) => Ok(after(API_LIFETIME_MS)),
            (None, Kind::Enrolment) => Ok(after(ENROLMENT_LIFETIME_MS)),
        }
    }
}

fn given<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::bad_request(format!("`{name}` is missing")))
}

fn user_name(name: String) -> Result<String, Problem> {
    if is_user_name(&name) {
        Ok(name)
    } else {
        Err(Problem::bad_request(format!(
            "{name:?} is not a valid user name: use letters, digits, '.', '_', '@' and '-', at most 63 characters"
        )))
    }
}
