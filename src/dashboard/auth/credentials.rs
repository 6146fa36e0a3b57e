//! Who may come in: both files, read at the start and anew on reload.

use super::agents_file;
use super::credentials_file::wrong;
use super::identity::{Identity, Role, Via};
use super::token::SecretHash;
use super::users_file::{self, Secret};
use crate::config_file::ConfigError;
use crate::protocol::HostId;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// The hosts and users that may come in. Connections watch it and end when their hash is gone.
#[derive(Debug)]
pub(crate) struct Credentials {
    agents_file: Option<PathBuf>,
    users_file: Option<PathBuf>,
    known: watch::Sender<Arc<Known>>,
}

/// The password of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Password {
    /// Its argon2id hash.
    pub(crate) phc: String,
    /// Of whom it lets in.
    pub(crate) role: Role,
}

/// Both files as they were read.
#[derive(Debug, Default)]
pub(crate) struct Known {
    hosts: BTreeSet<HostId>,
    holders: HashMap<SecretHash, Holder>,
    passwords: HashMap<String, Password>,
}

/// Whom a hash stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Agent(HostId),
    User(String, Role),
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
        let known = Known::read(agents_file, users_file)?;
        Ok(Self {
            agents_file: agents_file.map(Path::to_owned),
            users_file: users_file.map(Path::to_owned),
            known: watch::Sender::new(Arc::new(known)),
        })
    }

    /// Reads both files again; on an error everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        let known = Known::read(self.agents_file.as_deref(), self.users_file.as_deref())?;
        self.known.send_replace(Arc::new(known));
        Ok(())
    }

    /// Changes with each reload.
    pub(crate) fn reloads(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Whether every visitor is an admin.
    pub(crate) fn is_open(&self) -> bool {
        self.users_file.is_none()
    }

    /// Every host of the agents file.
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
    pub(crate) fn user(&self, hash: SecretHash) -> Option<Identity> {
        match self.known.borrow().holders.get(&hash) {
            Some(Holder::User(name, role)) => Some(Identity {
                name: name.clone(),
                role: *role,
                via: Via::Token(hash),
            }),
            _ => None,
        }
    }

    /// The password of a user, if they have one.
    pub(crate) fn password(&self, name: &str) -> Option<Password> {
        self.known.borrow().passwords.get(name).cloned()
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
            match entry.secret {
                Secret::Token(hash) => {
                    let holder = Holder::User(entry.name, entry.role);
                    known.add(path, entry.line, hash, holder)?;
                }
                Secret::Password(phc) => {
                    let role = entry.role;
                    let holder = Holder::User(entry.name.clone(), role);
                    let owner = owners.insert(phc.clone(), holder.clone());
                    distinct(path, entry.line, owner.as_ref(), &holder)?;
                    let password = Password { phc, role };
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
            Self::User(name, role) => format!("the {role} {name}"),
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
        assert_eq!(credentials.user(host), None);
        assert_eq!(credentials.user(person).unwrap().role, Role::Operator);
        assert_eq!(credentials.password("alice").unwrap().role, Role::Admin);
        assert_eq!(credentials.user(SecretHash::of(DUMMY)), None);
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
}
