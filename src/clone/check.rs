//! Looks whether everything of the commit that was pulled can be read.
//!
//! git itself looks only at what it needs: a pull can succeed over objects that a loss of power emptied, and nix then
//! fails over them.

use super::git::Git;
use super::pull::PullError;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// How long git may take to list a commit's files.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);

/// Looks whether others find the clone as well, who are not told where its files are.
pub(super) fn is_found(git: &Git, dir: &Path) -> Result<(), PullError> {
    let wanted = fs::canonicalize(dir).map_err(PullError::at(dir))?;
    let found = git.finds_folder(&wanted);
    if found.is_some_and(|found| found == wanted) {
        Ok(())
    } else {
        Err(PullError::NotFound)
    }
}

/// The commit of HEAD, if there is one.
pub(super) fn commit(git: &Git) -> Option<Vec<u8>> {
    git.ask(&["rev-parse", "--quiet", "--verify", "HEAD"], LIST_TIMEOUT)
}

/// Reads every file and folder of HEAD.
pub(super) fn head(git: &Git) -> Result<(), PullError> {
    let list = git.ask(&["ls-tree", "-r", "-t", "-z", "HEAD"], LIST_TIMEOUT);
    let list = list.ok_or(PullError::Unreadable)?;
    let mut names = String::new();
    for entry in list.split(|byte| *byte == 0) {
        // `MODE TYPE ID\tPATH`; a commit is that of a submodule, which is not here.
        let entry = String::from_utf8_lossy(entry);
        let mut words = entry.split(['\t', ' ']);
        if let (Some(_), Some(kind), Some(id)) = (words.next(), words.next(), words.next())
            && kind != "commit"
        {
            names.push_str(id);
            names.push('\n');
        }
    }
    match read_all(git, names) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(PullError::Unreadable),
    }
}

/// Whether git can read all of these objects.
fn read_all(git: &Git, names: String) -> io::Result<bool> {
    let mut child = git
        .command(&["cat-file", "--batch", "--buffer"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Ok(false);
    };
    let wanted = names.lines().count();
    let writer = thread::spawn(move || stdin.write_all(names.as_bytes()));
    let read = count(BufReader::new(stdout));
    // One that still writes is at its end when its reader is gone.
    let is_success = child.wait()?.success();
    let _ = writer.join();
    Ok(is_success && read.is_ok_and(|read| read == wanted))
}

/// How many whole objects come. What git says of one that it does not have has no size.
fn count(mut answers: impl BufRead) -> io::Result<usize> {
    let mut whole = 0;
    let mut head = String::new();
    while answers.read_line(&mut head)? > 0 {
        let size = head
            .split_whitespace()
            .nth(2)
            .and_then(|size| size.parse().ok());
        if let Some(size) = size {
            let size: u64 = size;
            let copied = io::copy(&mut answers.by_ref().take(size + 1), &mut io::sink())?;
            whole += usize::from(copied == size + 1);
        }
        head.clear();
    }
    Ok(whole)
}
