//! Who may come in: both files, read at the start and anew on reload, and what the dashboard itself gave and took.

use super::grants::{Grant, Issued, Ledger, Maker, Revoked};
use super::identity::{Identity, Via};
use super::known::{Holder, Known, Password};
use super::parts::Parts;
use super::token::SecretHash;
use super::uses::Uses;
use crate::config_file::ConfigError;
use crate::protocol::{HostId, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// While a token is replaced a host has an old and a new one.
const MOST_TOKENS_OF_A_HOST: usize = 2;

/// The hosts and users that may come in. Connections watch it and end when their hash is gone.
#[derive(Debug)]
pub(crate) struct Credentials {
    agents_file: Option<PathBuf>,
    users_file: Option<PathBuf>,
    parts: Mutex<Parts>,
    known: watch::Sender<Arc<Known>>,
}

/// A token, for an admin to look at. Its hash names it, and opens nothing.
#[derive(Debug, Serialize)]
pub(crate) struct TokenView {
    pub(crate) id: SecretHash,
    #[serde(flatten)]
    grant: Grant,
    expires: Option<Timestamp>,
    /// Whether it stands in one of the files.
    in_file: bool,
    created: Option<Timestamp>,
    created_by: Option<String>,
    revoked: Option<Timestamp>,
    revoked_by: Option<String>,
    /// Whether somebody is connected by it now.
    connected: bool,
    /// None where it was not, as far as [`Uses`] goes back.
    last_used: Option<Timestamp>,
    /// Whether it is good no more, because whoever made it may make none today.
    maker_gone: bool,
}

/// A token that was given for an enrolment secret.
#[derive(Debug)]
pub(crate) struct Trade {
    pub(crate) issued: Issued,
    /// Tokens that were given for the same secret, and are no more.
    pub(crate) gone: Vec<SecretHash>,
}

/// What becomes of a secret and of its tokens once a host has come with one of them.
#[derive(Debug)]
pub(crate) struct Enrolment {
    pub(crate) secret: SecretHash,
    /// Of the secret.
    pub(crate) used: Revoked,
    /// Of the host's token.
    pub(crate) issued: Issued,
    /// The other tokens that were given for it.
    pub(crate) gone: Vec<SecretHash>,
}

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("{0} already has two tokens: revoke one of them first")]
    TwoAlready(HostId),
    #[error("this enrolment secret is wrong, used or expired: make a new one")]
    NoEnrolment,
    #[error("this enrolment secret is not valid for host {0}")]
    OtherHost(HostId),
    #[error("{0} already has a token: revoke it first")]
    HasToken(HostId),
}

impl Credentials {
    /// Reads both files. Without an agents file no agent is known, without a users file every visitor is an admin.
    ///
    /// # Errors
    /// When one cannot be read, has a line that cannot be used, or one hash stands for two.
    pub(crate) fn load(
        agents_file: Option<&Path>,
        users_file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let files = Known::read(agents_file, users_file)?;
        let known = watch::Sender::new(Arc::new(files.clone()));
        let ledger = Ledger::default();
        Ok(Self {
            agents_file: agents_file.map(Path::to_owned),
            users_file: users_file.map(Path::to_owned),
            parts: Mutex::new(Parts { files, ledger }),
            known,
        })
    }

    /// Reads both files again; on an error everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        let files = Known::read(self.agents_file.as_deref(), self.users_file.as_deref())?;
        self.change(|parts| parts.files = files);
        self.warn_of_gone_makers();
        Ok(())
    }

    /// Goes on with what was stored.
    pub(crate) fn remember(&self, ledger: Ledger) {
        self.change(|parts| parts.ledger = ledger);
        self.warn_of_gone_makers();
    }

    /// Says which tokens are good no more because of who made them.
    fn warn_of_gone_makers(&self) {
        let parts = self.lock();
        let mut makers: Vec<&str> = parts.of_gone_makers().collect();
        let tokens = makers.len();
        if tokens == 0 {
            return;
        }
        makers.sort_unstable();
        makers.dedup();
        tracing::warn!(
            tokens,
            makers = makers.join(", "),
            "tokens no longer work, because the users who made them are no longer admins of every host in the users file: revoke the tokens under Access, or with `switchyard admin revoke`"
        );
    }

    /// Takes a new token up.
    ///
    /// # Errors
    /// When its host has two already.
    pub(crate) fn issue(&self, hash: SecretHash, issued: Issued) -> Result<(), GrantError> {
        self.change(|parts| {
            if let Grant::Agent { host_id } = &issued.grant
                && parts.known().tokens_of(host_id) >= MOST_TOKENS_OF_A_HOST
            {
                return Err(GrantError::TwoAlready(host_id.clone()));
            }
            parts.ledger.issued.insert(hash, issued);
            Ok(())
        })
    }

    /// Takes a token back; `false` where there is none of this hash, or it was taken back before.
    pub(crate) fn revoke(&self, hash: SecretHash, revoked: Revoked) -> bool {
        self.change(|parts| {
            let known = parts.has(hash);
            if known {
                parts.ledger.revoked.insert(hash, revoked);
            }
            known
        })
    }

    /// Gives one host a token for an enrolment secret. The host must have none: whoever finds a secret for many hosts
    /// gets no door to those that are here. The secret is used up when a host [comes with](Self::take_up) such a
    /// token: one that hangs up before it has its token spends nothing.
    ///
    /// # Errors
    /// When the secret is not good for that, or no longer.
    pub(crate) fn enrol(
        &self,
        secret: SecretHash,
        host: &HostId,
        token: SecretHash,
        now: Timestamp,
    ) -> Result<Trade, GrantError> {
        self.change(|parts| {
            let known = parts.known();
            let Some(Holder::Enrolment(scope, expires)) = known.holders.get(&secret) else {
                return Err(GrantError::NoEnrolment);
            };
            if expires.is_some_and(|at| at <= now) {
                return Err(GrantError::NoEnrolment);
            }
            if !scope.has(host) {
                return Err(GrantError::OtherHost(host.clone()));
            }
            if known.tokens_of(host) > parts.traded(secret, Some(host)).len() {
                return Err(GrantError::HasToken(host.clone()));
            }
            let issued = Issued {
                grant: Grant::Agent {
                    host_id: host.clone(),
                },
                expires: None,
                created: now,
                created_by: format!("{host} by enrolment"),
                maker: Some(Maker::Local),
                traded_for: Some(secret),
            };
            let gone = parts.make_room_for_trade(secret);
            parts.ledger.issued.insert(token, issued.clone());
            Ok(Trade { issued, gone })
        })
    }

    /// Uses up the secret for which a token was given, because its host has it; none where that was done, or the token
    /// was not got so.
    pub(crate) fn take_up(&self, token: SecretHash, now: Timestamp) -> Option<Enrolment> {
        // Of most tokens that is known without a change, which costs more.
        self.lock().ledger.issued.get(&token)?.traded_for?;
        self.change(|parts| {
            let issued = parts.ledger.issued.get(&token)?;
            let secret = issued.traded_for?;
            if parts.ledger.revoked.contains_key(&secret)
                || parts.ledger.revoked.contains_key(&token)
            {
                return None;
            }
            let mut issued = issued.clone();
            issued.traded_for = None;
            let by = match &issued.grant {
                Grant::Agent { host_id } => format!("its use by {host_id}"),
                Grant::Api { .. } | Grant::Enrolment { .. } => return None,
            };
            let used = Revoked { time: now, by };
            parts.ledger.issued.insert(token, issued.clone());
            let gone = parts.traded(secret, None);
            for other in &gone {
                parts.ledger.issued.remove(other);
            }
            parts.ledger.revoked.insert(secret, used.clone());
            Some(Enrolment {
                secret,
                used,
                issued,
                gone,
            })
        })
    }

    /// Whether a secret with this hash lets some host enrol.
    pub(super) fn enrols(&self, hash: SecretHash, now: Timestamp) -> bool {
        match self.known.borrow().holders.get(&hash) {
            Some(Holder::Enrolment(_, expires)) => expires.is_none_or(|at| now < at),
            _ => false,
        }
    }

    /// Every token there is or was.
    pub(crate) fn tokens(&self, uses: &Uses) -> Vec<TokenView> {
        let parts = self.lock();
        let admins = parts.admins();
        let revoked = |id: &SecretHash| parts.ledger.revoked.get(id).cloned();
        let in_files = parts.files.holders.iter().map(|(id, holder)| {
            let (grant, expires) = holder.grant();
            (id, grant, Ok(expires), true, None, None)
        });
        let issued = parts.ledger.issued.iter();
        let issued = issued.map(|(id, issued)| {
            let by = Some(issued.created_by.clone());
            let created = Some(issued.created);
            let lasts = parts.lasts(issued, &admins);
            (
                id,
                issued.grant.clone(),
                lasts.map_err(|_| issued.expires),
                false,
                created,
                by,
            )
        });
        let all = in_files.chain(issued);
        let mut all: Vec<TokenView> = all
            .map(|(id, grant, lasts, in_file, created, created_by)| {
                let (revoked, revoked_by) = match revoked(id) {
                    Some(Revoked { time, by }) => (Some(time), Some(by)),
                    None => (None, None),
                };
                let id = *id;
                let used = uses.of(id);
                TokenView {
                    id,
                    grant,
                    maker_gone: lasts.is_err(),
                    expires: lasts.unwrap_or_else(|stored| stored),
                    in_file,
                    created,
                    created_by,
                    revoked,
                    revoked_by,
                    connected: used.is_some_and(|used| used.connections > 0),
                    last_used: used.map(|used| used.last),
                }
            })
            .collect();
        all.sort_by_key(|token| (token.created, token.id));
        all
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Parts) -> T) -> T {
        let mut parts = self.lock();
        let result = change(&mut parts);
        self.known.send_replace(Arc::new(parts.known()));
        result
    }

    /// Changes with each reload, and with each token that is given or taken.
    pub(crate) fn reloads(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Whether every visitor is an admin.
    pub(crate) fn is_open(&self) -> bool {
        self.users_file.is_none()
    }

    /// Every host that may have a token.
    pub(crate) fn hosts(&self) -> BTreeSet<HostId> {
        self.known.borrow().hosts.clone()
    }

    /// The host that holds the token with this hash.
    pub(crate) fn agent(&self, hash: SecretHash) -> Option<HostId> {
        match self.known.borrow().holders.get(&hash) {
            Some(Holder::Agent(host)) => Some(host.clone()),
            _ => None,
        }
    }

    /// The user who holds the API token with this hash.
    pub(crate) fn user(&self, hash: SecretHash, now: Timestamp) -> Option<Identity> {
        match self.known.borrow().holders.get(&hash) {
            Some(Holder::User(person)) => person.identity(Via::Token(hash), now),
            _ => None,
        }
    }

    /// Whom the proxy may name so.
    pub(super) fn proxied(&self, name: &str, now: Timestamp) -> Option<Identity> {
        let known = self.known.borrow();
        known.proxied.get(name)?.identity(Via::Proxy, now)
    }

    /// Whether a name is that of somebody who may sign in, or whom the proxy names.
    pub(crate) fn has_person(&self, name: &str) -> bool {
        let known = self.known.borrow();
        known.passwords.contains_key(name) || known.proxied.contains_key(name)
    }

    /// The password of a user, if they have one.
    pub(super) fn password(&self, name: &str) -> Option<Password> {
        self.known.borrow().passwords.get(name).cloned()
    }

    /// The hash of somebody's password, to be checked in the place of one that does not exist.
    pub(super) fn stand_in(&self) -> Option<String> {
        let known = self.known.borrow();
        known
            .passwords
            .values()
            .next()
            .map(|found| found.phc.clone())
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
