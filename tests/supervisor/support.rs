//! A run in a folder of its own, and what its supervisor made of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use switchyard::protocol::{CommandName, HostId, Progress, RunId, Timestamp};
use switchyard::runlog::{Batch, Footer, LogReader};
use switchyard::spool::{self, RunDir, Spec, StopOrder, Supervisor};

/// The longest time to wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A run that may be started.
pub(crate) struct TestRun {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) rundir: RunDir,
    pub(crate) spec: Spec,
}

/// A run that is over.
pub(crate) struct Ended {
    /// Each line and whether it came from standard error.
    pub(crate) lines: Vec<(String, bool)>,
    pub(crate) footer: Footer,
}

impl TestRun {
    /// One step for each shell script.
    pub(crate) fn new(scripts: &[&str]) -> Self {
        Self::within(&std::env::temp_dir(), scripts)
    }

    /// The same, in a folder on a certain disk.
    pub(crate) fn within(disk: &Path, scripts: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(disk).unwrap();
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let rundir = RunDir::new(folder.path(), &run_id);
        let steps = scripts
            .iter()
            .map(|script| ["/bin/sh", "-c", script].map(str::to_owned).to_vec());
        let spec = Spec {
            run_id,
            host_id: HostId::new("h1").unwrap(),
            command: CommandName::new("switch").unwrap(),
            nonce: Some("n".to_owned()),
            requested_by: Some("alice".to_owned()),
            queued: Timestamp::now(),
            begin_by: None,
            generation_before: None,
            pull: None,
            steps_dir: None,
            steps: steps.collect(),
            checks: None,
            work_dir: folder.path().join("repo"),
            timeout: None,
            masking: switchyard::mask::Masking::default(),
            max_unacknowledged: u64::MAX,
            environment: Vec::new(),
        };
        Self {
            folder,
            rundir,
            spec,
        }
    }

    /// A file of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An executable check.
    pub(crate) fn check(&mut self, name: &str, script: &str) {
        let checks = self.path("checks");
        fs::create_dir_all(&checks).unwrap();
        let path = checks.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.spec.checks = Some(checks);
    }

    /// Starts the supervisor.
    pub(crate) fn start(&self) -> Child {
        self.command(env!("CARGO_BIN_EXE_switchyard"))
            .spawn()
            .unwrap()
    }

    /// Makes the run's folder ready.
    pub(crate) fn prepare(&self) {
        fs::create_dir_all(self.rundir.path()).unwrap();
        spool::write_json(&self.rundir.spec(), &self.spec).unwrap();
    }

    /// The supervisor's command line, behind `program`; the run's folder is ready.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.prepare();
        let mut command = Command::new(program);
        command.arg("supervise").arg(self.rundir.path());
        command
    }

    /// Runs the supervisor to its end.
    pub(crate) fn run(&self) -> Ended {
        let supervisor = self.start();
        self.end(supervisor)
    }

    /// Waits for the supervisor's end.
    pub(crate) fn end(&self, mut supervisor: Child) -> Ended {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = supervisor.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > PATIENCE {
                supervisor.kill().unwrap();
                supervisor.wait().unwrap();
                panic!("the supervisor does not end; lines: {:?}", self.lines());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
        let reader = self.reader();
        let footer = reader.footer().unwrap().unwrap();
        let lines = self.lines();
        assert_eq!(footer.result.lines, lines.len() as u64);
        Ended { lines, footer }
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<(String, bool)> {
        let reader = self.reader();
        let total = reader.total().unwrap();
        let mut lines = Vec::new();
        let mut batch = Batch::default();
        while (lines.len() as u64) < total {
            let next = lines.len() as u64;
            reader.read(next, 10_000, 1 << 20, &mut batch).unwrap();
            lines.extend(
                batch
                    .iter()
                    .map(|line| (line.line.to_owned(), line.is_error.unwrap())),
            );
        }
        lines
    }

    fn reader(&self) -> LogReader {
        LogReader::open(self.rundir.path(), self.rundir.run_id()).unwrap()
    }

    /// Waits until there is a spool.
    pub(crate) fn await_spool(&self) {
        until("the spool", || {
            LogReader::open(self.rundir.path(), self.rundir.run_id()).is_ok()
        });
    }

    /// Waits until the spool holds this line.
    pub(crate) fn await_line(&self, wanted: &str) {
        self.await_spool();
        until(&format!("the line {wanted:?}"), || {
            self.lines().iter().any(|(line, _)| line == wanted)
        });
    }

    /// What the supervisor last wrote of the progress.
    pub(crate) fn progress(&self) -> Progress {
        spool::read_json(&self.rundir.progress())
            .unwrap()
            .unwrap_or_default()
    }

    /// Who runs the run.
    pub(crate) fn supervisor(&self) -> Supervisor {
        spool::read_json(&self.rundir.supervisor())
            .unwrap()
            .unwrap()
    }

    /// Gives the order to stop.
    pub(crate) fn stop(&self, force: bool) {
        let order = StopOrder {
            requested_by: Some("bob".to_owned()),
            force,
        };
        spool::write_json(&self.rundir.stop(), &order).unwrap();
    }
}

impl Ended {
    /// The lines of one stream.
    pub(crate) fn of_stream(&self, is_error: bool) -> Vec<&str> {
        let of_stream = self.lines.iter().filter(|line| line.1 == is_error);
        of_stream.map(|line| line.0.as_str()).collect()
    }

    /// What the user is told.
    pub(crate) fn message(&self) -> &str {
        self.footer.result.message.as_deref().unwrap_or_default()
    }
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process whose pid a script wrote to that file.
pub(crate) fn process_in(file: &Path) -> switchyard::proctree::ProcessId {
    let pid = fs::read_to_string(file).unwrap();
    switchyard::proctree::ProcessId::of(pid.trim().parse().unwrap()).unwrap()
}
