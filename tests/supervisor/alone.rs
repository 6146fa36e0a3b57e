//! Several processes that take the same run for theirs: one gets it.

use crate::support::{TestRun, until};
use std::fs;
use std::process::{Child, Command, Stdio};
use switchyard::protocol::Status;

/// Enough for the wrong one to be the last to write something down.
const ROUNDS: u32 = 10;

fn settle(run: &TestRun) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchyard"));
    command.args(["supervise", "--settle"]);
    command.arg(run.rundir.path()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn of_supervisors_that_are_started_at_once_one_runs_the_run_and_no_other_ends_it() {
    for _ in 0..ROUNDS {
        let script = "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo done";
        let mut run = TestRun::new(&[script]);
        run.spec.work_dir = run.folder.path().to_owned();
        let start = || {
            let mut command = run.command(env!("CARGO_BIN_EXE_switchyard"));
            command.stderr(Stdio::null()).spawn().unwrap()
        };
        let mut supervisors = [start(), start(), start()];
        run.await_line("begun");
        let mut others = vec![settle(&run)];
        until("one to be left", || {
            let runs = |supervisor: &mut Child| supervisor.try_wait().unwrap().is_none();
            supervisors
                .iter_mut()
                .map(runs)
                .filter(|runs| *runs)
                .count()
                == 1
        });
        others.push(settle(&run));
        for other in &mut others {
            assert!(!other.wait().unwrap().success(), "it took the run");
        }
        fs::write(run.path("go"), "").unwrap();
        let [a, b, c] = supervisors;
        let ended = [a, b, c].into_iter().find_map(|mut supervisor| {
            let is_the_one = supervisor
                .try_wait()
                .unwrap()
                .is_none_or(|end| end.success());
            is_the_one.then(|| run.end(supervisor))
        });
        let ended = ended.unwrap();
        assert_eq!(ended.of_stream(false), ["begun", "done"]);
        assert_eq!(ended.footer.result.status, Status::Ok);
    }
}

#[test]
fn a_run_whose_supervisor_json_a_loss_of_power_emptied_gets_its_end() {
    let run = TestRun::new(&["echo begun; exec sleep 60"]);
    let mut supervisor = run.start();
    run.await_line("begun");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    fs::write(run.rundir.supervisor(), "").unwrap();
    let ended = run.end(settle(&run));
    assert_eq!(ended.footer.result.status, Status::Lost);
    assert_eq!(ended.of_stream(false), ["begun"]);
}

#[test]
fn a_program_that_a_dead_supervisor_was_about_to_start_is_not_started_once_the_run_is_settled() {
    let run = TestRun::new(&["echo begun; exec sleep 60"]);
    let mut supervisor = run.start();
    run.await_line("begun");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    assert!(settle(&run).wait().unwrap().success());
    // As its next waiter would have been, had it been forked and not begun.
    let marker = run.path("started");
    let late = Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .arg("wait")
        .arg(run.rundir.path())
        .args(["2", "--", "touch"])
        .arg(&marker)
        .status()
        .unwrap();
    assert_eq!((late.code(), marker.exists()), (Some(2), false));
}
