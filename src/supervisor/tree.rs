//! The repository of a run: at which commit it is, and whether its files are those of that commit.

use super::command::{self, Answer};
use crate::clone;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long git may take to name the commit.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long git may take to compare all files with the commit.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(30);

/// HEAD of the repository in `dir`, if there is one and git says it in time.
pub(super) fn commit(dir: &Path) -> Option<String> {
    let said = ask(
        dir,
        &["rev-parse", "--quiet", "--verify", "HEAD"],
        COMMIT_TIMEOUT,
    )
    .filter(|said| said.is_success)?;
    let revision = said.text.trim();
    (!revision.is_empty()).then(|| revision.to_owned())
}

/// Whether what nix reads in `dir` differs from the commit; `None` where there is no repository, or git does not say
/// it in time.
pub(super) fn has_changes(dir: &Path) -> Option<bool> {
    // Into a flake nix copies only files that git knows. What is no flake may read every file.
    let untracked = if dir.join("flake.nix").exists() {
        "--untracked-files=no"
    } else {
        "--untracked-files=normal"
    };
    let status = [
        "--no-optional-locks",
        "status",
        "--porcelain",
        "--ignore-submodules=dirty",
        untracked,
        // What builds leave.
        "--",
        ".",
        ":(exclude)result",
        ":(exclude)result-*",
    ];
    let said = ask(dir, &status, COMPARE_TIMEOUT)?;
    // Of very many changes git is not heard to the end.
    (said.is_success || !said.text.is_empty()).then_some(!said.text.is_empty())
}

fn ask(dir: &Path, arguments: &[&str], limit: Duration) -> Option<Answer> {
    if !dir.join(".git").exists() {
        return None;
    }
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(dir)
        .args(arguments)
        .envs(clone::environment(dir));
    command::ask(&mut git, limit)
}
