//! Who may come in, from where, and what they may do.
//!
//! `guard` stands before every route; handlers take the `Identity` it found. What stays open (a WebSocket,
//! mostly) asks `Auth::holds` again at each of `Auth::changes`.

mod agents_file;
mod confirm;
mod credentials;
mod credentials_file;
mod device;
mod grants;
mod guard;
mod identity;
mod known;
mod limiter;
mod one_time;
mod origin;
mod parts;
mod password;
mod peer;
mod scope;
mod sessions;
mod sign_in;
mod token;
mod users_file;
mod uses;

pub(crate) use confirm::Again;
pub(crate) use credentials::{Credentials, Enrolment, GrantError, TokenView, Trade};
pub(crate) use grants::{Grant, Issued, Ledger, Maker, Revoked};
pub(crate) use guard::guard;
pub(crate) use identity::{Identity, Via};
pub use identity::{Role, is_user_name};
pub(crate) use known::Known;
pub use one_time::new_totp_secret;
pub use password::{PasswordError, hash as hash_password};
pub(crate) use peer::{ClientAddress, Peer, network, wider};
pub(crate) use scope::Scope;
pub(crate) use sessions::{Session, SessionView, Sessions};
pub(crate) use sign_in::Attempt;
pub use token::{SecretHash, new_token};

use super::config::Config;
use super::problem::Problem;
use crate::config_file::ConfigError;
use crate::protocol::{HostId, Timestamp};
use axum::http::{HeaderMap, header};
use device::Devices;
use origin::{OriginRules, is_at_loopback, secure_cookies};
use peer::Proxies;
use sign_in::SignIn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use uses::Uses;

/// The name of the cookie,
const COOKIE: &str = "switchyard";
/// and where it travels through TLS alone: with this prefix no other host of the domain can plant one.
const SECURE_COOKIE: &str = "__Host-switchyard";

/// Everything that decides who may come in.
#[derive(Debug)]
pub(crate) struct Auth {
    /// Hosts and users.
    pub(crate) credentials: Credentials,
    /// Who is signed in.
    pub(crate) sessions: Sessions,
    /// How tokens are used.
    pub(crate) uses: Arc<Uses>,
    origins: OriginRules,
    proxies: Proxies,
    sign_in: SignIn,
}

impl Auth {
    /// Reads the files that `config` names.
    /// No browser is known before [`load_devices`](Self::load_devices).
    pub(crate) fn load(config: &Config) -> Result<Self, ConfigError> {
        let (agents, users) = (config.agents_file.as_deref(), config.users_file.as_deref());
        Ok(Self {
            credentials: Credentials::load(agents, users)?,
            sessions: Sessions::new(config.sessions),
            uses: Arc::new(Uses::new(Timestamp::now())),
            origins: OriginRules::new(config.public_url.clone()),
            proxies: Proxies::new(&config.proxy),
            sign_in: SignIn::new(),
        })
    }

    /// Knows the browsers again in which somebody signed in before.
    ///
    /// # Errors
    /// When the key in the data folder can neither be read nor made.
    pub(crate) fn load_devices(&mut self, data_dir: &Path) -> io::Result<()> {
        self.sign_in.use_devices(Devices::load(data_dir)?);
        Ok(())
    }

    /// Goes on with the sessions that were stored.
    pub(crate) fn remember_sessions(&self, stored: Vec<(SecretHash, Session)>) {
        for (_, session) in &stored {
            self.sign_in.was_let_in(&session.user, session.created);
        }
        self.sessions.load(stored);
    }

    /// Whether browsers reach us through TLS.
    pub(crate) fn is_behind_tls(&self) -> bool {
        self.origins.is_https()
    }

    /// Says so where nobody can sign in with a password at the address that `public_url` names.
    pub(crate) fn warn_without_sign_in(&self) {
        if let Some(public_url) = self.origins.without_sign_in() {
            tracing::warn!(
                public_url,
                "signing in with a password does not work at this address: browsers keep a sign-in only over https://; put a proxy with TLS in front and set `public_url` to its https:// address, or sign in through an SSH tunnel to localhost"
            );
        }
    }

    /// How often a password was hashed to compare it.
    pub(crate) fn password_checks(&self) -> u64 {
        self.sign_in.password_checks()
    }

    /// The host an agent's token speaks for, and the token's hash for [`holds_agent`](Self::holds_agent).
    ///
    /// # Errors
    /// 401 without a valid token.
    pub(crate) fn agent_host(&self, headers: &HeaderMap) -> Result<(HostId, SecretHash), Problem> {
        let token = bearer_text(headers).ok_or_else(Problem::unauthorized)?;
        let hash = SecretHash::of(token);
        if let Some(host) = self.credentials.agent(hash) {
            return Ok((host, hash));
        }
        let as_hash = SecretHash::parse(token);
        let is_hash = as_hash.is_some_and(|hash| self.credentials.agent(hash).is_some());
        Err(Problem::unknown_token(if is_hash {
            "this is the hash of a host's token, not the token itself: use the token that `switchyard token` printed on standard output"
        } else {
            "no host has this token"
        }))
    }

    /// The hash of an enrolment secret that is good for some host.
    pub(crate) fn enrolment(&self, headers: &HeaderMap, now: Timestamp) -> Option<SecretHash> {
        let now = self.sessions.clock.not_before(now);
        bearer(headers).filter(|hash| self.credentials.enrols(*hash, now))
    }

    /// Whether a token still speaks for a host.
    pub(crate) fn holds_agent(&self, host: &HostId, hash: SecretHash) -> bool {
        self.credentials.agent(hash).as_ref() == Some(host)
    }

    /// Whether somebody may still be here. To ask is no use of their session; that is `active`.
    pub(crate) fn holds(&self, identity: &Identity, active: bool, now: Timestamp) -> bool {
        let now = self.sessions.clock.not_before(now);
        let present = match identity.via {
            Via::Open | Via::Socket => return true,
            Via::Token(hash) => self.credentials.user(hash, now),
            Via::Proxy => self.credentials.proxied(&identity.name, now),
            Via::Session(id) => self.in_session(id, active, now),
        };
        present.as_ref() == Some(identity)
    }

    /// Tells when [`holds`](Self::holds) may answer differently. Make one before the first question, and keep it.
    pub(crate) fn changes(&self) -> Changes {
        Changes {
            reloads: self.credentials.reloads(),
            ends: self.sessions.ends(),
        }
    }

    /// Ends somebody's session and gives the value of `Set-Cookie`.
    pub(crate) fn sign_out(&self, identity: &Identity, headers: &HeaderMap) -> String {
        if let Via::Session(id) = identity.via {
            self.sessions.remove(id);
        }
        set_cookie("", headers, 0)
    }

    /// The same for [`holds_agent`](Self::holds_agent).
    pub(crate) fn token_changes(&self) -> TokenChanges {
        TokenChanges(self.credentials.reloads())
    }

    fn in_session(&self, id: SecretHash, use_of_it: bool, now: Timestamp) -> Option<Identity> {
        let session = self.sessions.find(id, now, use_of_it)?;
        let password = self.credentials.password(&session.user)?;
        if password.fingerprint() != session.password {
            return None;
        }
        password.person.identity(Via::Session(id), now)
    }
}

/// Waits for tokens that change.
#[derive(Debug)]
pub(crate) struct TokenChanges(watch::Receiver<Arc<Known>>);

impl TokenChanges {
    /// Returns at the next change.
    pub(crate) async fn next(&mut self) {
        let _ = self.0.changed().await;
    }
}

/// Waits for credentials that change and sessions that end.
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
    bearer_text(headers).map(SecretHash::of)
}

fn bearer_text(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn set_cookie(value: &str, headers: &HeaderMap, seconds: u64) -> String {
    let (name, secure) = if secure_cookies(headers) {
        (SECURE_COOKIE, "; Secure")
    } else {
        (COOKIE, "")
    };
    let name = origin::cookie_name(name, headers);
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The hash of our cookie. The one that nobody else can have planted comes first, and where the page came through
/// TLS it alone counts.
fn cookie(headers: &HeaderMap) -> Option<SecretHash> {
    let named = |wanted: &str| {
        let wanted = origin::cookie_name(wanted, headers);
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| SecretHash::of(value))
    };
    let plain = || is_at_loopback(headers).then(|| named(COOKIE)).flatten();
    named(SECURE_COOKIE).or_else(plain)
}

#[cfg(test)]
pub(crate) use password::DUMMY;

/// Reads bytes as every file and every header there is.
#[cfg(test)]
pub(crate) fn try_parsing(bytes: &[u8]) {
    use super::config::{ProxyConfig, PublicUrl};
    let text = String::from_utf8_lossy(bytes);
    let path = std::path::Path::new("x");
    let _ = users_file::parse(path, &text);
    let _ = agents_file::parse(path, &text);
    let _ = (Scope::parse(&text), PublicUrl::parse(&text));
    let Ok(value) = axum::http::HeaderValue::from_bytes(bytes) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for name in [
        "host",
        "origin",
        "cookie",
        "authorization",
        "x-forwarded-for",
        "x-user",
    ] {
        headers.insert(name, value.clone());
    }
    let _ = (bearer(&headers), cookie(&headers), secure_cookies(&headers));
    let rules = OriginRules::new(PublicUrl::parse("https://fleet.example.org").ok());
    if rules.accepts_host(&headers) {
        assert!(!text.contains(['/', '@', ' ']), "{text}");
    }
    let _ = rules.accepts_origin(&headers);
    let proxies = Proxies::new(&ProxyConfig {
        trusted: vec![std::net::Ipv4Addr::LOCALHOST.into()],
        user_header: Some(axum::http::HeaderName::from_static("x-user")),
    });
    let peer = Some(Peer::Address(std::net::Ipv4Addr::LOCALHOST.into()));
    let _ = (
        proxies.client(peer, &headers),
        proxies.user(peer, &headers).is_ok(),
    );
}
