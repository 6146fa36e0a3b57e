use super::scope::Scope;
use super::token::SecretHash;
use crate::dashboard::problem::Problem;
use crate::protocol::Timestamp;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What somebody may do; each may all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Run commands.
    Operator,
    /// Everything.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| format!("{text:?} is not a role: use viewer, operator or admin"))
    }
}

/// Whether a text can name a user: letters, digits, `.`, `_`, `@` and `-`, at most 63, beginning with a letter or digit.
pub fn is_user_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'))
}

/// How somebody showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// By signing in; the hash of the cookie.
    Session(SecretHash),
    /// By an API token; its hash.
    Token(SecretHash),
    /// The proxy in front of us says who it is.
    Proxy,
    /// Over the socket in the data folder, which only its owner and root can open.
    Socket,
    /// There are no users: every visitor is an admin.
    Open,
}

impl Via {
    /// In one word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Token(_) => "token",
            Self::Proxy => "proxy",
            Self::Socket => "socket",
            Self::Open => "open",
        }
    }

    /// Whether a browser would send it along by itself, whatever page made it ask.
    pub(super) fn is_ambient(self) -> bool {
        !matches!(self, Self::Token(_) | Self::Socket)
    }
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user's name.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
    /// How they showed it.
    pub(crate) via: Via,
    /// Of which hosts.
    pub(crate) scope: Scope,
    /// From when on no more.
    pub(crate) expires: Option<Timestamp>,
}

/// The name of whoever comes in without one.
pub(super) const LOCAL: &str = "local";

impl Identity {
    /// The visitor of a dashboard without users.
    pub(crate) fn open() -> Self {
        Self {
            name: LOCAL.to_owned(),
            role: Role::Admin,
            via: Via::Open,
            scope: Scope::EVERY,
            expires: None,
        }
    }

    /// Who has the socket in the data folder.
    pub(crate) fn socket() -> Self {
        Self {
            via: Via::Socket,
            ..Self::open()
        }
    }

    /// Refuses with 403 who may not what `role` may.
    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            Ok(())
        } else {
            Err(Problem::forbidden(format!(
                "this needs the role {role}; {} has the role {}",
                self.name, self.role
            )))
        }
    }

    /// Refuses with 403 who may not do this to the whole fleet.
    pub(crate) fn require_every_host(&self) -> Result<(), Problem> {
        if self.scope.is_every() {
            Ok(())
        } else {
            Err(Problem::forbidden(format!(
                "this needs access to every host; {} has access to {} only",
                self.name, self.scope
            )))
        }
    }
}

/// The guard put it there; without one nobody gets past it.
impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(Problem::unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_lesser_ones_may() {
        let of = |role| Identity {
            role,
            ..Identity::open()
        };
        assert!(of(Role::Admin).require(Role::Operator).is_ok());
        assert!(of(Role::Operator).require(Role::Operator).is_ok());
        assert!(of(Role::Viewer).require(Role::Operator).is_err());
        assert!("root".parse::<Role>().is_err());
    }
}
