//! `pull` from real git repositories.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, git};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::{fs, thread};

/// A repository with a work tree, and a bare one that is served.
struct Repository {
    dir: tempfile::TempDir,
}

impl Repository {
    /// With one commit; `None` where there is no git.
    fn new() -> Option<Self> {
        if !common::has("git") {
            common::skip("git is not installed");
            return None;
        }
        let repository = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        git(
            repository.dir.path(),
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                "served.git",
            ],
        );
        git(
            repository.dir.path(),
            &["init", "--quiet", "--initial-branch=main", "work"],
        );
        repository.commit("first");
        Some(repository)
    }

    fn served(&self) -> PathBuf {
        self.dir.path().join("served.git")
    }

    /// Commits `content` in `flake.nix`, publishes it, and gives the revision.
    fn commit(&self, content: &str) -> String {
        let work = self.dir.path().join("work");
        fs::write(work.join("flake.nix"), content).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "--message", content]);
        git(
            &work,
            &["push", "--quiet", "--force", "../served.git", "main"],
        );
        git(&self.served(), &["update-server-info"]);
        git(&work, &["rev-parse", "HEAD"])
    }
}

/// An agent that pulls from `url`.
fn agent_of(dashboard: &Dashboard, url: &str) -> Agent {
    let repo = json!({"repo": {"url": url, "branch": "main"}});
    Agent::start_with(dashboard, "h1", &repo)
}

#[track_caller]
fn pull(dashboard: &Dashboard) -> Value {
    let run = dashboard.command("h1", "pull");
    dashboard.wait_done("h1", &run)
}

/// Pulls, commits, dirties the clone, and pulls again.
fn assert_pulls(repository: &Repository, url: &str) {
    let dashboard = Dashboard::start(&["h1"]);
    let agent = agent_of(&dashboard, url);
    let clone = agent.dir().join("state/repo");

    let run = pull(&dashboard);
    assert_eq!(run["status"], "ok", "{run}");
    assert_eq!(run["phases"][0]["phase"], "pull");
    assert_eq!(
        fs::read_to_string(clone.join("flake.nix")).unwrap(),
        "first"
    );
    let first = git(&clone, &["rev-parse", "HEAD"]);
    dashboard.wait_for_host("h1", "the first revision", |host| {
        host["revision"] == *first
    });

    let second = repository.commit("second");
    fs::write(clone.join("flake.nix"), "dirty").unwrap();
    // As a git that was killed leaves it.
    fs::write(clone.join(".git/index.lock"), "").unwrap();
    let run = pull(&dashboard);
    assert_eq!(run["status"], "ok", "{run}");
    assert_eq!(
        fs::read_to_string(clone.join("flake.nix")).unwrap(),
        "second"
    );
    assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    dashboard.wait_for_host("h1", "the second revision", |host| {
        host["revision"] == *second
    });
}

#[test]
fn pull_clones_and_resets_a_repository_of_files() {
    let Some(repository) = Repository::new() else {
        return;
    };
    assert_pulls(
        &repository,
        &format!("file://{}", repository.served().display()),
    );
}

#[test]
fn pull_clones_and_resets_a_repository_over_http() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let url = serve(repository.served());
    assert_pulls(&repository, &url);
}

#[test]
fn pull_follows_a_branch_that_was_rewritten() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let agent = agent_of(&dashboard, &repository.served().display().to_string());
    assert_eq!(pull(&dashboard)["status"], "ok");
    let work = repository.dir.path().join("work");
    git(&work, &["checkout", "--quiet", "--orphan", "new"]);
    git(&work, &["branch", "--quiet", "--delete", "--force", "main"]);
    git(&work, &["branch", "--move", "main"]);
    let rewritten = repository.commit("rewritten");
    assert_eq!(pull(&dashboard)["status"], "ok");
    assert_eq!(
        git(&agent.dir().join("state/repo"), &["rev-parse", "HEAD"]),
        rewritten
    );
}

#[test]
fn pull_from_nowhere_fails_with_what_git_said() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let nowhere = repository.dir.path().join("nowhere");
    let _agent = agent_of(&dashboard, &nowhere.display().to_string());
    let run = pull(&dashboard);
    assert_eq!(run["status"], "error", "{run}");
    assert_eq!(run["exit_code"], 128);
    assert!(
        run["message"].as_str().unwrap().contains("nowhere"),
        "{run}"
    );
}

/// Serves the files of a folder over HTTP on loopback, which is all that git's plainest protocol needs.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let root = root.clone();
            thread::spawn(move || answer(connection.unwrap(), &root));
        }
    });
    url
}

/// Answers one request and hangs up. The client may hang up first.
fn answer(mut connection: TcpStream, root: &Path) {
    let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let _headers = lines.take_while(|line| !line.is_empty()).count();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let path = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_start_matches('/');
    let (status, body) = match fs::read(root.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = connection.write_all(&[head.as_bytes(), &body].concat());
}
