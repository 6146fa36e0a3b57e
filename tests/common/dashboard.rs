//! A dashboard with a data folder of its own.

use super::log::{Line, LogFile};
use super::{Process, SOON, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A dashboard and how to talk to it.
pub(crate) struct Dashboard {
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
    address: &'static str,
    pub(crate) process: Process,
    pub(crate) port: u16,
    /// Sent with each request, as a browser would.
    pub(crate) cookie: Option<String>,
}

/// An answer over HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Dashboard {
    /// A dashboard that knows these hosts and where every visitor is an admin.
    pub(crate) fn start(hosts: &[&str]) -> Self {
        Self::start_with(hosts, "", &[])
    }

    /// The same with `extra` lines of configuration, and `(name, role, hash)` of users.
    pub(crate) fn start_with(hosts: &[&str], extra: &str, users: &[(&str, &str, String)]) -> Self {
        Self::start_in(Vec::new(), "127.0.0.1", hosts, extra, users)
    }

    /// The same with more in its environment, listening on this address.
    pub(crate) fn start_in(
        environment: Vec<(&'static str, String)>,
        address: &'static str,
        hosts: &[&str],
        extra: &str,
        users: &[(&str, &str, String)],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut agents = String::new();
        for host in hosts {
            writeln!(agents, "{host} {}", sha256_hex(&Self::token(host))).unwrap();
        }
        fs::write(dir.path().join("agents"), agents).unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "data_dir = {:?}\nagents_file = {:?}\n",
            path("data"),
            path("agents")
        );
        if !users.is_empty() {
            let lines = users
                .iter()
                .map(|(name, role, hash)| format!("{name} {role} {hash}\n"));
            fs::write(dir.path().join("users"), lines.collect::<String>()).unwrap();
            writeln!(config, "users_file = {:?}", path("users")).unwrap();
        }
        fs::write(dir.path().join("dashboard.toml"), config + extra).unwrap();
        let mut process = spawn(dir.path(), &environment, (address, 0));
        Self {
            port: port_of(&mut process),
            dir,
            environment,
            address,
            process,
            cookie: None,
        }
    }

    /// Ends it with a signal and starts it anew, on the same port and the same data.
    pub(crate) fn restart(&mut self, signal: Signal, while_down: impl FnOnce()) {
        self.process.end(signal);
        while_down();
        self.start_again();
    }

    /// Starts it anew, on the same port and the same data.
    pub(crate) fn start_again(&mut self) {
        self.launch_again();
        port_of(&mut self.process);
    }

    fn launch_again(&mut self) {
        let at = (self.address, self.port);
        self.process = spawn(self.dir.path(), &self.environment, at);
    }

    /// Starts it anew and kills it so much later, wherever it is then.
    pub(crate) fn launch_and_kill(&mut self, later: Duration) {
        self.launch_again();
        std::thread::sleep(later);
        self.process.end(Signal::SIGKILL);
    }

    /// The token of a host.
    pub(crate) fn token(host: &str) -> String {
        sha256_hex(&format!("the token of {host}"))
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A request with exactly these headers besides `Host`.
    #[track_caller]
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(self.origin() + path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(SOON))
            .build()
            .into();
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let body = response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
        }
    }

    /// As a browser that shows our page would ask.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        let cookie = self.cookie.as_deref().unwrap_or_default();
        self.request("GET", path, &[("Cookie", cookie)], b"")
    }

    /// As a browser that shows our page would post.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let cookie = self.cookie.as_deref().unwrap_or_default();
        let origin = self.origin();
        let headers = [
            ("Cookie", cookie),
            ("Origin", &origin),
            ("Content-Type", "application/json"),
        ];
        self.request("POST", path, &headers, body.to_string().as_bytes())
    }

    /// What a user's hash is for this password.
    pub(crate) fn password_hash(password: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchyard"))
            .arg("passwd")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(password.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Signs in, and sends the session from now on.
    #[track_caller]
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        let answer = self.post("/api/login", &json!({"user": user, "password": password}));
        assert_eq!(answer.status, 204);
        self.cookie = answer
            .header("set-cookie")
            .split(';')
            .next()
            .map(str::to_owned);
    }

    /// What `path` says, which must be 200.
    #[track_caller]
    pub(crate) fn fetch(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(
            answer.status,
            200,
            "GET {path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }

    pub(crate) fn host(&self, host: &str) -> Value {
        self.fetch(&format!("/api/hosts/{host}"))
    }

    #[track_caller]
    pub(crate) fn wait_for_host(
        &self,
        host: &str,
        what: &str,
        mut is_so: impl FnMut(&Value) -> bool,
    ) -> Value {
        wait_for(what, SOON, || Some(self.host(host)).filter(&mut is_so))
    }

    /// Sends a command, which must be taken; gives the run's id.
    #[track_caller]
    pub(crate) fn command(&self, host: &str, command: &str) -> String {
        let answer = self.post(
            &format!("/api/hosts/{host}/command"),
            &json!({"command": command}),
        );
        assert_eq!(
            answer.status,
            202,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()["run_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn run(&self, host: &str, run_id: &str) -> Value {
        self.fetch(&format!("/api/hosts/{host}/runs/{run_id}"))
    }

    /// Waits until `is_so` of the run.
    #[track_caller]
    pub(crate) fn wait_for_run(
        &self,
        host: &str,
        run_id: &str,
        limit: Duration,
        mut is_so: impl FnMut(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        wait_for(&format!("run {run_id}"), limit, || {
            let run = self.run(host, run_id);
            if run != last && std::env::var_os("SWITCHYARD_TEST_TRACE").is_some() {
                eprintln!("{run}");
            }
            last = run.clone();
            Some(run).filter(&mut is_so)
        })
    }

    /// Waits for the end of a run.
    #[track_caller]
    pub(crate) fn wait_done(&self, host: &str, run_id: &str) -> Value {
        let is_done =
            |run: &Value| !["queued", "running"].contains(&run["status"].as_str().unwrap());
        self.wait_for_run(host, run_id, 2 * SOON, is_done)
    }

    /// Every line of a run, over HTTP, whose numbers have no holes.
    #[track_caller]
    pub(crate) fn lines(&self, host: &str, run_id: &str) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        loop {
            let from = lines.len();
            let path = format!("/api/hosts/{host}/runs/{run_id}/lines?from={from}&limit=10000");
            let page = self.fetch(&path);
            assert_eq!(page["first"], from);
            let page_lines: Vec<Line> = serde_json::from_value(page["lines"].clone()).unwrap();
            let was_empty = page_lines.is_empty();
            for line in page_lines {
                assert_eq!(
                    line.seq,
                    Some(lines.len() as u64),
                    "a number that skips or repeats"
                );
                lines.push(line);
            }
            if was_empty || lines.len() as u64 == page["total"].as_u64().unwrap() {
                return lines;
            }
        }
    }

    #[track_caller]
    pub(crate) fn download(&self, host: &str, run_id: &str, format: &str) -> Vec<u8> {
        let answer = self.get(&format!(
            "/api/hosts/{host}/logs/download?format={format}&run={run_id}"
        ));
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-disposition").contains("attachment"));
        answer.body
    }

    /// Replaces one of the files that the configuration names, and has the dashboard read them anew.
    pub(crate) fn reload_with(&self, name: &str, content: &str) {
        fs::write(self.dir.path().join(name), content).unwrap();
        let pid = Pid::from_raw(self.process.id().cast_signed());
        kill(pid, Signal::SIGHUP).unwrap();
    }

    /// The log on disk.
    #[track_caller]
    pub(crate) fn log(&self, host: &str, run_id: &str) -> LogFile {
        let path = self
            .data_dir()
            .join("logs")
            .join(host)
            .join(format!("{run_id}.log"));
        LogFile::read(&path)
    }
}

fn spawn(dir: &Path, environment: &[(&str, String)], (address, port): (&str, u16)) -> Process {
    let config = dir.join("dashboard.toml");
    let listen = format!("{address}:{port}");
    let arguments = [
        "dashboard",
        "--config",
        config.to_str().unwrap(),
        "--listen",
        &listen,
    ];
    Process::start_in(dir, &arguments, environment)
}

/// Waits until it listens.
fn port_of(process: &mut Process) -> u16 {
    let address = process.wait_to_say("listening on http://", 0);
    let address = address.split_whitespace().next().unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The hash of a token, as `agents_file` has it.
pub(crate) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An error as RFC 9457 has it.
#[track_caller]
pub(crate) fn assert_problem(answer: &Answer, status: u16) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{body}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert!(
        problem["title"].is_string() && problem["detail"].is_string(),
        "{body}"
    );
}
