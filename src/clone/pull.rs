//! The built-in `pull`: brings the clone to the branch, whatever state it is in.

use super::address::Address;
use super::git::{Git, GitError, SILENCE_LIMIT, note, say};
use super::locks::Held;
use super::mounts::Mounts;
use super::place::{Place, PlaceError, Replaced};
use super::transfer::Blame;
use super::{check, filters, fresh, locks, repair, room};
use crate::spool::{self, Pull, RunDir, Spec};
use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the server may take to say that it has the branch.
const SERVER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
    #[error("the spec in {} does not say what to pull", .0.display())]
    NoSpec(PathBuf),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("{0}")]
    Git(GitError),
    #[error(transparent)]
    Held(#[from] Held),
    #[error(
        "the ssh key {} is missing, and ssh needs it to fetch; put it there, or correct services.switchyard.agent.sshKeyFile",
        .0.display()
    )]
    NoKey(PathBuf),
    #[error("git cannot read all files of the clone's commit")]
    Unreadable,
    #[error("git does not find the clone in its folder")]
    NotFound,
    #[error(
        "{url} has no branch \"{branch}\", or nothing was pushed to it yet; push it, or correct `branch` in `[repo]` of the agent's configuration"
    )]
    NoBranch { branch: String, url: String },
    #[error(
        "the commit needs the filter \"{filter}\" (in its .gitattributes), but there is no program {program} on this host; add its package to systemd.services.switchyard-agent.path, or remove the filter from the repository"
    )]
    NoFilter { filter: String, program: String },
    #[error(transparent)]
    Unfiltered(#[from] filters::Unfiltered),
    #[error(
        "three old folders of the clone are kept already; remove {} and the ones beside it",
        .0.display()
    )]
    TooMuchAside(PathBuf),
    #[error(
        "the disk that holds {} is full ({left_kib} KiB are left); make room, for example with `nix-collect-garbage --delete-older-than 30d`, then pull again",
        dir.display()
    )]
    FullDisk {
        dir: PathBuf,
        left_kib: u64,
        source: Box<PullError>,
    },
    #[error(
        "{} is a file system of its own, or a bind mount, so its content cannot be moved aside for a fresh clone, and it is left unchanged; move its content away, or set `dir` in `[repo]` to another folder",
        .0.display()
    )]
    Mounted(PathBuf),
    #[error(
        "{} is mounted within {}, which a fresh clone has to replace; unmount it, then pull again",
        mount.display(), dir.display()
    )]
    MountedWithin { dir: PathBuf, mount: PathBuf },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl PullError {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    fn code(&self) -> i32 {
        match self {
            Self::Git(error) => error.code(),
            Self::FullDisk { source, .. } => source.code(),
            _ => 1,
        }
    }

    /// What made a fetch fail; `None` of all other errors.
    fn blame(&self) -> Option<Blame> {
        match self {
            Self::Git(GitError::Failed(failed)) => failed.blame(),
            _ => None,
        }
    }

    /// Whether the clone may be as it was.
    fn may_be_transfer(&self) -> bool {
        matches!(self.blame(), Some(Blame::Transfer | Blame::Unknown))
    }

    /// Whether the server, or the way to it, let git wait for too long: whatever needs it would wait as long again.
    fn is_silence(&self) -> bool {
        matches!(self, Self::Git(GitError::Silent { .. }))
    }

    /// Whether no mending of the clone would be of use.
    fn is_none_of_clone(&self) -> bool {
        self.is_silence()
            || matches!(
                self,
                Self::Git(GitError::NotInstalled) | Self::FullDisk { .. } | Self::Unfiltered(_)
            )
    }

    /// Whether git says that something is locked.
    fn is_of_lock(&self) -> bool {
        matches!(self, Self::Git(GitError::Failed(failed)) if failed.is_of_lock())
    }

    /// For a sentence about what was mended.
    fn gist(&self) -> String {
        match self {
            Self::Git(error) => error.gist(),
            other => other.to_string(),
        }
    }

    /// The last lines of the pull. What git said is told in its words.
    fn last_words(&self) -> String {
        match self {
            Self::Git(GitError::Failed(failed)) => failed.words(),
            Self::FullDisk { source, .. } => format!("error: {self}\n{}", source.last_words()),
            other => format!("error: {other}"),
        }
    }
}

/// The step of a run that is its pull: this very program, even where its file was replaced since it began.
pub fn step(rundir: &Path) -> Vec<String> {
    let rundir = rundir.to_string_lossy().into_owned();
    vec!["/proc/self/exe".to_owned(), "pull".to_owned(), rundir]
}

/// Runs the pull of a run. Gives the exit code.
pub fn main(rundir: &Path) -> u8 {
    match of_run(rundir) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", error.last_words());
            u8::try_from(error.code()).unwrap_or(1)
        }
    }
}

fn of_run(rundir: &Path) -> Result<(), PullError> {
    let no_spec = || PullError::NoSpec(rundir.to_owned());
    let spec = RunDir::at(rundir).ok_or_else(no_spec)?.spec();
    let spec: Option<Spec> = spool::read_json(&spec).ok().flatten();
    let pull = spec.and_then(|spec| spec.pull).ok_or_else(no_spec)?;
    run(&pull, SILENCE_LIMIT)
}

/// Where the ssh key should be that the service of the run was to get, if it is not there.
fn missing_key() -> Option<PathBuf> {
    let wanted = PathBuf::from(env::var_os("SWITCHYARD_SSH_KEY")?);
    let folder = env::var_os("CREDENTIALS_DIRECTORY")?;
    // In its place systemd has put an empty line.
    let given = fs::metadata(Path::new(&folder).join("ssh_key"));
    (given.map_or(0, |given| given.len()) <= 1).then_some(wanted)
}

/// Brings the clone to the branch, and mends it if need be. A transfer that gets no further ends it after
/// `silence_limit`.
pub(super) fn run(pull: &Pull, silence_limit: Duration) -> Result<(), PullError> {
    let no_address = |error: super::InvalidAddress| io::Error::other(error.to_string());
    let address = Address::parse(&pull.url).map_err(no_address);
    let address = address.map_err(PullError::at(&pull.dir))?;
    if address.is_ssh()
        && let Some(path) = missing_key()
    {
        return Err(PullError::NoKey(path));
    }
    let git = Git::new(Some(&pull.dir), pull, &address, silence_limit);
    let url = address.bare();
    if fresh::finish_refill(&pull.dir).map_err(PullError::at(&pull.dir))? {
        say(
            "an earlier pull was interrupted while it moved the clone into place; that is done now",
        );
    }
    match Place::look(pull)? {
        Place::Empty => fresh::make(&git, pull, url, Replaced::Removed)
            .map_err(|error| of_branch(&git, pull, url, error)),
        Place::Unusable(replaced, why) => {
            let mended = format!(
                "{} was not a usable clone ({why}); a fresh one took its place",
                pull.dir.display()
            );
            fresh::make(&git, pull, url, replaced)
                .map(|()| say(&mended))
                .map_err(|error| of_branch(&git, pull, url, error))
        }
        Place::Clone(replaced) => update_or_mend(&git, pull, url, replaced),
    }
}

/// Brings a clone to the branch. A lock of somebody who works in there is no damage.
fn update_or_mend(git: &Git, pull: &Pull, url: &str, replaced: Replaced) -> Result<(), PullError> {
    locks::remove_stale(&pull.dir)?;
    let mut updated = update(git, pull, url);
    // Of our own gits none is left: a lock is that of somebody who began meanwhile, or of one that was killed.
    if matches!(&updated, Err(error) if error.is_silence()) {
        return updated;
    }
    if matches!(&updated, Err(error) if error.is_of_lock() || locks::is_locked(&pull.dir)) {
        locks::remove_stale(&pull.dir)?;
        updated = update(git, pull, url);
    }
    let Err(error) = updated else {
        return Ok(());
    };
    locks::remove_stale(&pull.dir)?;
    mend(git, pull, url, replaced, error)
}

/// Fetches the branch, and makes the clone what it is there.
fn update(git: &Git, pull: &Pull, url: &str) -> Result<(), PullError> {
    let branch = &pull.branch;
    git.run(&["config", "--replace-all", "remote.origin.url", url])?;
    check::is_found(git, &pull.dir)?;
    repair::remove_broken_caches(&pull.dir);
    let before = check::commit(git);
    if before.is_some() {
        // The server will not send again what is damaged here.
        check::head(git)?;
    }
    fetch(git, url, branch)?;
    let clone = (git, pull.dir.as_path());
    look_for_filters(clone, branch, clone)?;
    repair::distrust_index(git, &pull.dir);
    bring_to_branch(git, branch, &pull.dir)?;
    if check::commit(git) == before {
        return Ok(());
    }
    check::head(git)
}

fn fetch(git: &Git, url: &str, branch: &str) -> Result<(), PullError> {
    let refs = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
    Ok(git.transfer(&["fetch", "--prune", "origin", &refs], url)?)
}

/// Refuses what was fetched of the branch where its files need a filter that this host does not have, and those of the
/// clone that there was, in the second folder, did not.
pub(super) fn look_for_filters(
    (git, dir): (&Git, &Path),
    branch: &str,
    before: (&Git, &Path),
) -> Result<(), PullError> {
    let commit = format!("refs/remotes/origin/{branch}");
    Ok(filters::look(git, dir, &commit, before)?)
}

/// Makes HEAD, index and files of the clone in `dir` what was fetched of the branch. What somebody mounted there is
/// left alone.
pub(super) fn bring_to_branch(git: &Git, branch: &str, dir: &Path) -> Result<(), PullError> {
    git.run(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])?;
    git.run(&["reset", "--hard", &format!("refs/remotes/origin/{branch}")])?;
    let dir = fs::canonicalize(dir).map_err(PullError::at(dir))?;
    let mounts = Mounts::read();
    let mounted = mounts
        .below(&dir)
        .filter_map(|at| at.strip_prefix(&dir).ok());
    let excluded: Vec<_> = mounted.map(exclusion).collect();
    let mut clean = vec!["clean", "-ffd"];
    clean.extend(excluded.iter().map(String::as_str));
    Ok(git.run(&clean)?)
}

/// The option by which `git clean` leaves this path of the clone alone: gitignore(5).
fn exclusion(path: &Path) -> String {
    let mut option = "--exclude=/".to_owned();
    for character in path.to_string_lossy().chars() {
        match character {
            char::REPLACEMENT_CHARACTER => option.push('*'),
            '*' | '?' | '[' | '\\' | ' ' => option.extend(['\\', character]),
            other => option.push(other),
        }
    }
    option
}

/// Mends a clone in which `first` failed, unless that is the server's doing, or the commit's.
fn mend(
    git: &Git,
    pull: &Pull,
    url: &str,
    replaced: Replaced,
    first: PullError,
) -> Result<(), PullError> {
    let branch = &pull.branch;
    let first = room::blame(&pull.dir, first);
    if first.is_none_of_clone() {
        return Err(first);
    }
    if let Err(of_server) = ask_server(git, url, branch) {
        let is_same =
            matches!(&first, PullError::Git(GitError::Failed(failed)) if failed.is_of("fetch"));
        let says_more = matches!(of_server, PullError::NoBranch { .. });
        return Err(if is_same && !says_more {
            first
        } else {
            of_server
        });
    }
    let first = explain(git, branch, first);
    if matches!(first, PullError::NoFilter { .. }) {
        return Err(first);
    }
    if first.may_be_transfer() && check::head(git).is_ok() {
        note("the transfer failed; it is tried again once");
        return match update(git, pull, url) {
            Err(other) if other.blame() == Some(Blame::Unknown) => {
                try_out(git, pull, url, replaced, other)
            }
            Err(other) if !other.may_be_transfer() => mend(git, pull, url, replaced, other),
            done_or_broken => done_or_broken,
        };
    }
    let gist = first.gist();
    let repaired = repair::clone(git, &pull.dir, branch)
        .map_err(PullError::at(&pull.dir))
        .and_then(|()| update(git, pull, url));
    match repaired {
        Ok(()) => {
            say(&format!(
                "the clone was damaged ({gist}); its HEAD, index and refs were rebuilt"
            ));
            return Ok(());
        }
        Err(other) if other.is_none_of_clone() => return Err(other),
        // A whole clone is more than what broke off.
        Err(broken) if broken.blame() == Some(Blame::Transfer) && check::head(git).is_ok() => {
            return Err(broken);
        }
        Err(_) => {}
    }
    locks::remove_stale(&pull.dir)?;
    fresh::make(git, pull, url, replaced).inspect_err(|error| {
        if matches!(
            error,
            PullError::Mounted(_) | PullError::MountedWithin { .. }
        ) {
            note(&format!("the clone is damaged ({gist})"));
        }
    })?;
    say(&format!(
        "the clone was damaged ({gist}); a fresh one took its place"
    ));
    Ok(())
}

/// Finds out what is to blame for a fetch that failed with words nobody knows, while git reads all files of the
/// clone's commit. Nothing of the clone is touched before a fresh one came over the same way, and the old one, tried
/// again at once, still fails.
fn try_out(
    git: &Git,
    pull: &Pull,
    url: &str,
    replaced: Replaced,
    first: PullError,
) -> Result<(), PullError> {
    let Ok(new) = fresh::prepare(git, pull, url, replaced) else {
        return Err(first);
    };
    let branch = &pull.branch;
    match fetch(git, url, branch) {
        Ok(()) => {
            new.discard();
            return update(git, pull, url);
        }
        Err(silence) if silence.is_silence() => {
            new.discard();
            return Err(silence);
        }
        Err(_) => {}
    }
    if let Err(held) = locks::remove_stale(&pull.dir) {
        new.discard();
        return Err(held.into());
    }
    let gist = first.gist();
    let repaired = repair::clone(git, &pull.dir, branch).is_ok() && fetch(git, url, branch).is_ok();
    if repaired {
        new.discard();
        update(git, pull, url)?;
        say(&format!(
            "the clone was damaged ({gist}); its HEAD, index and refs were rebuilt"
        ));
        return Ok(());
    }
    new.install()?;
    say(&format!(
        "the clone was damaged ({gist}); a fresh one took its place"
    ));
    Ok(())
}

/// An error of git's in a first clone: where the server has no such branch, that is why.
fn of_branch(git: &Git, pull: &Pull, url: &str, error: PullError) -> PullError {
    if !matches!(error, PullError::Git(GitError::Failed(_))) {
        return error;
    }
    match ask_server(git, url, &pull.branch) {
        Err(of_branch @ PullError::NoBranch { .. }) => of_branch,
        _ => error,
    }
}

/// Whether the server answers and has the branch: without that nothing can be mended.
fn ask_server(git: &Git, url: &str, branch: &str) -> Result<(), PullError> {
    let name = format!("refs/heads/{branch}");
    let asked = ["ls-remote", "--quiet", "--exit-code", "--", url, &name];
    let asked = git.elsewhere(None).run_within(&asked, SERVER_TIMEOUT);
    match asked {
        // As its manual says of that option.
        Err(GitError::Failed(failed)) if failed.code == 2 => Err(PullError::NoBranch {
            branch: branch.to_owned(),
            url: url.to_owned(),
        }),
        other => Ok(other?),
    }
}

/// An error in the checkout may have a reason that git does not tell.
pub(super) fn explain(git: &Git, branch: &str, error: PullError) -> PullError {
    let commit = format!("refs/remotes/origin/{branch}");
    match filters::missing(git, &commit) {
        Some(filters::Missing { filter, program }) => PullError::NoFilter { filter, program },
        None => error,
    }
}
