//! Asks a dashboard over HTTP, wherever it runs.

use super::log::Line;
use super::{SOON, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

/// Who asks.
pub(crate) struct Client {
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

impl Client {
    /// A visitor of the dashboard on this port of loopback.
    pub(crate) fn of(port: u16) -> Self {
        let cookie = None;
        Self { port, cookie }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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
