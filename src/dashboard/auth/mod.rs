//! Who may come in, from where, and what they may do.
//!
//! `guard` stands before every route; handlers take the `Identity` it found. What stays open (a WebSocket,
//! mostly) asks `Auth::holds` again at each of `Auth::changes`.

mod agents_file;
mod credentials;
mod credentials_file;
mod guard;
mod identity;
mod limiter;
mod origin;
mod password;
mod sessions;
mod token;
mod users_file;

pub(crate) use credentials::{Credentials, Known};
pub(crate) use guard::guard;
pub(crate) use identity::{Identity, Via};
pub use identity::{Role, is_user_name};
pub use password::{PasswordError, hash as hash_password};
pub(crate) use sessions::{Session, Sessions};
pub use token::{SecretHash, new_token};

use super::config::Config;
use super::problem::Problem;
use crate::config_file::ConfigError;
use crate::protocol::{HostId, Timestamp};
use axum::http::{HeaderMap, header};
use limiter::Limiter;
use origin::{OriginRules, secure_cookies};
use password::Passwords;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, watch};

/// The name of the cookie.
const COOKIE: &str = "switchyard";

/// How many people may wait for their password to be checked.
const MOST_SIGNING_IN: usize = 32;

/// A longer password is none; keeps the work of hashing it small.
const LONGEST_PASSWORD: usize = 4096;

/// Everything that decides who may come in.
#[derive(Debug)]
pub(crate) struct Auth {
    /// Hosts and users.
    pub(crate) credentials: Credentials,
    /// Who is signed in.
    pub(crate) sessions: Sessions,
    origins: OriginRules,
    limiter: Limiter,
    passwords: Passwords,
    signing_in: Semaphore,
}

impl Auth {
    /// Reads the files that `config` names.
    pub(crate) fn load(config: &Config) -> Result<Self, ConfigError> {
        let (agents, users) = (config.agents_file.as_deref(), config.users_file.as_deref());
        Ok(Self {
            credentials: Credentials::load(agents, users)?,
            sessions: Sessions::default(),
            origins: OriginRules::new(config.public_url.clone()),
            limiter: Limiter::default(),
            passwords: Passwords::new(),
            signing_in: Semaphore::new(MOST_SIGNING_IN),
        })
    }

    /// The host an agent's token speaks for, and the token's hash for [`holds_agent`](Self::holds_agent).
    ///
    /// # Errors
    /// 401 without a valid token.
    pub(crate) fn agent_host(&self, headers: &HeaderMap) -> Result<(HostId, SecretHash), Problem> {
        let hash = bearer(headers).ok_or_else(Problem::unauthorized)?;
        match self.credentials.agent(hash) {
            Some(host) => Ok((host, hash)),
            None => {
                tracing::warn!("an agent came with a token that is not in the agents file");
                Err(Problem::unauthorized())
            }
        }
    }

    /// Whether a token still speaks for a host.
    pub(crate) fn holds_agent(&self, host: &HostId, hash: SecretHash) -> bool {
        self.credentials.agent(hash).as_ref() == Some(host)
    }

    /// Whether somebody may still be here; keeps their session alive.
    pub(crate) fn holds(&self, identity: &Identity, now: Timestamp) -> bool {
        match identity.via {
            Via::Open => true,
            Via::Token(hash) => self.credentials.user(hash).as_ref() == Some(identity),
            Via::Session(id) => self.in_session(id, now).as_ref() == Some(identity),
        }
    }

    /// Tells when [`holds`](Self::holds) may answer differently. Make one before the first question, and keep it.
    pub(crate) fn changes(&self) -> Changes {
        Changes {
            reloads: self.credentials.reloads(),
            ends: self.sessions.ends(),
        }
    }

    /// Signs somebody in and gives the value of `Set-Cookie`, and the session's id.
    ///
    /// # Errors
    /// 401 for a wrong name or password, which take the same time; 429 after too many.
    pub(crate) async fn sign_in(
        &self,
        user: &str,
        password: String,
        address: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<(String, SecretHash), Problem> {
        let Ok(_one_of_few) = self.signing_in.try_acquire() else {
            return Err(Problem::too_many(std::time::Duration::from_secs(1)));
        };
        let wrong = || Problem::unauthorized().because("wrong user or password");
        if !is_user_name(user) || password.len() > LONGEST_PASSWORD {
            return Err(wrong());
        }
        self.limiter
            .begin(user, address, Instant::now())
            .map_err(Problem::too_many)?;
        let known = self.credentials.password(user);
        let hash = known.as_ref().map(|known| known.phc.clone());
        if !self.passwords.check(hash.clone(), password).await {
            tracing::warn!(user, "a wrong user or password");
            return Err(wrong());
        }
        self.limiter.succeeded(user, address);
        let hash = SecretHash::of(&hash.unwrap_or_default());
        tracing::info!(user, "signed in");
        let (cookie, id) = self
            .sessions
            .create(user, hash, Timestamp::now())
            .map_err(|error| Problem::internal(&error))?;
        let cookie = set_cookie(&cookie, headers, sessions::MAX_AGE_MS / 1000);
        Ok((cookie, id))
    }

    /// Ends somebody's session and gives the value of `Set-Cookie`.
    pub(crate) fn sign_out(&self, identity: &Identity, headers: &HeaderMap) -> String {
        if let Via::Session(id) = identity.via {
            self.sessions.remove(id);
        }
        set_cookie("", headers, 0)
    }

    fn in_session(&self, id: SecretHash, now: Timestamp) -> Option<Identity> {
        let session = self.sessions.find(id, now)?;
        let password = self.credentials.password(&session.user)?;
        (SecretHash::of(&password.phc) == session.password).then_some(Identity {
            name: session.user,
            role: password.role,
            via: Via::Session(id),
        })
    }
}

/// Waits for credentials that are reloaded and people who sign out.
#[derive(Debug)]
pub(crate) struct Changes {
    reloads: watch::Receiver<Arc<Known>>,
    ends: watch::Receiver<()>,
}

impl Changes {
    /// Returns at the next change.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.reloads.changed() => {}
            _ = self.ends.changed() => {}
        }
    }
}

/// The hash of the token in `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<SecretHash> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| SecretHash::of(token.trim()))
}

fn set_cookie(value: &str, headers: &HeaderMap, seconds: i64) -> String {
    let secure = if secure_cookies(headers) {
        "; Secure"
    } else {
        ""
    };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The hash of our cookie.
fn cookie(headers: &HeaderMap) -> Option<SecretHash> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| SecretHash::of(value))
}
