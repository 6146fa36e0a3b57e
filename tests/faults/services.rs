//! What systemd hears of a service, and how a service ends.

use crate::child::{Child, Pace};
use crate::common::{Agent, Dashboard, Process, SOON, Socket, assert_problem, skip, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

const WATCHDOG: Duration = Duration::from_secs(1);

/// A systemd that a test plays.
struct Systemd {
    socket: UnixDatagram,
    heard: Vec<(Instant, String)>,
    dir: tempfile::TempDir,
}

impl Systemd {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let heard = Vec::new();
        Self { socket, heard, dir }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let socket = self.dir.path().join("notify").display().to_string();
        vec![
            ("NOTIFY_SOCKET", socket),
            ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()),
        ]
    }

    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(length) => {
                    let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
                    let lines = text.lines().map(|line| (Instant::now(), line.to_owned()));
                    self.heard.extend(lines);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until one of the assignments from `from` on contains `text`; gives it.
    #[track_caller]
    fn wait_for(&mut self, text: &str, from: usize) -> String {
        wait_for(text, SOON, || {
            self.listen();
            let mut heard = self.heard.iter().skip(from);
            heard.find_map(|(_, line)| line.contains(text).then(|| line.clone()))
        })
    }

    /// When the watchdog was fed from `from` on.
    fn fed(&self, from: usize) -> Vec<Instant> {
        let heard = self.heard.iter().skip(from);
        let fed = heard.filter(|(_, line)| line == "WATCHDOG=1");
        fed.map(|(at, _)| *at).collect()
    }

    /// The watchdog is fed about twice as often as it asks.
    #[track_caller]
    fn assert_fed(&mut self) {
        let from = self.heard.len();
        let began = Instant::now();
        wait_for("the watchdog to be fed", SOON, || {
            self.listen();
            (self.fed(from).len() >= 6).then_some(())
        });
        let each = began.elapsed() / 6;
        assert!(
            each < WATCHDOG * 3 / 4 && each > WATCHDOG / 4,
            "every {each:?}"
        );
    }

    /// A process that hangs feeds nothing.
    #[track_caller]
    fn assert_starves(&mut self) {
        self.listen();
        let from = self.heard.len();
        std::thread::sleep(WATCHDOG * 2);
        self.listen();
        assert_eq!(self.fed(from).len(), 0);
    }
}

#[test]
fn systemd_hears_when_a_dashboard_is_ready_who_is_online_and_that_it_ends() {
    let mut systemd = Systemd::new();
    let environment = systemd.environment();
    let mut dashboard = Dashboard::start_in(environment, "127.0.0.1", &["h1", "h2"], "", &[]);
    systemd.wait_for("READY=1", 0);
    systemd.wait_for("STATUS=0 of 2 hosts online", 0);
    let agent = Socket::agent(&dashboard, "h1");
    systemd.wait_for("STATUS=1 of 2 hosts online", 0);
    drop(agent);
    let from = systemd.heard.len();
    systemd.wait_for("STATUS=0 of 2 hosts online", from);
    systemd.assert_fed();
    dashboard.process.signal(Signal::SIGSTOP);
    systemd.assert_starves();
    dashboard.process.signal(Signal::SIGCONT);
    assert_eq!(dashboard.process.end(Signal::SIGTERM), Some(0));
    systemd.wait_for("STOPPING=1", 0);
}

#[test]
fn a_dashboard_that_starts_for_long_says_so_to_everybody_and_is_ready_last() {
    let mut systemd = Systemd::new();
    let environment = systemd.environment();
    let mut dashboard = Dashboard::start_in(environment, "127.0.0.1", &["h1"], "", &[]);
    assert_eq!(dashboard.process.end(Signal::SIGTERM), Some(0));
    // A log that cannot be read before somebody writes to it.
    let folder = dashboard.data_dir().join("logs/h1");
    std::fs::create_dir_all(&folder).unwrap();
    let pipe = folder.join("2025-12-14T10-30-00-switch.log");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    systemd.listen();
    let from = systemd.heard.len();
    dashboard.launch_again();
    systemd.wait_for("STATUS=starting: checking the logs", from);
    systemd.wait_for("EXTEND_TIMEOUT_USEC=", from);
    let accept = [("Accept", "text/html,*/*")];
    let page = dashboard.request("GET", "/", &accept, b"");
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert_eq!(page.status, 503, "{text}");
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(text.contains("The dashboard is starting"), "{text}");
    assert!(!page.header("refresh").is_empty());
    for path in ["/health", "/api/hosts", "/api/hosts/h1/runs"] {
        let answer = dashboard.get(path);
        assert_problem(&answer, 503);
        assert!(!answer.header("retry-after").is_empty(), "{path}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("is starting"), "{detail}");
    }
    let bearer = format!("Bearer {}", Dashboard::token("h1"));
    let headers = [("Authorization", bearer.as_str())];
    let refused = Socket::open(&dashboard, "/ws/agent", &headers).err();
    assert_eq!(refused, Some(503), "no agent is taken in yet");
    systemd.listen();
    let is_ready = |systemd: &Systemd| {
        let mut heard = systemd.heard.iter().skip(from);
        heard.any(|(_, line)| line == "READY=1")
    };
    assert!(!is_ready(&systemd));

    let writer = std::fs::File::options().read(true).write(true).open(&pipe);
    systemd.wait_for("READY=1", from);
    drop(writer);
    dashboard.process.wait_to_say("listening on", 0);
    assert_eq!(dashboard.get("/health").status, 200);
    assert_eq!(dashboard.fetch("/api/hosts")["hosts"][0]["id"], "h1");
    drop(Socket::agent(&dashboard, "h1"));
}

#[test]
fn systemd_hears_whether_an_agent_is_connected_and_why_not() {
    let mut systemd = Systemd::new();
    let mut dashboard = Dashboard::start(&["h1"]);
    let port = dashboard.port;
    let mut agent = Agent::launch_in(systemd.environment(), port, "h1", &json!({}));
    systemd.wait_for("READY=1", 0);
    let connected = format!("STATUS=connected to ws://127.0.0.1:{port}");
    systemd.wait_for(&connected, 0);
    systemd.assert_fed();
    let from = systemd.heard.len();
    dashboard.restart(Signal::SIGTERM, || {
        let status = systemd.wait_for("STATUS=not connected to ws://127.0.0.1", from);
        assert!(
            status.contains("1001") || status.contains("cannot reach"),
            "{status}"
        );
    });
    systemd.wait_for(&connected, from);
    assert_eq!(agent.process.end(Signal::SIGTERM), Some(0));
    systemd.wait_for("STOPPING=1", from);
}

#[test]
fn agent_and_dashboard_may_be_restarted_in_the_middle_of_a_run_and_a_browser_goes_on_at_its_line() {
    let mut dashboard = Dashboard::start(&["h1", "h2"]);
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new(dir.path(), "child", Pace::Fast, 4);
    let mut agent = Agent::start(&dashboard, "h1", &child.script);
    let before = dashboard.command("h2", "switch");
    let run = dashboard.command("h1", "switch");
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..3 {
        let mut browser = Socket::browser(&dashboard);
        browser.send(
            &json!({"type": "subscribe", "host_id": "h1", "run_id": run, "from": seen.len()}),
        );
        let enough = seen.len() + 2_000;
        while seen.len() < enough {
            for message in browser.frame() {
                take(&mut seen, &message);
            }
        }
        let began = Instant::now();
        let said = agent.process.said();
        assert_eq!(dashboard.process.end(Signal::SIGTERM), Some(0));
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(browser.close_code(), 1001);
        dashboard.start_again();
        assert_eq!(dashboard.run("h2", &before)["status"], "queued");
        assert_eq!(dashboard.run("h1", &run)["status"], "running");
        agent.wait_for_reconnection(said);
        assert_eq!(agent.process.end(Signal::SIGTERM), Some(0));
        agent.start_again();
    }
    child.gate.open();
    child.assert_whole(&dashboard, "h1", &run, 4);
    assert!(seen == child.written()[..seen.len()]);
}

/// Takes in what follows in a browser's view.
fn take(seen: &mut Vec<String>, message: &serde_json::Value) {
    if message["type"] == "command_output" {
        assert_eq!(message["seq"], seen.len());
        let lines = message["lines"].as_array().unwrap();
        seen.extend(
            lines
                .iter()
                .map(|line| line["line"].as_str().unwrap().to_owned()),
        );
    }
}

#[test]
fn what_is_said_of_a_run_names_run_host_and_command() {
    let dashboard = Dashboard::start(&["h1"]);
    let agent = Agent::start(&dashboard, "h1", "true");
    let run = dashboard.command("h1", "switch");
    dashboard.wait_done("h1", &run);
    let named = |line: &str| {
        [
            format!("run={run}"),
            "host=h1".to_owned(),
            "command=switch".to_owned(),
        ]
        .iter()
        .all(|field| line.contains(field))
    };
    for (process, said) in [
        (&dashboard.process, "run requested"),
        (&dashboard.process, "run ended"),
        (&agent.process, "run started"),
    ] {
        let line = process.line_with(said);
        assert!(named(&line), "{line}");
    }
}

/// Starts a program with `$1` in the place of the journal's folder, as if its standard error were the journal.
const UNDER_SYSTEMD: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
    mount --bind \"$1\" /run/systemd/journal && shift && \
    JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";

#[test]
fn under_systemd_it_goes_to_the_journal_with_these_fields() {
    if !std::process::Command::new("unshare")
        .args(["-m", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip("a mount namespace needs root and unshare");
    }
    let dir = tempfile::tempdir().unwrap();
    let journal = UnixDatagram::bind(dir.path().join("socket")).unwrap();
    journal.set_read_timeout(Some(SOON)).unwrap();
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Agent::start(&dashboard, "h1", "true");
    agent.process.end(Signal::SIGTERM);
    let config = agent.dir().join("agent.toml");
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let program = env!("CARGO_BIN_EXE_switchyard");
    let (journal_dir, config) = (path(dir.path()), path(&config));
    agent.process = Process::start_program(
        "unshare".as_ref(),
        agent.dir(),
        &[
            "-m",
            "sh",
            "-c",
            UNDER_SYSTEMD,
            "sh",
            &journal_dir,
            program,
            "agent",
            "--config",
            &config,
        ],
        &[],
    );
    dashboard.wait_for_host("h1", "it", |host| host["online"] == true);
    let run = dashboard.command("h1", "switch");
    let mut bytes = [0; 65_536];
    let entry = loop {
        let length = journal.recv(&mut bytes).expect("the run in the journal");
        let entry = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if entry.contains("run started") {
            break entry;
        }
    };
    for (field, value) in [("RUN", run.as_str()), ("HOST", "h1"), ("COMMAND", "switch")] {
        let (_, rest) = entry.split_once(&format!("SWITCHYARD_{field}")).unwrap();
        assert!(
            rest.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with(value)),
            "{field}: {entry:?}"
        );
    }
    assert_eq!(agent.process.said(), 0, "it also went to standard error");
}
