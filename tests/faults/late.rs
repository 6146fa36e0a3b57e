//! Runs that an agent took and did not begin before it died: the next one begins none that nobody expects any more.

use crate::common::{Agent, Dashboard, SOON, Socket};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use switchyard::mask::Masking;
use switchyard::protocol::{CommandName, HostId, RunId, Timestamp};
use switchyard::runlog::{self, Header, LogWriter, RunMeta};
use switchyard::spool::{self, RunDir, Spec};

/// A dashboard that waits for a run which an agent took, and that agent's folder, in which it did not begin.
struct Taken {
    dashboard: Dashboard,
    agent: Agent,
    run: String,
    rundir: RunDir,
}

impl Taken {
    /// The run is to begin until then, as its agent wrote down.
    fn new(begin_by: Option<u64>, queued: Timestamp) -> Self {
        let dashboard = Dashboard::start(&["h1"]);
        let mut agent = Agent::start(&dashboard, "h1", "true");
        agent.process.end(Signal::SIGKILL);
        let mut taking = Socket::agent(&dashboard, "h1");
        let run = dashboard.command("h1", "switch");
        let command = taking.wait_for("the command", |message| message["type"] == "command");
        drop(taking);
        let run_id = RunId::new(&run).unwrap();
        let rundir = RunDir::new(&agent.dir().join("state"), &run_id);
        let done = agent.dir().join("done");
        let step = ["touch".to_owned(), done.display().to_string()];
        let spec = Spec {
            run_id,
            host_id: HostId::new("h1").unwrap(),
            command: CommandName::new("switch").unwrap(),
            nonce: command["nonce"].as_str().map(str::to_owned),
            requested_by: None,
            queued,
            begin_by,
            generation_before: None,
            pull: None,
            steps_dir: None,
            steps: vec![step.to_vec()],
            checks: None,
            work_dir: agent.dir().join("repo"),
            timeout: None,
            masking: Masking::default(),
            max_unacknowledged: u64::MAX,
            environment: Vec::new(),
        };
        fs::create_dir(rundir.path()).unwrap();
        spool::note_boot(&rundir).unwrap();
        spool::write_json(&rundir.spec(), &spec).unwrap();
        Self {
            dashboard,
            agent,
            run,
            rundir,
        }
    }

    fn done(&self) -> PathBuf {
        self.agent.dir().join("done")
    }

    /// The next agent does nothing of the run, says why, and goes on with the next one.
    #[track_caller]
    fn assert_not_begun(mut self, why: &str) {
        self.agent.start_again();
        let is_over = |run: &serde_json::Value| run["completed"].is_string();
        let run = self.dashboard.wait_for_run("h1", &self.run, SOON, is_over);
        assert_eq!(run["status"], "rejected", "{run}");
        let message = run["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
        assert!(
            message.contains("nothing was done, send the command again"),
            "{message}"
        );
        assert_eq!(run["started"], json!(null), "{run}");
        // Nor does the one after that, which says the same to whoever asks.
        self.agent.restart(Signal::SIGKILL);
        let next = self.dashboard.command("h1", "switch");
        assert_eq!(self.dashboard.wait_done("h1", &next)["status"], "ok");
        assert!(!self.done().exists());
        assert_eq!(self.dashboard.run("h1", &self.run)["status"], "rejected");
        assert!(!self.rundir.path().exists(), "nobody asks for it again");
    }
}

fn within(limit: Duration) -> Option<u64> {
    spool::begin_by(Some(limit))
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_run_that_was_taken_is_begun_by_the_next_agent_while_it_is_expected() {
    let mut taken = Taken::new(within(HOUR), Timestamp::from_millis(0));
    taken.agent.start_again();
    let run = taken.dashboard.wait_done("h1", &taken.run);
    assert_eq!(run["status"], "ok", "{run}");
    assert!(taken.done().exists());
}

#[test]
fn a_run_that_began_is_not_said_to_have_not_when_its_index_is_gone() {
    for boot in [None, Some("an earlier one")] {
        let mut taken = Taken::new(Some(0), Timestamp::now());
        let spec: Spec = spool::read_json(&taken.rundir.spec()).unwrap().unwrap();
        let meta = RunMeta {
            nonce: spec.nonce,
            requested_by: None,
            queued: None,
            started: Timestamp::now(),
            generation_before: None,
            number: 0,
            then: None,
            after: None,
        };
        let header = Header {
            command: spec.command,
            host_id: spec.host_id,
            meta,
        };
        let folder = taken.rundir.path();
        drop(LogWriter::create(folder, &spec.run_id, &header).unwrap());
        fs::remove_file(runlog::paths(folder, &spec.run_id).1).unwrap();
        if let Some(boot) = boot {
            fs::write(folder.join("boot_id"), boot).unwrap();
        }
        taken.agent.start_again();
        let run = taken.dashboard.wait_done("h1", &taken.run);
        assert_eq!(run["status"], "lost", "{run}");
        assert!(!taken.done().exists());
    }
}

#[test]
fn a_run_that_was_taken_is_not_begun_when_its_time_is_over() {
    let taken = Taken::new(Some(0), Timestamp::now());
    taken.assert_not_begun("came back after the command had expired");
}

#[test]
fn a_run_that_was_taken_is_not_begun_after_a_reboot() {
    let taken = Taken::new(within(HOUR), Timestamp::now());
    fs::write(taken.rundir.path().join("boot_id"), "an earlier one").unwrap();
    taken.assert_not_begun("the host restarted");
}

#[test]
fn a_run_that_an_older_agent_took_is_not_begun_hours_later() {
    let long_ago = Timestamp::now().millis() - 7_200_000;
    let taken = Taken::new(None, Timestamp::from_millis(long_ago));
    let spec = fs::read_to_string(taken.rundir.spec()).unwrap();
    let mut spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
    assert!(spec.as_object_mut().unwrap().remove("begin_by").is_some());
    fs::write(taken.rundir.spec(), spec.to_string()).unwrap();
    taken.assert_not_begun("came back after the command had expired");
}
