//! Everybody who may come in, as the files say.

use super::agents_file;
use super::credentials_file::wrong;
use super::grants::Grant;
use super::identity::{Identity, Role, Via};
use super::one_time::OneTime;
use super::scope::Scope;
use super::token::SecretHash;
use super::users_file::{self, Secret};
use crate::config_file::ConfigError;
use crate::protocol::{HostId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

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

impl Password {
    /// Names what lets the user in: it is another one as soon as the password or the secret of the codes is.
    pub(super) fn fingerprint(&self) -> SecretHash {
        match &self.one_time {
            None => SecretHash::of(&self.phc),
            Some(codes) => SecretHash::of(&format!("{} {}", self.phc, codes.hash())),
        }
    }
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
    pub(super) hosts: BTreeSet<HostId>,
    pub(super) holders: HashMap<SecretHash, Holder>,
    pub(super) passwords: HashMap<String, Password>,
    pub(super) proxied: HashMap<String, Person>,
}

/// Whom a hash stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Agent(HostId),
    User(Person),
    Enrolment(Scope, Option<Timestamp>),
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
    pub(super) fn read(agents: Option<&Path>, users: Option<&Path>) -> Result<Self, ConfigError> {
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
                        let problem = format!("this is the second password of {}", entry.name);
                        return Err(wrong(path, entry.line, problem, "remove one of the two"));
                    }
                }
            }
        }
        Ok(known)
    }

    /// Everybody who is no host, once for each way in which they may come.
    pub(super) fn people(&self) -> impl Iterator<Item = &Person> {
        let by_token = self.holders.values().filter_map(|holder| match holder {
            Holder::User(person) => Some(person),
            Holder::Agent(_) | Holder::Enrolment(..) => None,
        });
        let by_password = self.passwords.values().map(|password| &password.person);
        by_token.chain(by_password).chain(self.proxied.values())
    }

    /// How many tokens speak for a host.
    pub(super) fn tokens_of(&self, host: &HostId) -> usize {
        let holders = self.holders.values();
        holders
            .filter(|holder| matches!(holder, Holder::Agent(of) if of == host))
            .count()
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
            format!("this hash already belongs to {}", before.name()),
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
            Self::Enrolment(..) => "an enrolment secret".to_owned(),
        }
    }

    pub(super) fn grant(&self) -> (Grant, Option<Timestamp>) {
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
