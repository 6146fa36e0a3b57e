//! How many commits the host's clone has that its current system lacks.
//!
//! NixOS does not say of which commit it was built (`system.configurationRevision` is up to its owner), so the
//! agent remembers at which commit the clone was when a run of its own built a system. Of any other system
//! nothing is known.

use crate::clone::environment;
use crate::spool;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// More systems than a host goes back.
const MOST: usize = 100;
/// How long git may count.
const LIMIT: Duration = Duration::from_secs(30);

/// A system, and the commit it was built of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Built {
    system: String,
    revision: String,
}

/// Two commits, and how many the second has beyond the first; none until git has said it, or where it cannot.
#[derive(Debug, Default)]
struct Counted {
    range: Option<(String, String)>,
    commits: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Behind {
    file: PathBuf,
    repo_dir: PathBuf,
    /// The latest last.
    built: Vec<Built>,
    counted: Arc<Mutex<Counted>>,
}

impl Behind {
    /// With what earlier agents remembered in `state_dir`.
    pub(super) fn open(state_dir: &Path, repo_dir: &Path) -> Self {
        let file = state_dir.join("systems.json");
        let built = spool::read_json(&file).unwrap_or_else(|error| {
            tracing::warn!(path = %file.display(), %error, "the list of systems and their commits cannot be read and is started again");
            None
        });
        Self {
            file,
            repo_dir: repo_dir.to_owned(),
            built: built.unwrap_or_default(),
            counted: Arc::default(),
        }
    }

    /// Remembers of which commit a system was built.
    pub(super) fn built(&mut self, system: String, revision: String) {
        let built = Built { system, revision };
        if self.built.last() == Some(&built) {
            return;
        }
        self.built.retain(|other| other.system != built.system);
        self.built.push(built);
        let too_many = self.built.len().saturating_sub(MOST);
        self.built.drain(..too_many);
        if let Err(error) = spool::write_json(&self.file, &self.built) {
            tracing::warn!(path = %self.file.display(), %error, "the commit of a system could not be stored");
        }
    }

    /// How many commits `head` has that `system` lacks; none while that is not known, which it may be later.
    pub(super) fn commits(&self, system: &str, head: &str) -> Option<u64> {
        let built = self.built.iter().find(|built| built.system == system)?;
        if built.revision == head {
            return Some(0);
        }
        let range = (built.revision.clone(), head.to_owned());
        let mut counted = lock(&self.counted);
        if counted.range.as_ref() != Some(&range) {
            *counted = Counted {
                range: Some(range.clone()),
                commits: None,
            };
            let (counted, repo_dir) = (Arc::clone(&self.counted), self.repo_dir.clone());
            tokio::spawn(async move {
                let commits = count(&repo_dir, &range).await;
                let mut counted = lock(&counted);
                if counted.range == Some(range) {
                    counted.commits = commits;
                }
            });
        }
        counted.commits
    }
}

fn lock(counted: &Mutex<Counted>) -> std::sync::MutexGuard<'_, Counted> {
    // A panic under the lock leaves it whole.
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` where git does not know both commits, as after a forced push.
async fn count(repo_dir: &Path, (from, to): &(String, String)) -> Option<u64> {
    let asked = Command::new("git")
        .arg("-C")
        .arg(repo_dir)
        .args(["rev-list", "--count", &format!("{from}..{to}"), "--"])
        .envs(environment(repo_dir))
        // What a partial clone lacks is not fetched for this.
        .env("GIT_NO_LAZY_FETCH", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let said = timeout(LIMIT, asked).await.ok()?.ok()?;
    let said = said.status.success().then_some(said.stdout)?;
    std::str::from_utf8(&said).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(dir: &Path, args: &[&str]) -> String {
        let done = std::process::Command::new("git")
            .arg("-C")
            .arg(dir)
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn commit(dir: &Path) -> String {
        git(dir, &["commit", "--quiet", "--allow-empty", "-m", "more"]);
        git(dir, &["rev-parse", "HEAD"])
    }

    async fn counted(behind: &Behind, system: &str, head: &str) -> Option<u64> {
        let _ = behind.commits(system, head);
        while Arc::strong_count(&behind.counted) > 1 {
            tokio::task::yield_now().await;
        }
        behind.commits(system, head)
    }

    #[tokio::test]
    async fn the_commits_that_a_system_lacks_are_counted_where_its_commit_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "--quiet"]);
        let commits: Vec<_> = (0..4).map(|_| commit(&repo)).collect();
        let mut behind = Behind::open(dir.path(), &repo);
        assert_eq!(counted(&behind, "/nix/store/a", &commits[3]).await, None);
        behind.built("/nix/store/a".into(), commits[0].clone());
        behind.built("/nix/store/b".into(), commits[3].clone());
        let behind = Behind::open(dir.path(), &repo);
        assert_eq!(counted(&behind, "/nix/store/a", &commits[3]).await, Some(3));
        assert_eq!(counted(&behind, "/nix/store/b", &commits[3]).await, Some(0));
        assert_eq!(counted(&behind, "/nix/store/a", &commits[2]).await, Some(2));
        let unknown = "f".repeat(40);
        assert_eq!(counted(&behind, "/nix/store/a", &unknown).await, None);
    }
}
