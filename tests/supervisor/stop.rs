//! The end before its time: by order, by signal, by the death of the supervisor.

use crate::support::{TestRun, process_in, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use switchyard::protocol::{Phase, Status};

fn send(supervisor: &Child, signal: Signal) {
    kill(Pid::from_raw(supervisor.id().cast_signed()), signal).unwrap();
}

#[test]
fn a_stop_ends_the_child_at_once_and_says_who_asked() {
    let run = TestRun::new(&["echo begun; sleep 60; echo never", "echo never"]);
    let supervisor = run.start();
    run.await_line("begun");
    let begin = Instant::now();
    run.stop(false);
    let ended = run.end(supervisor);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert_eq!(ended.footer.exit_code, None);
    assert_eq!(ended.message(), "stopped by bob");
    assert_eq!(ended.of_stream(false), ["begun"]);
}

#[test]
fn a_child_starts_with_no_signal_blocked() {
    let mut run = TestRun::new(&[]);
    let argv = ["grep", "SigBlk", "/proc/self/status"];
    run.spec.steps = vec![argv.map(str::to_owned).to_vec()];
    let ended = run.run();
    assert_eq!(ended.of_stream(false), ["SigBlk:\t0000000000000000"]);
}

#[test]
fn what_the_child_says_while_it_cleans_up_is_stored() {
    let script = "trap 'sleep 0.2; echo cleaned up; exit 1' TERM; echo begun; \
                  while :; do sleep 0.01; done";
    let run = TestRun::new(&[script]);
    let supervisor = run.start();
    run.await_line("begun");
    run.stop(false);
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false).last(), Some(&"cleaned up"));
    assert_eq!(ended.footer.result.status, Status::Stopped);
}

#[test]
fn a_child_that_ignores_sigterm_and_its_grandchild_in_another_session_are_killed() {
    let script = "trap '' TERM; setsid /bin/sh -c 'echo $$ > grandchild; trap \"\" TERM; while :; do sleep 0.1; done' & \
                  echo $$ > child; while [ ! -s grandchild ]; do sleep 0.01; done; echo begun; \
                  while :; do sleep 0.1; done";
    let mut run = TestRun::new(&[script]);
    run.spec.work_dir = run.folder.path().to_owned();
    let supervisor = run.start();
    run.await_line("begun");
    let processes = [run.path("child"), run.path("grandchild")].map(|file| process_in(&file));
    let begin = Instant::now();
    run.stop(false);
    let ended = run.end(supervisor);
    assert!(begin.elapsed() >= Duration::from_secs(10), "no grace");
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert!(processes.iter().all(|process| !process.is_alive()));
}

#[test]
fn an_activation_is_stopped_by_force_alone() {
    let script = "echo activating the configuration... >&2; \
                  while [ ! -e go ]; do sleep 0.01; done; echo not yet; sleep 60";
    let mut run = TestRun::new(&[script]);
    run.spec.work_dir = run.folder.path().to_owned();
    let supervisor = run.start();
    until("the activation", || {
        run.progress().phase() == Some(Phase::Activation)
    });
    run.stop(false);
    send(&supervisor, Signal::SIGTERM);
    std::fs::write(run.path("go"), "").unwrap();
    run.await_line("not yet");
    run.stop(true);
    let ended = run.end(supervisor);
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert!(
        ended
            .message()
            .starts_with("stopped by bob in phase activation")
    );
}

#[test]
fn a_step_behind_an_activation_is_not_stopped_in_the_phase_of_that() {
    let run = TestRun::new(&[
        "echo activating the configuration... >&2",
        "echo begun; sleep 60",
    ]);
    let supervisor = run.start();
    run.await_line("begun");
    run.stop(false);
    let ended = run.end(supervisor);
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert_eq!(ended.message(), "stopped by bob");
}

#[test]
fn sigterm_to_the_supervisor_stops_the_run_in_order() {
    let run = TestRun::new(&["echo begun; sleep 60"]);
    let supervisor = run.start();
    run.await_line("begun");
    send(&supervisor, Signal::SIGHUP);
    send(&supervisor, Signal::SIGTERM);
    let ended = run.end(supervisor);
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert_eq!(ended.message(), "stopped");
}

#[test]
fn an_order_that_came_before_the_supervisor_is_obeyed() {
    let run = TestRun::new(&["echo never"]);
    std::fs::create_dir_all(run.rundir.path()).unwrap();
    run.stop(false);
    let ended = run.run();
    assert_eq!(ended.footer.result.status, Status::Stopped);
    assert!(ended.lines.is_empty());
}

#[test]
fn a_run_whose_supervisor_was_killed_is_lost_and_its_child_ended() {
    let run = TestRun::new(&["echo begun; setsid sleep 60 & sleep 60"]);
    let mut supervisor = run.start();
    run.await_line("begun");
    until("the child to be written down", || {
        run.supervisor().child.is_some()
    });
    let child = run.supervisor().child.unwrap();
    send(&supervisor, Signal::SIGKILL);
    supervisor.wait().unwrap();
    assert!(!run.supervisor().supervisor.is_alive());
    assert!(child.is_alive());
    let ended = run.run();
    assert_eq!(ended.footer.result.status, Status::Lost);
    assert_eq!(ended.footer.exit_code, None);
    assert_eq!(ended.of_stream(false), ["begun"]);
    let left = switchyard::proctree::of_run(run.rundir.path(), None);
    assert!(!child.is_alive() && left.is_empty(), "{left:?}");
}

#[test]
fn an_activation_that_said_nothing_before_its_supervisor_died_for_good_is_waited_for() {
    let mut run = TestRun::new(&[]);
    let (program, gate) = (run.path("switch-to-configuration"), run.path("gate"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!(
        "#!/bin/sh\necho begun; read x < {}; exit 4\n",
        gate.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    run.spec.steps = vec![vec![program.display().to_string(), "switch".to_owned()]];
    let mut supervisor = run.start();
    run.await_line("begun");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let supervise = |option: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchyard"));
        command.args(["supervise", option]).arg(run.rundir.path());
        command
    };
    // As systemd does it, and then the agent.
    let noted = supervise("--note-end")
        .env("SERVICE_RESULT", "signal")
        .status();
    assert!(noted.unwrap().success());
    let settling = supervise("--settle").spawn().unwrap();
    let settling_is =
        |found: switchyard::spool::Supervisor| found.supervisor.pid == settling.id().cast_signed();
    until("the settling", || settling_is(run.supervisor()));
    std::fs::write(&gate, "go\n").unwrap();
    let ended = run.end(settling);
    assert_eq!(ended.footer.exit_code, Some(4));
    assert_eq!(ended.footer.result.status, Status::Error);
}

#[test]
fn a_run_has_one_supervisor_at_a_time() {
    let run = TestRun::new(&["echo begun; sleep 60"]);
    let supervisor = run.start();
    run.await_line("begun");
    assert!(!run.start().wait().unwrap().success());
    run.stop(false);
    assert_eq!(run.end(supervisor).footer.result.status, Status::Stopped);
}

#[test]
fn ending_what_a_run_left_behind_leaves_a_run_with_the_same_id_elsewhere_alone() {
    let script = "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo done";
    let [dead, mut alive] = [(); 2].map(|()| TestRun::new(&[script]));
    alive.spec.work_dir = alive.folder.path().to_owned();
    let mut killed = dead.start();
    let supervisor = alive.start();
    dead.await_line("begun");
    alive.await_line("begun");
    send(&killed, Signal::SIGKILL);
    killed.wait().unwrap();
    assert_eq!(dead.run().footer.result.status, Status::Lost);
    std::fs::write(alive.path("go"), "").unwrap();
    assert_eq!(alive.end(supervisor).of_stream(false), ["begun", "done"]);
}

/// A run with an activation that says nothing until the file `go` is there, and another step.
fn silent_activation() -> TestRun {
    let mut run = TestRun::new(&[
        "printf '#!/bin/sh\\necho $$ >pid; while [ ! -e go ]; do sleep 0.05; done; echo activated\\n' \
         >switch-to-configuration; chmod 755 switch-to-configuration; ./switch-to-configuration switch",
        "echo next; sleep 60",
    ]);
    run.spec.work_dir = run.folder.path().to_owned();
    run
}

fn await_activation(run: &TestRun) {
    until("the phase", || {
        run.progress().phase() == Some(Phase::Activation)
    });
}

#[test]
fn an_activation_that_has_said_nothing_yet_is_stopped_by_force_alone() {
    let run = silent_activation();
    let supervisor = run.start();
    until("the activation", || run.path("pid").exists());
    run.stop(false);
    await_activation(&run);
    until("the refusal", || !run.rundir.stop().exists());
    std::fs::write(run.path("go"), "").unwrap();
    // The refused order is not obeyed later, either.
    run.await_line("next");
    run.stop(false);
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false), ["activated", "next"]);
    assert_eq!(ended.footer.result.status, Status::Stopped);

    let run = silent_activation();
    let supervisor = run.start();
    until("the activation", || run.path("pid").exists());
    run.stop(true);
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false), [] as [&str; 0]);
    assert_eq!(ended.footer.result.status, Status::Stopped);
}

#[test]
fn an_activation_that_has_said_nothing_yet_does_not_time_out() {
    let mut run = silent_activation();
    run.spec.timeout = Some(1);
    let supervisor = run.start();
    await_activation(&run);
    std::fs::write(run.path("go"), "").unwrap();
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false), ["activated"]);
    assert_eq!(ended.footer.exit_code, Some(124));
}
