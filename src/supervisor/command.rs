//! Short questions to other programs, which may never answer.

use crate::clone;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(5);

/// What a program said.
pub(super) struct Answer {
    /// On standard output.
    pub(super) text: String,
    /// Its exit code was 0.
    pub(super) is_success: bool,
}

/// Most of an answer that is heard, in bytes. Whoever says more finds nobody listening, and ends by that.
const MAX_BYTES: u64 = 64 * 1024;

/// What `command` says, its first [`MAX_BYTES`], if it ends in time.
pub(super) fn ask(command: &mut Command, limit: Duration) -> Option<Answer> {
    let mut child = command
        .envs(clone::ENGLISH)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let said = child.stdout.take()?;
    let listening = thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        // What was heard before an error counts as well.
        let _ = said.take(MAX_BYTES).read_to_end(&mut text);
        text
    });
    let begin = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(None) if begin.elapsed() < limit => sleep(INTERVAL),
            Ok(Some(status)) => break status,
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let text = listening.ok()?.join().ok()?;
    Some(Answer {
        text: String::from_utf8_lossy(&text).into_owned(),
        is_success: status.success(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(script: &str, limit: Duration) -> Option<(String, bool)> {
        let answer = ask(Command::new("/bin/sh").args(["-c", script]), limit)?;
        Some((answer.text, answer.is_success))
    }

    #[test]
    fn an_answer_comes_in_time_or_not_at_all() {
        let (long, short) = (Duration::from_secs(30), Duration::from_millis(50));
        assert_eq!(
            said("echo yes; echo no >&2", long),
            Some(("yes\n".to_owned(), true))
        );
        assert_eq!(
            said("echo yes; exit 3", long),
            Some(("yes\n".to_owned(), false))
        );
        assert_eq!(said("echo yes; exec sleep 60", short), None);
        let (much, is_success) = said("exec yes", long).unwrap();
        assert_eq!((much.len() as u64, is_success), (MAX_BYTES, false));
        assert!(ask(&mut Command::new("/no/such/program"), long).is_none());
    }
}
