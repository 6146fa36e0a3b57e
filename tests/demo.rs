//! The demo as a program: it works without any set-up, and nothing of it is left behind.
#![cfg(test)]

mod common;

use common::{has, skip, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The longest time to wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

struct Demo {
    program: Child,
    /// `http://127.0.0.1:PORT`
    url: String,
    http: ureq::Agent,
    /// Where it may make its temporary files.
    temporary: tempfile::TempDir,
}

impl Demo {
    fn start(hosts: u8) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_switchyard"))
            .args(["demo", "--listen", "127.0.0.1:0", "--hosts"])
            .arg(hosts.to_string())
            .env("TMPDIR", temporary.path())
            .env("INVOCATION_ID", "as from a terminal that systemd started")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(program.stderr.take().unwrap());
        let mut url = None;
        let mut line = String::new();
        while url.is_none() {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it never listened");
            url = line
                .split_once("listening on ")
                .map(|(_, url)| url.trim().to_owned());
        }
        // Its messages must find a reader.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .timeout_global(Some(PATIENCE));
        Self {
            program,
            url: url.unwrap(),
            http: config.build().into(),
            temporary,
        }
    }

    fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.url);
        self.http
            .get(url)
            .call()
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap()
    }

    fn command(&self, host: &str, command: &str) {
        let url = format!("{}/api/hosts/{host}/command", self.url);
        let answer = self
            .http
            .post(url)
            .header("Origin", &self.url)
            .send_json(json!({"command": command}))
            .unwrap();
        assert_eq!(answer.status(), 202);
    }

    /// The host, once it is as asked for.
    fn host(&self, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(id, PATIENCE, || {
            Some(self.get(&format!("/api/hosts/{id}"))).filter(&fits)
        })
    }

    /// Ends it by a signal, and gives its exit code.
    fn end(&mut self, signal: &str) -> Option<i32> {
        let pid = self.program.id().to_string();
        let kill = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(kill.unwrap().success());
        let ended = || self.program.try_wait().unwrap();
        let status = wait_for("the demo's end", PATIENCE, ended);
        status.code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Processes whose command line names the folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let command = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    });
    processes.filter(|line| line.contains(folder)).collect()
}

#[test]
fn a_host_of_the_demo_pulls_and_switches() {
    let mut demo = Demo::start(2);
    let is_online = |host: &Value| host["online"] == true;
    let host = demo.host("gateway", is_online);
    assert_eq!(host["revision"].as_str().map(str::len), Some(40));
    demo.command("gateway", "pull");
    let host = demo.host("gateway", |host| host["run"]["status"] == "ok");
    assert_eq!(host["run"]["command"], "pull");

    demo.command("gateway", "switch");
    let host = demo.host("gateway", |host| {
        host["run"]["command"] == "switch" && host["run"]["status"] == "ok"
    });
    let run = &host["run"];
    let phases: Vec<&str> = run["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mark| mark["phase"].as_str().unwrap())
        .collect();
    assert_eq!(
        phases,
        ["evaluation", "download", "building", "activation", "switch"]
    );
    assert!(run["done"].as_u64() > Some(5) && run["done"] == run["expected"]);
    assert_eq!(demo.end("TERM"), Some(0));
}

#[test]
fn one_host_builds_with_the_nix_of_this_machine() {
    if !has("nix") {
        return skip("nix is not installed");
    }
    let mut demo = Demo::start(2);
    demo.host("real-nix", |host| host["online"] == true);
    demo.command("real-nix", "switch");
    let host = demo.host("real-nix", |host| host["run"]["status"] == "ok");
    assert_eq!(host["run"]["done"], 8);
    let lines = demo.get(&format!(
        "/api/hosts/real-nix/runs/{}/lines",
        host["run"]["run_id"].as_str().unwrap()
    ));
    let store = demo.temporary.path().to_str().unwrap();
    let text = lines.to_string();
    assert!(text.contains("etc> step 5 of 5"), "{text}");
    assert!(text.contains(&format!("building '{store}")), "{text}");
    assert_eq!(demo.end("TERM"), Some(0));
}

#[test]
fn nothing_is_left_behind_in_the_middle_of_a_run() {
    for signal in ["INT", "TERM"] {
        let mut demo = Demo::start(2);
        let hosts = demo.get("/api/hosts");
        let hosts: Vec<&str> = hosts["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|host| host["id"].as_str().unwrap())
            .collect();
        for host in &hosts {
            demo.host(host, |host| host["online"] == true);
            demo.command(host, "switch");
        }
        for host in &hosts {
            demo.host(host, |host| host["run"]["lines"].as_u64() > Some(1));
        }
        let folder = demo.temporary.path().to_owned();
        assert!(!processes_of(&folder).is_empty());
        assert_eq!(demo.end(signal), Some(0));
        let left = processes_of(&folder);
        assert!(left.is_empty(), "{left:?}");
        let files: Vec<_> = fs::read_dir(&folder).unwrap().collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_an_error_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .args(["demo", "--listen", &address])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_newcomer_sees_what_failures_look_like() {
    let mut demo = Demo::start(8);
    let has_failed = |host: &Value| host["run"]["status"] == "error";
    let expected = [
        ("build01", "switch", "derivation"),
        ("office", "switch", "evaluation"),
        ("web01", "pull", "git"),
    ];
    for (id, command, kind) in expected {
        let host = demo.host(id, has_failed);
        assert_eq!(host["run"]["command"], command, "{id}");
        assert_eq!(host["run"]["cause"][0]["kind"], kind, "{id}: {host}");
    }
    // A good pull does not hide that the deployment before it failed.
    let backup = demo.host("backup", |host| {
        host["run"]["command"] == "pull" && host["run"]["status"] == "ok"
    });
    assert_eq!(backup["deployment"]["command"], "switch");
    assert_eq!(backup["deployment"]["status"], "error");
    let switched = backup["deployment"]["run_id"].as_str().unwrap();
    let switch = demo.get(&format!("/api/hosts/backup/runs/{switched}"));
    assert_eq!(switch["cause"][0]["kind"], "unit", "{switch}");
    assert_eq!(demo.host("gateway", |_| true)["run"], Value::Null);
    // It waited until the host was free, so that nothing was refused.
    let refused = demo.get("/api/audit?result=refused");
    assert_eq!(refused["records"], json!([]));
    assert_eq!(demo.end("TERM"), Some(0));
}
