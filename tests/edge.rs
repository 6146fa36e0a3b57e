//! The dashboard's edge over real HTTP: who may come in, and what a log gives.
#![cfg(test)]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use switchyard::dashboard::auth::hash_password;
use switchyard::dashboard::config::{Config, Overrides};
use switchyard::lifecycle::Shutdown;
use switchyard::protocol::{CommandName, HostId, Progress, RunId, Status, Timestamp};
use switchyard::runlog::{Header, LogWriter, RunMeta, RunResult, paths};
use ureq::http::Response;

const RUN: &str = "2025-12-14T10-30-00-switch";

/// A dashboard with one host, h1, on a free port, for as long as this lives.
struct Dashboard {
    base: String,
    folder: tempfile::TempDir,
    shutdown: Shutdown,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Dashboard {
    fn start(users: Option<&str>, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let logs = data_dir.join("logs/h1");
        std::fs::create_dir_all(&logs).unwrap();
        prepare(&logs);
        let write = |name: &str, text: &str| -> PathBuf {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let token = switchyard::dashboard::auth::SecretHash::of("machine");
        let agents = write("agents", &format!("h1 {token}\n"));
        let mut text = format!(
            "listen = \"127.0.0.1:0\"\nagents_file = {agents:?}\ndata_dir = {data_dir:?}\n"
        );
        if let Some(users) = users {
            text += &format!("users_file = {:?}\n", write("users", users));
        }
        let config = write("dashboard.toml", &text);
        let config = Config::load(Some(&config), Overrides::default()).unwrap();
        let listener = std::net::TcpListener::bind(config.listen).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let ends = shutdown.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let served = switchyard::dashboard::run(listener, config, ends);
            runtime.block_on(served).unwrap();
        });
        Self {
            base,
            folder,
            shutdown,
            thread: Some(thread),
        }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
        let mut request = agent().get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.call().unwrap()
    }

    fn json(&self, path: &str) -> Value {
        let mut response = self.get(path, &[]);
        assert_eq!(response.status(), 200, "{path}");
        response.body_mut().read_json().unwrap()
    }

    fn post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Response<ureq::Body> {
        let mut request = agent().post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body).unwrap()
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("data/logs/h1")
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .build()
        .into()
}

fn run() -> RunId {
    RunId::new(RUN).unwrap()
}

fn begin(logs: &Path) -> LogWriter {
    let header = Header {
        command: CommandName::new("switch").unwrap(),
        host_id: HostId::new("h1").unwrap(),
        meta: RunMeta {
            nonce: None,
            requested_by: Some("alice".to_owned()),
            queued: None,
            started: Timestamp::parse("2025-12-14T10:30:00.123Z").unwrap(),
            generation_before: None,
        },
    };
    LogWriter::create(logs, &run(), &header).unwrap()
}

fn push(log: &mut LogWriter, line: &str) {
    let at = Timestamp::parse("2025-12-14T10:30:01.500Z").unwrap();
    log.push(line, at, Some(true));
}

fn finish(log: &mut LogWriter) {
    let result = RunResult {
        status: Status::Ok,
        completed: Timestamp::parse("2025-12-14T10:31:15.135Z").unwrap(),
        message: None,
        lines: 0,
        errors: None,
        duration_ms: Some(75_012),
        progress: Progress::default(),
        generation_after: None,
        revision: None,
    };
    log.flush().unwrap();
    log.finish(Some(0), result).unwrap();
}

fn problem(mut response: Response<ureq::Body>) -> (u16, Value) {
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: Value = response.body_mut().read_json().unwrap();
    let status = response.status().as_u16();
    assert_eq!(body["status"], status);
    assert!(
        body["title"].is_string() && body["detail"].is_string(),
        "{body}"
    );
    (status, body)
}

#[test]
fn signing_in_gives_a_cookie_that_signing_out_ends() {
    let users = format!("alice admin {}\n", hash_password("correct horse").unwrap());
    let dashboard = Dashboard::start(Some(&users), |_| ());
    let origin = ("origin", dashboard.base.as_str());
    let kind = ("content-type", "application/json");
    let login = |password: &str| {
        let body = json!({ "user": "alice", "password": password }).to_string();
        dashboard.post("/api/login", &body, &[origin, kind])
    };
    assert_eq!(problem(login("wrong horse")).0, 401);
    let lines = format!("/api/hosts/h1/runs/{RUN}/lines");
    assert_eq!(problem(dashboard.get(&lines, &[])).0, 401);
    let answer = login("correct horse");
    assert_eq!(answer.status(), 204);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "{cookie}");
    let cookie = ("cookie", cookie.split(';').next().unwrap());
    assert_eq!(problem(dashboard.get(&lines, &[cookie])).0, 404);
    assert_eq!(problem(dashboard.post("/api/logout", "", &[cookie])).0, 403);
    assert_eq!(
        dashboard
            .post("/api/logout", "", &[cookie, origin])
            .status(),
        204
    );
    assert_eq!(problem(dashboard.get(&lines, &[cookie])).0, 401);
}

#[test]
fn who_guesses_passwords_is_told_to_wait() {
    let users = format!("alice admin {}\n", hash_password("correct horse").unwrap());
    let dashboard = Dashboard::start(Some(&users), |_| ());
    let headers = [
        ("origin", dashboard.base.as_str()),
        ("content-type", "application/json"),
    ];
    let guess = || dashboard.post("/api/login", r#"{"user":"bob","password":"x"}"#, &headers);
    for _ in 0..5 {
        assert_eq!(guess().status(), 401);
    }
    let answer = guess();
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(problem(answer).0, 429);
}

#[test]
fn a_bad_body_is_told_what_is_wrong_with_it() {
    let dashboard = Dashboard::start(None, |_| ());
    let origin = ("origin", dashboard.base.as_str());
    let kind = ("content-type", "application/json");
    let post = |body: &str, headers: &[(&str, &str)]| {
        problem(dashboard.post("/api/login", body, headers)).0
    };
    assert_eq!(post("{}", &[origin]), 415);
    assert_eq!(post("{}", &[origin, ("content-type", "text/plain")]), 415);
    assert_eq!(post("{", &[origin, kind]), 400);
    assert_eq!(post("{}", &[origin, kind]), 400);
    assert_eq!(post(&"x".repeat(65 * 1024), &[origin, kind]), 413);
    assert_eq!(post("{}", &[kind]), 403);
    assert_eq!(problem(dashboard.get("/api/login", &[])).0, 405);
    for path in [
        "/api/nothing",
        "/nothing",
        "/api/hosts/..%2f..%2fetc/runs/x/lines",
    ] {
        assert_eq!(problem(dashboard.get(path, &[])).0, 404, "{path}");
    }
    assert_eq!(
        problem(dashboard.get("/", &[("host", "evil.example")])).0,
        421
    );
}

#[test]
fn the_page_comes_at_every_place_with_a_strict_policy() {
    let dashboard = Dashboard::start(None, |_| ());
    for path in ["/", "/hosts/h1", "/hosts/h1/runs/x"] {
        let answer = dashboard.get(path, &[]);
        assert_eq!(
            answer.headers()["content-type"],
            "text/html; charset=utf-8",
            "{path}"
        );
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    assert_eq!(dashboard.json("/health"), json!({ "status": "ok" }));
}

#[test]
fn lines_are_given_from_anywhere_and_never_too_many() {
    let dashboard = Dashboard::start(None, |logs| {
        let mut log = begin(logs);
        for n in 0..12_345 {
            push(&mut log, &format!("line {n} \u{1b}[31mred\u{1b}[0m \"é\""));
        }
        finish(&mut log);
    });
    let lines = |query: &str| dashboard.json(&format!("/api/hosts/h1/runs/{RUN}/lines{query}"));
    let answer = lines("");
    assert_eq!(
        (&answer["first"], &answer["total"]),
        (&json!(0), &json!(12_345))
    );
    assert_eq!(answer["lines"].as_array().unwrap().len(), 1_000);
    assert_eq!(
        answer["lines"][7],
        json!({ "seq": 7, "line": "line 7 \u{1b}[31mred\u{1b}[0m \"é\"",
                "timestamp": "2025-12-14T10:30:01.500Z", "is_error": true })
    );
    let answer = lines("?from=2345&limit=99999");
    let found = answer["lines"].as_array().unwrap();
    assert_eq!(found.len(), 10_000);
    assert!(
        found
            .iter()
            .zip(2345..)
            .all(|(line, seq)| line["seq"] == seq)
    );
    assert_eq!(
        lines("?from=12344&limit=5")["lines"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let beyond = json!({ "first": 99_999, "total": 12_345, "lines": [] });
    assert_eq!(lines("?from=99999"), beyond);
    assert_eq!(lines("?limit=0")["lines"], json!([]));
    for bad in [
        "?from=-1",
        "?from=x",
        "?limit=x",
        "?from=99999999999999999999",
    ] {
        let path = format!("/api/hosts/h1/runs/{RUN}/lines{bad}");
        assert_eq!(problem(dashboard.get(&path, &[])).0, 400, "{bad}");
    }
    for bad in ["2025-12-14T10-30-00-boot", "x", "..%2f..%2fx"] {
        let path = format!("/api/hosts/h1/runs/{bad}/lines");
        assert_eq!(problem(dashboard.get(&path, &[])).0, 404, "{bad}");
    }
}

#[test]
fn a_search_counts_every_line_and_looks_through_colours() {
    let dashboard = Dashboard::start(None, |logs| {
        let mut log = begin(logs);
        for n in 0..20_000 {
            match n % 1000 {
                3 => push(&mut log, "an \u{1b}[31mErr\u{1b}[1mor: here"),
                4 => push(&mut log, "a.b error"),
                _ => push(&mut log, &format!("building {n}")),
            }
        }
        finish(&mut log);
    });
    let search = |query: &str| dashboard.json(&format!("/api/hosts/h1/runs/{RUN}/search{query}"));
    let found = search("?q=error");
    assert_eq!(found["total"], 40);
    assert_eq!(
        found["matches"][0],
        json!({ "seq": 3, "line": "an \u{1b}[31mErr\u{1b}[1mor: here" })
    );
    assert_eq!(found["matches"].as_array().unwrap().len(), 40);
    assert_eq!(search("?q=Error&case=true")["total"], 20);
    assert_eq!(search("?q=a.b")["total"], 20);
    assert_eq!(
        search("?q=%5Ebuilding%20%5Cd%2B1%24&regex=1")["total"],
        2_000
    );
    let some = search("?q=error&from=1000&limit=3");
    assert_eq!(some["total"], 40);
    let seqs: Vec<_> = some["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["seq"])
        .collect();
    assert_eq!(seqs, [1003, 1004, 2003]);
    assert_eq!(
        search("?q=building")["matches"].as_array().unwrap().len(),
        1_000
    );
    for bad in [
        "",
        "?q=",
        "?q=(&regex=1",
        "?q=x&case=maybe",
        "?q=(x%7B1000%7D)%7B1000%7D&regex=1",
    ] {
        let path = format!("/api/hosts/h1/runs/{RUN}/search{bad}");
        assert_eq!(problem(dashboard.get(&path, &[])).0, 400, "{bad}");
    }
}

#[test]
fn a_download_is_the_log_without_escapes() {
    let dashboard = Dashboard::start(None, |logs| {
        let mut log = begin(logs);
        for n in 0..30_000 {
            push(&mut log, &format!("line {n} \"é\" \0"));
        }
        finish(&mut log);
    });
    let path = format!("/api/hosts/h1/logs/download?format=txt&run={RUN}");
    let mut answer = dashboard.get(&path, &[]);
    assert_eq!(
        answer.headers()["content-disposition"],
        format!("attachment; filename=\"h1-{RUN}.txt\"")
    );
    let text = answer.body_mut().read_to_vec().unwrap();
    let (log, _) = paths(&dashboard.logs(), &run());
    assert!(text == std::fs::read(&log).unwrap());
    let found = dashboard.json("/api/hosts/h1/logs/download?format=json");
    assert_eq!(found["run_id"], RUN);
    assert_eq!(
        (&found["status"], &found["exit_code"]),
        (&json!("ok"), &json!(0))
    );
    assert_eq!(found["completed"], "2025-12-14T10:31:15.135Z");
    let lines = found["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 30_000);
    assert!(
        lines
            .iter()
            .zip(0..)
            .all(|(line, n)| { line["seq"] == n && line["line"] == format!("line {n} \"é\" \0") })
    );
    for (bad, status) in [
        ("format=pdf", 400),
        ("run=../../x", 400),
        ("run=2025-12-14T10-30-00-boot", 404),
    ] {
        let path = format!("/api/hosts/h1/logs/download?{bad}");
        assert_eq!(problem(dashboard.get(&path, &[])).0, status, "{bad}");
    }
    assert_eq!(
        problem(dashboard.get("/api/hosts/h2/logs/download", &[])).0,
        404
    );
}

#[test]
fn a_download_of_a_running_run_has_its_lines_so_far_and_no_footer() {
    let dashboard = Dashboard::start(None, |logs| {
        let mut log = begin(logs);
        push(&mut log, "\u{1b}]0;title\u{7}one\u{1b}[0m");
        push(&mut log, "two");
        log.flush().unwrap();
        push(&mut log, "not yet");
    });
    let mut answer = dashboard.get("/api/hosts/h1/logs/download", &[]);
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(
        text.ends_with("\n\n[10:30:01] one\n[10:30:01] two\n"),
        "{text}"
    );
    let found = dashboard.json("/api/hosts/h1/logs/download?format=json");
    assert_eq!(found["status"], "running");
    assert_eq!(
        (&found["completed"], &found["exit_code"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(found["lines"][0]["line"], "\u{1b}]0;title\u{7}one\u{1b}[0m");
}
