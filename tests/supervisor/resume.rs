//! The supervisor is killed and started again, as systemd does it: the run goes on and its log is whole.

use crate::chance::{Chance, kills};
use crate::manager::Manager;
use crate::support::{Ended, TestRun, process_in, until};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use switchyard::proctree::ProcessId;
use switchyard::protocol::Status;
use switchyard::runlog::LogReader;

/// How often the supervisor of one run is killed at most.
const KILLS_OF_A_RUN: usize = 10;

/// Runs the run to its end and kills its supervisor at random moments, each `within` a time of its
/// start. Gives how often that was.
pub(crate) fn run_with_kills(
    run: &TestRun,
    chance: &mut Chance,
    within: Duration,
) -> (Ended, usize) {
    let manager = Manager::new(run);
    let mut kills = 0;
    loop {
        let mut supervisor = manager.start(run);
        if kills == KILLS_OF_A_RUN {
            return (run.end(supervisor), kills);
        }
        let end = Instant::now() + chance.below(within);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        if supervisor.try_wait().unwrap().is_some() {
            return (run.end(supervisor), kills);
        }
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        kills += 1;
    }
}

/// A script that prints numbered lines on both streams, in pieces.
fn talk(lines: u32) -> String {
    format!(
        "i=0; while [ $i -lt {lines} ]; do printf 'out '; echo \"err $i\" >&2; echo \"$i\"; i=$((i+1)); done"
    )
}

fn expected(lines: u32) -> [Vec<String>; 2] {
    ["out", "err"].map(|stream| (0..lines).map(|i| format!("{stream} {i}")).collect())
}

#[test]
fn no_line_is_lost_or_doubled_when_the_supervisor_is_killed_at_random_moments() {
    let mut chance =
        Chance::of("no_line_is_lost_or_doubled_when_the_supervisor_is_killed_at_random_moments");
    let mut killed = 0;
    let lines = 100_000;
    while killed < kills() {
        let run = TestRun::new(&[&format!("{}; exit 7", talk(lines))]);
        let (ended, kills) = run_with_kills(&run, &mut chance, Duration::from_millis(200));
        killed += kills;
        let [out, err] = expected(lines);
        assert!(ended.of_stream(false) == out, "standard output differs");
        assert!(ended.of_stream(true) == err, "standard error differs");
        assert_eq!(ended.footer.result.status, Status::Error);
        assert_eq!(ended.footer.exit_code, Some(7));
    }
}

#[test]
fn every_program_is_started_once_however_often_the_supervisor_is_killed() {
    let mut chance =
        Chance::of("every_program_is_started_once_however_often_the_supervisor_is_killed");
    let mut killed = 0;
    while killed < kills() {
        let names: Vec<String> = (0..30).map(|number| format!("step-{number}")).collect();
        let mut run = TestRun::new(&[]);
        let file = run.path("started");
        let step = |name: &String| {
            let script = format!("echo {name} >> {}; echo {name}", file.display());
            ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
        };
        run.spec.steps = names.iter().map(step).collect();
        run.check("T1.sh", "echo check; exit 0");
        run.check("T2.sh", "echo failing >&2; exit 3");
        let (ended, kills) = run_with_kills(&run, &mut chance, Duration::from_millis(200));
        killed += kills;
        let started = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            started.lines().collect::<Vec<_>>(),
            names,
            "{:?}",
            ended.footer
        );
        let mut lines = names;
        lines.push("check".to_owned());
        assert_eq!(ended.of_stream(false), lines);
        assert_eq!(ended.footer.exit_code, Some(1));
        assert_eq!(
            ended.message(),
            "1 of 2 checks failed: T2.sh (exit code 3)\nfailing"
        );
        let tests = ended.footer.result.progress.tests.unwrap();
        assert_eq!((tests.total, tests.passed), (2, 1));
    }
}

#[test]
fn phases_and_counts_are_those_of_a_run_that_nobody_disturbed() {
    let mut chance = Chance::of("phases_and_counts_are_those_of_a_run_that_nobody_disturbed");
    let run = || {
        let run = TestRun::new(&[]);
        let transcript = format!(
            "{}/tests/data/transcripts/01-switch.json.jsonl",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = fs::read_to_string(transcript).unwrap();
        let lines = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{}\n", line["line"].as_str().unwrap())
        });
        let file = run.path("recording");
        fs::write(&file, lines.collect::<String>()).unwrap();
        let script = format!("for i in 1 2 3 4 5; do cat {} >&2; done", file.display());
        let mut run = run;
        let step = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        run.spec.steps = vec![step.clone(), step];
        run
    };
    let undisturbed = run().run();
    let mut killed = 0;
    while killed < kills() {
        let (ended, kills) = run_with_kills(&run(), &mut chance, Duration::from_millis(200));
        killed += kills;
        assert!(ended.lines == undisturbed.lines, "the lines differ");
        let progress = |ended: &Ended| {
            let mut progress = ended.footer.result.progress.clone();
            let phases = progress.phases.drain(..).map(|mark| (mark.phase, mark.seq));
            (phases.collect::<Vec<_>>(), progress)
        };
        assert_eq!(progress(&ended), progress(&undisturbed));
    }
}

#[test]
fn a_run_begins_whose_supervisor_was_killed_before_its_log_had_a_header() {
    for header in ["", "# Command: swi"] {
        let run = TestRun::new(&["echo one"]);
        fs::create_dir_all(run.rundir.path()).unwrap();
        let name = format!("{}.log", run.rundir.run_id());
        fs::write(run.rundir.path().join(name), header).unwrap();
        let ended = run.end(Manager::new(&run).start(&run));
        assert_eq!(ended.of_stream(false), ["one"]);
        assert_eq!(ended.footer.exit_code, Some(0));
    }
}

/// A run whose program reads `$GATE`, and so waits until something is written there.
fn gated(script: &str) -> (TestRun, PathBuf) {
    let mut run = TestRun::new(&[script]);
    let gate = run.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    run.spec
        .environment
        .push(("GATE".to_owned(), gate.display().to_string()));
    (run, gate)
}

#[test]
fn the_exit_code_of_a_program_is_known_that_ended_while_no_supervisor_was_there() {
    let (run, gate) = gated("echo before; read x < $GATE; echo after; exit 42");
    let manager = Manager::new(&run);
    let mut supervisor = manager.start(&run);
    run.await_line("before");
    let waiter = run.supervisor().child.unwrap();
    assert_eq!(manager.stored(), ["stdout-1", "stderr-1"]);
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    fs::write(&gate, "go\n").unwrap();
    until("the end of the program", || !waiter.is_alive());
    let ended = run.end(manager.start(&run));
    assert_eq!(ended.of_stream(false), ["before", "after"]);
    assert_eq!(ended.footer.exit_code, Some(42));
    assert_eq!(ended.footer.result.status, Status::Error);
}

#[test]
fn a_program_is_started_though_two_supervisors_were_killed_just_before_that() {
    let (run, gate) = gated("read x < $GATE; echo one");
    let manager = Manager::new(&run);
    let mut first = manager.start(&run);
    let launched = run.rundir.program(1);
    let process = |name: &str| {
        let launched = fs::read(&launched).unwrap_or_default();
        let launched: serde_json::Value = serde_json::from_slice(&launched).unwrap_or_default();
        ProcessId::of(i32::try_from(launched[name]["pid"].as_i64()?).unwrap())
    };
    until("the program", || process("program").is_some());
    let processes = ["waiter", "program"].map(|name| process(name).unwrap());
    first.kill().unwrap();
    first.wait().unwrap();
    for process in processes {
        process.signal(Signal::SIGKILL);
        until("its death", || !process.is_alive());
    }
    // As if the first had died before its waiter began, and the second right behind its claim.
    fs::remove_file(&launched).unwrap();
    std::os::unix::fs::symlink(".", &launched).unwrap();

    // Open for reading, too: where nobody else reads, this does not wait for ever.
    let open = File::options().read(true).write(true).open(&gate);
    open.as_ref().unwrap().write_all(b"go\n").unwrap();
    let ended = run.end(manager.start(&run));
    assert_eq!(ended.of_stream(false), ["one"]);
    assert_eq!(ended.footer.exit_code, Some(0));
}

#[test]
fn a_supervisor_that_is_started_again_for_a_run_that_is_over_does_not_fail() {
    let run = TestRun::new(&["echo once"]);
    let manager = Manager::new(&run);
    for start in 1..=2 {
        let ended = run.end(manager.start(&run));
        assert_eq!(ended.of_stream(false), ["once"]);
        until("the word to systemd", || manager.ready() == start);
    }
}

#[test]
fn a_program_goes_on_and_its_end_is_seen_when_its_waiter_is_killed() {
    let (run, gate) = gated("echo before; read x < $GATE; echo after; exit 42");
    let supervisor = run.start();
    run.await_line("before");
    until("the waiter's word for the program", || {
        let launched = fs::read(run.rundir.program(1)).unwrap_or_default();
        let launched: serde_json::Value = serde_json::from_slice(&launched).unwrap_or_default();
        launched["program"].is_object()
    });
    let waiter = run.supervisor().child.unwrap();
    waiter.signal(Signal::SIGKILL);
    // One that is dying may still take the end of its program, and with it the exit code.
    until("the death of the waiter", || !waiter.is_alive());
    fs::write(&gate, "go\n").unwrap();
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false), ["before", "after"]);
    assert_eq!(ended.footer.exit_code, Some(42), "{}", ended.message());
}

#[test]
fn a_run_is_lost_with_all_its_lines_when_supervisor_and_waiter_are_killed() {
    let (mut run, gate) = gated("echo $$ > $PID; echo before; read x < $GATE; echo after; exit 42");
    let pid = run.path("pid");
    run.spec
        .environment
        .push(("PID".to_owned(), pid.display().to_string()));
    let manager = Manager::new(&run);
    let mut supervisor = manager.start(&run);
    run.await_line("before");
    let program = process_in(&pid);
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    run.supervisor().child.unwrap().signal(Signal::SIGKILL);
    until("the end of the waiter", || {
        !run.supervisor().child.is_some_and(ProcessId::is_alive)
    });
    let supervisor = manager.start(&run);
    assert!(program.is_alive(), "the program must go on");
    fs::write(&gate, "go\n").unwrap();
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false), ["before", "after"]);
    assert_eq!(ended.footer.exit_code, None);
    assert_eq!(ended.footer.result.status, Status::Lost);
    assert_eq!(ended.message(), "Result of /bin/sh unknown");
}

#[test]
fn a_stop_ends_a_program_that_an_earlier_supervisor_started() {
    let run = TestRun::new(&["echo $$; sleep 1000 & echo $!; wait"]);
    let manager = Manager::new(&run);
    let mut supervisor = manager.start(&run);
    until("two lines", || {
        let log = LogReader::open(run.rundir.path(), run.rundir.run_id());
        log.is_ok_and(|log| log.total().unwrap() == 2)
    });
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let supervisor = manager.start(&run);
    run.stop(false);
    let processes: Vec<ProcessId> = run
        .lines()
        .iter()
        .filter_map(|(pid, _)| ProcessId::of(pid.parse().unwrap()))
        .collect();
    let ended = run.end(supervisor);
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert!(processes.iter().all(|process| !process.is_alive()));
}
