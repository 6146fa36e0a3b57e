//! Servers that take a connection and then say nothing, from the beginning or in the middle of a pack.

#[path = "../../../tests/common/git_server.rs"]
mod git_server;

use super::visitors::skip::skip;
use super::*;
use crate::clone::git::GitError;
use crate::proctree::ProcessId;
use git_server::{Pace, Server};
use std::time::{Duration, Instant};

/// How long git waits, each where a busy machine did not get as far as the silence within the one before.
const LIMITS: [Duration; 3] = [
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(32),
];

/// How long a server may take to notice that a git was ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Content of the repository that no packing makes smaller, in bytes.
const CONTENT_BYTES: usize = 200_000;

/// A clone that lacks a commit of [`CONTENT_BYTES`].
fn behind() -> Fixture {
    let mut fixture = Fixture::pulled();
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    });
    let content: Vec<u8> = noise.take(CONTENT_BYTES).collect();
    fs::write(fixture.origin().join("content"), content).unwrap();
    fixture.commit();
    fixture
}

/// A pull ends for the silence of the server, and is not tried again.
#[track_caller]
fn end_for(fixture: &mut Fixture, server: &Server, url: &str) {
    fixture.pull.url = url.to_owned();
    fixture.pull.allow_plaintext = true;
    for limit in LIMITS {
        let words = end_within(fixture, limit);
        assert!(words.contains(url), "{words}");
        if server.silenced.recv_timeout(PATIENCE).is_ok() {
            assert!(server.silenced.try_recv().is_err(), "it was tried again");
            return;
        }
    }
    panic!("git never came as far as the silence");
}

/// A pull ends for a silence, and says so.
#[track_caller]
fn end_within(fixture: &Fixture, limit: Duration) -> String {
    let error = run(&fixture.pull, limit).unwrap_err();
    let is_silence = matches!(error, PullError::Git(GitError::Silent { .. }));
    assert!(is_silence, "{error}");
    error.to_string()
}

/// The same; the clone is as it was, and is pulled from a server that speaks.
#[track_caller]
fn assert_ended(mut fixture: Fixture, server: &Server, url: &str) {
    let before = git(&fixture.pull.dir, &["rev-parse", "HEAD"]);
    let good = fixture.pull.url.clone();
    end_for(&mut fixture, server, url);
    assert_eq!(git(&fixture.pull.dir, &["rev-parse", "HEAD"]), before);
    fixture.pull.url = good;
    fixture.assert_mended("after the silence");
}

#[test]
fn a_git_server_that_says_nothing_ends_a_pull() {
    let server = Server::that_says("");
    let url = format!("git://{}/config", server.address);
    assert_ended(Fixture::pulled(), &server, &url);
}

#[test]
fn a_git_server_that_says_nothing_ends_the_first_clone() {
    let server = Server::that_says("");
    let mut fixture = Fixture::new();
    let good = fixture.pull.url.clone();
    let url = format!("git://{}/config", server.address);
    end_for(&mut fixture, &server, &url);
    assert_eq!(fixture.beside(), Vec::<String>::new());
    fixture.pull.url = good;
    fixture.pull().unwrap();
}

#[test]
fn an_ssh_server_that_says_nothing_more_ends_a_pull() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return skip("there is no ssh");
    }
    for words in ["", "SSH-2.0-OpenSSH_9.9\r\n"] {
        let server = Server::that_says(words);
        let url = format!("ssh://git@{}/config", server.address);
        let fixture = Fixture::pulled();
        // Not as this machine configures it: a `ConnectTimeout` could end it first.
        let ssh = ["config", "core.sshCommand", "ssh -F none"];
        git(&fixture.pull.dir, &ssh);
        assert_ended(fixture, &server, &url);
    }
}

#[test]
fn a_git_server_that_falls_silent_in_the_middle_of_a_pack_ends_a_pull() {
    let fixture = behind();
    let server = Server::of_git(fixture.origin(), Pace::Until(CONTENT_BYTES / 2));
    let url = format!("git://{}/config", server.address);
    assert_ended(fixture, &server, &url);
}

#[test]
fn an_http_server_that_falls_silent_in_the_middle_of_a_pack_ends_a_pull() {
    let fixture = behind();
    let server = Server::of_http(fixture.origin(), Pace::Until(CONTENT_BYTES / 2));
    let url = format!("http://{}/config", server.address);
    assert_ended(fixture, &server, &url);
}

#[test]
fn a_program_in_the_place_of_ssh_that_is_busy_and_gives_nothing_ends_a_pull_and_is_ended() {
    let mut fixture = Fixture::pulled();
    let file = fixture.folder.path().join("pid");
    // As ssh with its keep-alives, for longer than any limit.
    let busy = "for n in $(seq 3000); do echo x > /dev/null; sleep 0.1; done";
    let program = format!("echo $$ > {}; {busy} #", file.display());
    for (key, value) in [
        ("core.sshCommand", program.as_str()),
        ("ssh.variant", "ssh"),
    ] {
        git(&fixture.pull.dir, &["config", key, value]);
    }
    fixture.pull.url = "ssh://git@git.invalid/config".to_owned();
    let pid = LIMITS.iter().find_map(|limit| {
        end_within(&fixture, *limit);
        fs::read_to_string(&file).ok()?.trim().parse().ok()
    });
    let left = ProcessId::of(pid.unwrap());
    assert!(!left.is_some_and(ProcessId::is_alive));
}

/// A pull from a server that takes longer than the limit, and never as long without a byte.
#[track_caller]
fn assert_pulled_slowly(scheme: &str, serve: fn(PathBuf, Pace) -> Server) {
    let mut fixture = behind();
    fixture.pull.allow_plaintext = true;
    for limit in [4, 16].map(Duration::from_secs) {
        let server = serve(fixture.origin(), Pace::Slow(CONTENT_BYTES / 40, limit / 30));
        fixture.pull.url = format!("{scheme}://{}/config", server.address);
        let begin = Instant::now();
        if run(&fixture.pull, limit).is_ok() {
            assert!(begin.elapsed() > limit, "this shows nothing");
            let newest = git(&fixture.origin(), &["rev-parse", "HEAD"]);
            assert_eq!(git(&fixture.pull.dir, &["rev-parse", "HEAD"]), newest);
            return;
        }
        // The server had to wait for a busy machine.
    }
    panic!("a pull that gets on was ended");
}

#[test]
fn a_git_server_that_is_slow_ends_no_pull() {
    assert_pulled_slowly("git", Server::of_git);
}

#[test]
fn an_http_server_that_is_slow_ends_no_pull() {
    assert_pulled_slowly("http", Server::of_http);
}
