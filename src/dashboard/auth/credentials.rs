//! Who may come in: both files, read at the start and anew on reload, and what the dashboard itself gave and took.

use super::agents_file;
use super::credentials_file::wrong;
use super::grants::{Grant, Issued, Ledger, Revoked};
use super::identity::{Identity, Role, Via};
use super::one_time::OneTime;
use super::scope::Scope;
use super::token::SecretHash;
use super::users_file::{self, Secret};
use crate::config_file::ConfigError;
use crate::protocol::{HostId, Timestamp};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
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

/// What [`Known`] is made of.
#[derive(Debug, Default)]
struct Parts {
    files: Known,
    ledger: Ledger,
}

/// The password of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Password {
    /// Its argon2id hash.
    pub(crate) phc: String,
    /// Whom it lets in.
    pub(super) person: Person,
    /// Asked for besides.
    pub(super) one_time: Option<OneTime>,
}

/// Somebody, however they show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) scope: Scope,
    pub(super) expires: Option<Timestamp>,
}

/// Everybody who may come in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    hosts: BTreeSet<HostId>,
    holders: HashMap<SecretHash, Holder>,
    passwords: HashMap<String, Password>,
    proxied: HashMap<String, Person>,
}

/// Whom a hash stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Agent(HostId),
    User(Person),
    Enrolment(Scope, Option<Timestamp>),
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
}

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("{0} has two tokens already: revoke the old one first")]
    TwoAlready(HostId),
    #[error("this secret lets nobody enrol: it is wrong, used, or expired")]
    NoEnrolment,
    #[error("this secret is not for {0}")]
    OtherHost(HostId),
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
        Ok(())
    }

    /// Goes on with what was stored.
    pub(crate) fn remember(&self, ledger: Ledger) {
        self.change(|parts| parts.ledger = ledger);
    }

    /// Takes a new token up.
    ///
    /// # Errors
    /// When its host has two already.
    pub(crate) fn issue(&self, hash: SecretHash, issued: Issued) -> Result<(), GrantError> {
        self.change(|parts| {
            if let Grant::Agent { host_id } = &issued.grant {
                let known = parts.known();
                let agent = Holder::Agent(host_id.clone());
                let held = known.holders.values().filter(|holder| **holder == agent);
                if held.count() >= MOST_TOKENS_OF_A_HOST {
                    return Err(GrantError::TwoAlready(host_id.clone()));
                }
            }
            parts.ledger.issued.insert(hash, issued);
            Ok(())
        })
    }

    /// Takes a token back; `false` where there is none of this hash, or it was taken back before.
    pub(crate) fn revoke(&self, hash: SecretHash, revoked: Revoked) -> bool {
        self.change(|parts| {
            let known = parts.known().holders.contains_key(&hash);
            if known {
                parts.ledger.revoked.insert(hash, revoked);
            }
            known
        })
    }

    /// Uses an enrolment secret up for one host.
    ///
    /// # Errors
    /// When it is not good for that, or no longer.
    pub(crate) fn enrol(
        &self,
        secret: SecretHash,
        host: &HostId,
        now: Timestamp,
    ) -> Result<Revoked, GrantError> {
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
            let by = format!("its use by {host}");
            let used = Revoked { time: now, by };
            parts.ledger.revoked.insert(secret, used.clone());
            Ok(used)
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
    pub(crate) fn tokens(&self) -> Vec<TokenView> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let revoked = |id: &SecretHash| parts.ledger.revoked.get(id).cloned();
        let in_files = parts.files.holders.iter().map(|(id, holder)| {
            let (grant, expires) = holder.grant();
            (id, grant, expires, true, None, None)
        });
        let issued = parts.ledger.issued.iter();
        let issued = issued.map(|(id, issued)| {
            let by = Some(issued.created_by.clone());
            let created = Some(issued.created);
            (id, issued.grant.clone(), issued.expires, false, created, by)
        });
        let all = in_files.chain(issued);
        let mut all: Vec<TokenView> = all
            .map(|(id, grant, expires, in_file, created, created_by)| {
                let (revoked, revoked_by) = match revoked(id) {
                    Some(Revoked { time, by }) => (Some(time), Some(by)),
                    None => (None, None),
                };
                let id = *id;
                TokenView {
                    id,
                    grant,
                    expires,
                    in_file,
                    created,
                    created_by,
                    revoked,
                    revoked_by,
                }
            })
            .collect();
        all.sort_by_key(|token| (token.created, token.id));
        all
    }

    fn change<T>(&self, change: impl FnOnce(&mut Parts) -> T) -> T {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Parts {
    /// The files, with what was given and without what was taken.
    fn known(&self) -> Known {
        let mut known = self.files.clone();
        for (hash, issued) in &self.ledger.issued {
            let holder = match issued.grant.clone() {
                Grant::Agent { host_id } => Holder::Agent(host_id),
                Grant::Api { name, role, hosts } => Holder::User(Person {
                    name,
                    role,
                    scope: hosts,
                    expires: issued.expires,
                }),
                Grant::Enrolment { hosts } => Holder::Enrolment(hosts, issued.expires),
            };
            known.holders.entry(*hash).or_insert(holder);
        }
        for hash in self.ledger.revoked.keys() {
            known.holders.remove(hash);
        }
        for holder in known.holders.values() {
            if let Holder::Agent(host) = holder {
                known.hosts.insert(host.clone());
            }
        }
        known
    }
}

impl Person {
    pub(super) fn identity(&self, via: Via, now: Timestamp) -> Option<Identity> {
        let lasts = self.expires.is_none_or(|at| now < at);
        lasts.then(|| Identity {
            name: self.name.clone(),
            role: self.role,
            via,
            scope: self.scope.clone(),
            expires: self.expires,
        })
    }
}

impl Known {
    fn read(agents: Option<&Path>, users: Option<&Path>) -> Result<Self, ConfigError> {
        let mut known = Self::default();
        if let Some(path) = agents {
            for entry in agents_file::parse(path, &text(path)?)? {
                known.hosts.insert(entry.host.clone());
                known.add(path, entry.line, entry.hash, Holder::Agent(entry.host))?;
            }
        }
        let Some(path) = users else { return Ok(known) };
        // Apart from the tokens: a password's hash must never pass for one.
        let mut owners: HashMap<String, Holder> = HashMap::new();
        for entry in users_file::parse(path, &text(path)?)? {
            let person = Person {
                name: entry.name.clone(),
                role: entry.role,
                scope: entry.scope,
                expires: entry.expires,
            };
            match entry.secret {
                Secret::Token(hash) => {
                    known.add(path, entry.line, hash, Holder::User(person))?;
                }
                Secret::Proxy => {
                    known.proxied.insert(entry.name, person);
                }
                Secret::Password(phc) => {
                    let holder = Holder::User(person.clone());
                    let owner = owners.insert(phc.clone(), holder.clone());
                    distinct(path, entry.line, owner.as_ref(), &holder)?;
                    let one_time = entry.one_time;
                    let password = Password {
                        phc,
                        person,
                        one_time,
                    };
                    let before = known.passwords.insert(entry.name.clone(), password.clone());
                    if before.is_some_and(|before| before != password) {
                        let problem = format!("a second password for {}", entry.name);
                        return Err(wrong(path, entry.line, problem, "keep one of the two"));
                    }
                }
            }
        }
        Ok(known)
    }

    fn add(
        &mut self,
        path: &Path,
        line: usize,
        hash: SecretHash,
        holder: Holder,
    ) -> Result<(), ConfigError> {
        let before = self.holders.get(&hash);
        distinct(path, line, before, &holder)?;
        self.holders.insert(hash, holder);
        Ok(())
    }
}

/// One hash may not stand for two.
fn distinct(
    path: &Path,
    line: usize,
    before: Option<&Holder>,
    holder: &Holder,
) -> Result<(), ConfigError> {
    match before {
        Some(before) if before != holder => Err(wrong(
            path,
            line,
            format!("this hash stands for {} already", before.name()),
            "make a new token with `switchyard token`, or a new hash with `switchyard passwd`",
        )),
        _ => Ok(()),
    }
}

impl Holder {
    fn name(&self) -> String {
        match self {
            Self::Agent(host) => format!("the host {host}"),
            Self::User(person) => format!("the {} {}", person.role, person.name),
            Self::Enrolment(..) => "an enrolment".to_owned(),
        }
    }

    fn grant(&self) -> (Grant, Option<Timestamp>) {
        match self.clone() {
            Self::Agent(host_id) => (Grant::Agent { host_id }, None),
            Self::User(Person {
                name,
                role,
                scope: hosts,
                expires,
            }) => (Grant::Api { name, role, hosts }, expires),
            Self::Enrolment(hosts, expires) => (Grant::Enrolment { hosts }, expires),
        }
    }
}

fn text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::auth::password::DUMMY;

    fn files(agents: &str, users: &str) -> (tempfile::TempDir, Result<Credentials, ConfigError>) {
        let folder = tempfile::tempdir().unwrap();
        let (a, u) = (folder.path().join("agents"), folder.path().join("users"));
        std::fs::write(&a, agents).unwrap();
        std::fs::write(&u, users).unwrap();
        let loaded = Credentials::load(Some(&a), Some(&u));
        (folder, loaded)
    }

    #[test]
    fn a_token_speaks_for_its_holder_alone() {
        let (host, person) = (SecretHash::of("host"), SecretHash::of("person"));
        let users = format!("alice operator sha256:{person}\nalice admin {DUMMY}\n");
        let (_folder, credentials) = files(&format!("h1 {host}\n"), &users);
        let credentials = credentials.unwrap();
        assert_eq!(credentials.agent(host).unwrap().as_str(), "h1");
        assert_eq!(credentials.agent(person), None);
        let now = Timestamp::from_millis(0);
        assert_eq!(credentials.user(host, now), None);
        let user = credentials.user(person, now).unwrap();
        assert_eq!(user.role, Role::Operator);
        let password = credentials.password("alice").unwrap();
        assert_eq!(password.person.role, Role::Admin);
        assert_eq!(credentials.user(SecretHash::of(DUMMY), now), None);
        assert_eq!(credentials.password("bob"), None);
    }

    #[test]
    fn one_hash_for_two_is_an_error_across_both_files() {
        let hash = SecretHash::of("x");
        let error = |agents: &str, users: &str| files(agents, users).1.unwrap_err().to_string();
        let two = format!("h1 {hash}\nh2 {hash}\n");
        assert!(error(&two, "").contains("agents:2: this hash stands for the host h1"));
        let across = error(
            &format!("h1 {hash}\n"),
            &format!("\na admin sha256:{hash}\n"),
        );
        assert!(
            across.contains("users:2: this hash stands for the host h1"),
            "{across}"
        );
        let roles = format!("a admin sha256:{hash}\na viewer sha256:{hash}\n");
        assert!(error("", &roles).contains("users:2: this hash stands for the admin a"));
        let people = format!("a admin {DUMMY}\nb admin {DUMMY}\n");
        assert!(error("", &people).contains("users:2: this hash stands for the admin a"));
    }

    #[test]
    fn a_reload_forgets_what_is_gone_and_a_bad_one_changes_nothing() {
        let (old, new) = (SecretHash::of("old"), SecretHash::of("new"));
        let (folder, credentials) = files(&format!("h1 {old}\n"), "");
        let credentials = credentials.unwrap();
        let mut reloads = credentials.reloads();
        let agents = folder.path().join("agents");
        std::fs::write(&agents, "nonsense\n").unwrap();
        assert!(credentials.reload().is_err());
        assert!(!reloads.has_changed().unwrap());
        assert!(credentials.agent(old).is_some());
        std::fs::write(&agents, format!("h1 {new}\n")).unwrap();
        credentials.reload().unwrap();
        assert!(reloads.has_changed().unwrap());
        reloads.mark_unchanged();
        assert!(credentials.agent(old).is_none() && credentials.agent(new).is_some());
    }

    #[test]
    fn without_a_users_file_everybody_is_an_admin() {
        assert!(Credentials::load(None, None).unwrap().is_open());
        assert!(!files("", "").1.unwrap().is_open());
    }

    fn issued(grant: Grant) -> Issued {
        let (expires, created) = (None, Timestamp::from_millis(0));
        let created_by = "alice".to_owned();
        Issued {
            grant,
            expires,
            created,
            created_by,
        }
    }

    #[test]
    fn a_host_has_two_tokens_at_most_and_one_that_was_taken_back_counts_no_more() {
        let old = SecretHash::of("old");
        let (_folder, credentials) = files(&format!("h1 {old}\n"), "");
        let credentials = credentials.unwrap();
        let host = HostId::new("h1").unwrap();
        let agent = || {
            issued(Grant::Agent {
                host_id: host.clone(),
            })
        };
        let by = "alice".to_owned();
        let time = Timestamp::from_millis(1);
        let revoked = Revoked { time, by };
        credentials.issue(SecretHash::of("new"), agent()).unwrap();
        assert!(credentials.issue(SecretHash::of("third"), agent()).is_err());
        assert!(credentials.agent(old).is_some());
        assert!(credentials.revoke(old, revoked.clone()));
        assert!(!credentials.revoke(old, revoked.clone()));
        assert!(!credentials.revoke(SecretHash::of("nothing"), revoked));
        assert!(credentials.agent(old).is_none());
        credentials.reload().unwrap();
        assert!(
            credentials.agent(old).is_none(),
            "a reload does not bring it back"
        );
        credentials.issue(SecretHash::of("third"), agent()).unwrap();
        let views = credentials.tokens();
        assert_eq!(
            views.iter().filter(|view| view.revoked.is_some()).count(),
            1
        );
        assert_eq!(views.len(), 3);
    }

    #[test]
    fn a_secret_enrols_one_host_of_its_pattern_once_and_in_time() {
        let (_folder, credentials) = files("", "");
        let credentials = credentials.unwrap();
        let secret = SecretHash::of("s");
        let hosts = Scope::parse("web-*").unwrap();
        let expires = Some(Timestamp::from_millis(10));
        credentials
            .issue(
                secret,
                Issued {
                    expires,
                    ..issued(Grant::Enrolment { hosts })
                },
            )
            .unwrap();
        let enrol = |host: &str, now: i64| {
            credentials
                .enrol(
                    secret,
                    &HostId::new(host).unwrap(),
                    Timestamp::from_millis(now),
                )
                .is_ok()
        };
        assert!(!enrol("db-1", 1) && !enrol("web-1", 10));
        assert!(enrol("web-1", 9) && !enrol("web-1", 9) && !enrol("web-2", 9));
        assert!(credentials.agent(secret).is_none());
    }

    #[test]
    fn a_token_of_the_dashboards_own_expires() {
        let (_folder, credentials) = files("", "");
        let credentials = credentials.unwrap();
        let hash = SecretHash::of("t");
        let api = Grant::Api {
            name: "ci".to_owned(),
            role: Role::Operator,
            hosts: Scope::parse("web-*").unwrap(),
        };
        let expires = Some(Timestamp::from_millis(10));
        credentials
            .issue(
                hash,
                Issued {
                    expires,
                    ..issued(api)
                },
            )
            .unwrap();
        let user = |now| credentials.user(hash, Timestamp::from_millis(now));
        assert!(!user(9).unwrap().scope.is_every());
        assert!(user(10).is_none());
    }
}
