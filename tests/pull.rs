//! `pull` from real git repositories.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, git, has, skip};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
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

/// The texts of a run's lines.
fn lines(dashboard: &Dashboard, run: &Value) -> Vec<String> {
    let lines = dashboard.lines("h1", run["run_id"].as_str().unwrap());
    lines.into_iter().map(|line| line.line).collect()
}

#[test]
fn a_damaged_clone_is_mended_by_a_pull_that_says_so_in_its_log() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let agent = agent_of(&dashboard, &repository.served().display().to_string());
    assert_eq!(pull(&dashboard)["status"], "ok");
    let git_dir = agent.dir().join("state/repo/.git");
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("refs/remotes/origin/main.lock", |git_dir| {
            fs::write(git_dir.join("refs/remotes/origin/main.lock"), "").unwrap();
        }),
        ("HEAD, index and refs were rebuilt", |git_dir| {
            fs::write(git_dir.join("HEAD"), "").unwrap();
        }),
        ("a fresh one took its place", |git_dir| {
            fs::remove_dir_all(git_dir.join("objects")).unwrap();
        }),
    ];
    for (said, damage) in damages {
        damage(&git_dir);
        let newest = repository.commit(said);
        let run = pull(&dashboard);
        assert_eq!(run["status"], "ok", "{run}");
        assert_eq!(run["revision"], newest, "{run}");
        let lines = lines(&dashboard, &run);
        let is_said = |line: &String| line.starts_with("mended: ") && line.contains(said);
        assert!(lines.iter().any(is_said), "{said}: {lines:#?}");
        let clone = agent.dir().join("state/repo");
        assert_eq!(git(&clone, &["rev-parse", "HEAD"]), newest);
    }
}

#[test]
fn a_folder_that_is_no_clone_is_left_alone_and_the_run_says_what_to_do() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("nixos");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("configuration.nix"), "mine").unwrap();
    let repo = json!({"repo": {"url": repository.served(), "dir": dir}});
    let _agent = Agent::start_with(&dashboard, "h1", &repo);
    let run = pull(&dashboard);
    assert_eq!(run["status"], "error", "{run}");
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("move it away"), "{message}");
    assert_eq!(
        fs::read_to_string(dir.join("configuration.nix")).unwrap(),
        "mine"
    );
}

#[test]
fn a_reftable_clone_has_a_revision() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("repo");
    let url = repository.served().display().to_string();
    let made = std::process::Command::new("git")
        .args(["clone", "--quiet", "--ref-format=reftable", &url])
        .arg(&dir)
        .output()
        .unwrap();
    if !made.status.success() {
        return common::skip("this git knows no reftable");
    }
    let repo = json!({"repo": {"url": url, "dir": dir}});
    let _agent = Agent::start_with(&dashboard, "h1", &repo);
    let head = git(&dir, &["rev-parse", "HEAD"]);
    dashboard.wait_for_host("h1", "the revision", |host| host["revision"] == head);
    let newest = repository.commit("newer");
    let run = pull(&dashboard);
    assert_eq!(
        (&run["status"], &run["revision"]),
        (&json!("ok"), &json!(newest))
    );
    dashboard.wait_for_host("h1", "the newest revision", |host| {
        host["revision"] == newest
    });
}

#[test]
fn a_password_in_the_address_reaches_the_server_and_no_command_line() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let url = serve_to("bWU6WnE5QFh2Nw==", repository.served(), Arc::clone(&asked));
    let url = url.replace("http://", "http://me:Zq9%40Xv7@");
    let dashboard = Dashboard::start(&["h1"]);
    let agent = agent_of(&dashboard, &url);
    for content in ["second", "third"] {
        let newest = repository.commit(content);
        let run = pull(&dashboard);
        assert_eq!(run["status"], "ok", "{run}");
        assert_eq!(run["revision"], newest);
        let lines = lines(&dashboard, &run);
        assert!(lines.iter().all(|line| !line.contains("Zq9")), "{lines:?}");
    }
    let config = fs::read_to_string(agent.dir().join("state/repo/.git/config")).unwrap();
    assert!(!config.contains("Zq9"), "{config}");
    let asked = asked.lock().unwrap().join("\n");
    assert!(
        asked.contains("switchyard") && asked.contains("git"),
        "{asked}"
    );
    assert!(!asked.contains("Zq9"), "{asked}");
}

#[test]
fn a_token_as_the_user_of_an_address_reaches_the_server_and_no_command_line() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let asked = Arc::new(Mutex::new(Vec::new()));
    // `ghp_Zq9Xv7:from-a-helper`
    let url = serve_to(
        "Z2hwX1pxOVh2Nzpmcm9tLWEtaGVscGVy",
        repository.served(),
        Arc::clone(&asked),
    );
    let url = url.replace("http://", "http://ghp_Zq9Xv7@");
    let folder = tempfile::tempdir().unwrap();
    let of_host = folder.path().join("gitconfig");
    let helper = "[credential]\n\thelper = \"!f() { echo password=from-a-helper; }; f\"\n";
    fs::write(&of_host, helper).unwrap();
    let environment = vec![("GIT_CONFIG_GLOBAL", of_host.display().to_string())];
    let dashboard = Dashboard::start(&["h1"]);
    let config = json!({"repo": {"url": url}});
    let mut agent = Agent::launch_in(environment, dashboard.port, "h1", &config);
    agent.wait_for_reconnection(0);
    for content in ["second", "third"] {
        let newest = repository.commit(content);
        let run = pull(&dashboard);
        assert_eq!(
            (&run["status"], &run["revision"]),
            (&json!("ok"), &json!(newest)),
            "{run}"
        );
    }
    let config = fs::read_to_string(agent.dir().join("state/repo/.git/config")).unwrap();
    assert!(!config.contains("Zq9"), "{config}");
    let asked = asked.lock().unwrap().join("\n");
    assert!(
        asked.contains("switchyard") && asked.contains("git"),
        "{asked}"
    );
    assert!(!asked.contains("Zq9"), "{asked}");
}

#[test]
fn a_missing_ssh_key_is_named_by_a_pull_over_ssh_and_hinders_nothing_else() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    // As systemd leaves it where the key is missing.
    fs::write(folder.path().join("ssh_key"), "\n").unwrap();
    let credentials = folder.path().display().to_string();
    let start = |url: &str| {
        let environment = vec![
            ("CREDENTIALS_DIRECTORY", credentials.clone()),
            ("SWITCHYARD_SSH_KEY", "/run/secrets/deploy-key".to_owned()),
        ];
        let own = json!({"steps": [["sh", "-c", "echo ${GIT_SSH_COMMAND-none}"]]});
        let config = json!({"repo": {"url": url}, "commands": {"own": own}});
        let mut agent = Agent::launch_in(environment, dashboard.port, "h1", &config);
        agent.wait_for_reconnection(0);
        agent
    };
    let agent = start("git@git.example.org:me/config.git");
    let run = pull(&dashboard);
    assert_eq!(run["status"], "error", "{run}");
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("/run/secrets/deploy-key"), "{message}");
    let run = dashboard.command("h1", "own");
    let run = dashboard.wait_done("h1", &run);
    assert_eq!(run["status"], "ok", "{run}");
    assert_eq!(lines(&dashboard, &run), ["none"]);
    drop(agent);
    let _agent = start(&repository.served().display().to_string());
    assert_eq!(pull(&dashboard)["status"], "ok");
}

#[test]
fn an_ssh_server_that_says_nothing_ends_a_pull() {
    if !has("git") || !has("ssh") {
        return skip("there is no git or no ssh");
    }
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ssh://git@{}/config.git", silent.local_addr().unwrap());
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ssh_key"), "a key\n").unwrap();
    let credentials = folder.path().display().to_string();
    let config = json!({"repo": {"url": url}});
    let environment = vec![("CREDENTIALS_DIRECTORY", credentials)];
    let mut agent = Agent::launch_in(environment, dashboard.port, "h1", &config);
    agent.wait_for_reconnection(0);
    let run = dashboard.command("h1", "pull");
    let ended = dashboard.wait_for_run("h1", &run, Duration::from_secs(180), |run| {
        run["completed"].is_string()
    });
    assert_eq!(ended["status"], "error", "{ended}");
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("timed out"), "{message}");
}

#[test]
fn files_of_git_lfs_are_not_pulled_as_pointers_and_the_run_says_what_to_do() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let work = repository.dir.path().join("work");
    fs::write(work.join(".gitattributes"), "*.bin filter=lfs\n").unwrap();
    fs::write(work.join("image.bin"), "a pointer\n").unwrap();
    repository.commit("with a file in git-lfs");
    let dashboard = Dashboard::start(&["h1"]);
    let settings = repository.dir.path().join("gitconfig");
    fs::write(&settings, "").unwrap();
    let environment = vec![
        ("GIT_CONFIG_GLOBAL", settings.display().to_string()),
        ("GIT_CONFIG_SYSTEM", "/dev/null".to_owned()),
    ];
    let config = json!({"repo": {"url": repository.served()}});
    let mut agent = Agent::launch_in(environment, dashboard.port, "h1", &config);
    agent.wait_for_reconnection(0);
    let run = pull(&dashboard);
    assert_eq!(run["status"], "error", "{run}");
    let message = run["message"].as_str().unwrap().lines().next().unwrap();
    for part in ["image.bin", "lfs", "programs.git.lfs.enable"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(run["cause"][0]["kind"], "git", "{run}");
    let image = agent.dir().join("state/repo/image.bin");
    assert!(!image.exists());
    let smudge = "[filter \"lfs\"]\n\tsmudge = sed s/pointer/picture/\n";
    fs::write(&settings, smudge).unwrap();
    assert_eq!(pull(&dashboard)["status"], "ok");
    assert_eq!(fs::read_to_string(image).unwrap(), "a picture\n");
}

#[test]
fn a_build_leaves_its_link_in_the_folder_of_its_run() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("nixos-rebuild");
    fs::write(&program, "#!/bin/sh\nln -s /nix/store/built result\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", folder.path().display());
    let config = json!({"repo": {"url": repository.served()}});
    let mut agent = Agent::launch_in(vec![("PATH", path)], dashboard.port, "h1", &config);
    agent.wait_for_reconnection(0);
    assert_eq!(pull(&dashboard)["status"], "ok");
    let run = dashboard.command("h1", "build");
    assert_eq!(dashboard.wait_done("h1", &run)["status"], "ok");
    let state = agent.dir().join("state");
    assert!(!state.join("repo/result").is_symlink());
    assert!(state.join("runs").join(&run).join("result").is_symlink());
}

/// A git that notes in `asked` what it is asked for, and whose fetch breaks off where `broken` is: for as long as it
/// is there, or once where it says so. As many transfers as `unknown` says fail with words that nobody knows.
const UNLUCKY_GIT: &str = r#"#!/bin/sh
PATH='{path}'
export PATH
echo "$1" >> '{folder}/asked'
if [ "$1" = fetch ] && [ -e '{folder}/broken' ]; then
    if [ "$(cat '{folder}/broken')" = once ]; then rm '{folder}/broken'; fi
    echo 'error: RPC failed; curl 56 Recv failure: Connection reset by peer' >&2
    echo 'fatal: early EOF' >&2
    exit 128
fi
if [ "$1" = fetch ] || [ "$1" = clone ]; then
    left=$(cat '{folder}/unknown' 2>/dev/null || echo 0)
    if [ "$left" -gt 0 ]; then
        echo $((left - 1)) > '{folder}/unknown'
        echo "fatal: $LC_ALL$LANGUAGE: something that no git said before" >&2
        exit 128
    fi
fi
exec git "$@"
"#;

/// Puts [`UNLUCKY_GIT`] into a folder; gives the path with that before all others.
fn unlucky_git(folder: &Path) -> String {
    let path = std::env::var("PATH").unwrap();
    let at = folder.display().to_string();
    let program = UNLUCKY_GIT
        .replace("{path}", &path)
        .replace("{folder}", &at);
    fs::write(folder.join("git"), program).unwrap();
    fs::set_permissions(folder.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{at}:{path}")
}

#[test]
fn a_transfer_that_breaks_off_is_no_damage_and_costs_no_whole_clone() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"repo": {"url": repository.served()}});
    let path = vec![("PATH", unlucky_git(folder.path()))];
    let mut agent = Agent::launch_in(path, dashboard.port, "h1", &config);
    agent.wait_for_reconnection(0);
    assert_eq!(pull(&dashboard)["status"], "ok");
    let asked = || fs::read_to_string(folder.path().join("asked")).unwrap();
    let clones = || asked().lines().filter(|verb| *verb == "clone").count();
    assert_eq!(clones(), 1, "{}", asked());

    let newest = repository.commit("second");
    fs::write(folder.path().join("broken"), "always").unwrap();
    let run = pull(&dashboard);
    assert_eq!(run["status"], "error", "{run}");
    assert_eq!(clones(), 1, "{}", asked());
    let said = lines(&dashboard, &run).join("\n");
    assert!(said.contains("RPC failed"), "{said}");
    assert!(
        !said.contains("mended") && !said.contains("damaged"),
        "{said}"
    );

    fs::write(folder.path().join("broken"), "once").unwrap();
    let run = pull(&dashboard);
    assert_eq!(run["status"], "ok", "{run}");
    assert_eq!(run["revision"], newest);
    assert_eq!(clones(), 1, "{}", asked());
    let said = lines(&dashboard, &run).join("\n");
    assert!(!said.contains("mended"), "{said}");
}

#[test]
fn a_fetch_that_fails_with_words_nobody_knows_costs_a_clone_nothing_before_a_fresh_one_came() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let config = json!({"repo": {"url": repository.served()}});
    let environment = vec![
        ("PATH", unlucky_git(folder.path())),
        ("LC_ALL", "de_DE.UTF-8".to_owned()),
        ("LANGUAGE", "de".to_owned()),
    ];
    let mut agent = Agent::launch_in(environment, dashboard.port, "h1", &config);
    agent.wait_for_reconnection(0);
    assert_eq!(pull(&dashboard)["status"], "ok");
    let state = agent.dir().join("state");
    let reflog = state.join("repo/.git/logs/HEAD");
    let git_dir = fs::metadata(state.join("repo/.git")).unwrap().ino();
    let is_untouched = || {
        let names = fs::read_dir(&state).unwrap().flatten();
        let mut names = names.map(|entry| entry.file_name().into_string().unwrap());
        fs::metadata(state.join("repo/.git")).unwrap().ino() == git_dir
            && reflog.exists()
            && !names.any(|name| name.contains("switchyard-"))
    };
    assert!(is_untouched(), "a reflog is what mending removes first");
    let unlucky = |times: u32| {
        fs::write(folder.path().join("unknown"), times.to_string()).unwrap();
        let run = pull(&dashboard);
        let said = lines(&dashboard, &run).join("\n");
        (run, said)
    };

    let newest = repository.commit("second");
    // Neither the two fetches nor the fresh clone: nothing is known, and nothing happens.
    let (run, said) = unlucky(3);
    assert_eq!(run["status"], "error", "{run}");
    assert!(
        said.contains("C.UTF-8: something that no git said"),
        "{said}"
    );
    assert!(is_untouched(), "{said}");
    // A fresh clone comes, and then the old one can be fetched into.
    let (run, said) = unlucky(2);
    assert_eq!(run["status"], "ok", "{said}");
    assert_eq!(run["revision"], newest);
    assert!(is_untouched() && !said.contains("mended"), "{said}");
}

/// The command lines of every process.
fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

/// Serves a folder to one who has these credentials; notes which command lines there are at each request.
fn serve_to(credentials: &str, root: PathBuf, seen: Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let wanted = format!("Basic {credentials}");
    thread::spawn(move || {
        for connection in listener.incoming() {
            seen.lock().unwrap().extend(command_lines());
            let (root, wanted) = (root.clone(), wanted.clone());
            thread::spawn(move || answer_to(Some(&wanted), connection.unwrap(), &root));
        }
    });
    url
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
fn answer(connection: TcpStream, root: &Path) {
    answer_to(None, connection, root);
}

/// The same to those alone whose header for authorization is this one.
fn answer_to(wanted: Option<&str>, mut connection: TcpStream, root: &Path) {
    let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let is_wanted = |wanted: &str| {
        let mut given = headers.iter().filter_map(|line| line.split_once(": "));
        given.any(|(name, value)| name.eq_ignore_ascii_case("authorization") && value == wanted)
    };
    if wanted.is_some_and(|wanted| !is_wanted(wanted)) {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
        let _ = connection.write_all(head.as_bytes());
        return;
    }
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
