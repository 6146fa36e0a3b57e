//! Exit codes, messages, checks.

use crate::support::{TestRun, until};
use std::fs;
use std::path::Path;
use std::process::Command;
use switchyard::protocol::{CommandName, Phase, Status, Tests};

#[test]
fn the_first_failing_step_ends_the_run_with_its_code_and_its_words() {
    let ended = TestRun::new(&[
        "echo one",
        "echo two; echo it went wrong >&2; exit 7",
        "echo three",
    ])
    .run();
    assert_eq!(ended.of_stream(false), ["one", "two"]);
    assert_eq!(ended.footer.exit_code, Some(7));
    assert_eq!(ended.footer.result.status, Status::Error);
    assert_eq!(ended.message(), "it went wrong");
    assert!(ended.footer.result.duration_ms.is_some());
}

#[test]
fn what_standard_error_said_is_told_however_much_the_other_stream_says_after_it() {
    for limit in [u64::MAX, 1000] {
        let mut run = TestRun::new(&["echo it went wrong >&2; seq 50000; exit 7"]);
        run.spec.max_unacknowledged = limit;
        let ended = run.run();
        let message = ended.message();
        assert_eq!(message.lines().next(), Some("it went wrong"), "{message}");
    }
}

#[test]
fn a_program_that_is_not_there_is_127_and_named() {
    let mut run = TestRun::new(&[]);
    run.spec.steps = vec![vec!["no-such-program-anywhere".to_owned()]];
    let ended = run.run();
    assert_eq!(ended.footer.exit_code, Some(127));
    assert_eq!(ended.footer.result.status, Status::Error);
    assert!(ended.message().contains("no-such-program-anywhere"));
    assert!(ended.lines.is_empty());
}

#[test]
fn a_child_ended_by_a_signal_has_128_and_its_number() {
    let ended = TestRun::new(&["echo dying >&2; kill -KILL $$"]).run();
    assert_eq!(ended.footer.exit_code, Some(137));
    assert_eq!(ended.footer.result.status, Status::Error);
    assert!(ended.message().contains("SIGKILL") && ended.message().contains("dying"));
}

#[test]
fn a_timeout_is_124() {
    let mut run = TestRun::new(&["echo begun; sleep 60", "echo never"]);
    run.spec.timeout = Some(3);
    let ended = run.run();
    assert_eq!(ended.footer.exit_code, Some(124));
    assert_eq!(ended.footer.result.status, Status::Error);
    assert_eq!(ended.of_stream(false), ["begun"]);
    assert!(ended.message().contains("timeout of 3 s"));
}

#[test]
fn a_timeout_does_not_fire_in_mid_activation() {
    let mut run = TestRun::new(&["echo activating the configuration... >&2; sleep 5; echo done"]);
    run.spec.timeout = Some(3);
    let ended = run.run();
    assert_eq!(ended.footer.exit_code, Some(0));
    assert_eq!(ended.of_stream(false), ["done"]);
}

#[test]
fn every_check_runs_and_one_that_fails_makes_the_run_an_error() {
    let mut run = TestRun::new(&["echo step"]);
    run.check("T1.sh", "echo one >&2; exit 9");
    run.check("T2.sh", "echo two");
    run.check("T3.sh", "echo three; exit 1");
    run.check("other.sh", "echo never");
    let ended = run.run();
    assert_eq!(ended.of_stream(false), ["step", "two", "three"]);
    assert_eq!(ended.of_stream(true), ["one"]);
    assert_eq!(ended.footer.exit_code, Some(1));
    assert_eq!(ended.footer.result.status, Status::Error);
    let message = ended.message();
    assert!(
        message == "2 of 3 checks failed: T1.sh (exit code 9), T3.sh (exit code 1)\none",
        "{message}"
    );
    let tests = Tests {
        current: 3,
        total: 3,
        passed: 1,
        running: false,
        result: Some(Status::Error),
    };
    assert_eq!(ended.footer.result.progress.tests, Some(tests));
    assert_eq!(ended.footer.result.progress.phase(), Some(Phase::Testing));
    assert_eq!(run.progress(), ended.footer.result.progress);
}

#[test]
fn how_far_the_checks_are_is_told_while_they_run() {
    let mut run = TestRun::new(&[]);
    run.check("T1.sh", "true");
    run.check("T2.sh", "while [ ! -e ../go ]; do sleep 0.01; done");
    run.spec.work_dir = run.path("checks");
    let supervisor = run.start();
    until("the second check to be told", || {
        run.progress()
            .tests
            .is_some_and(|tests| tests.current == 2 && tests.passed == 1 && tests.running)
    });
    fs::write(run.path("go"), "").unwrap();
    let ended = run.end(supervisor);
    assert_eq!(ended.footer.result.status, Status::Ok);
    let tests = ended.footer.result.progress.tests.unwrap();
    assert_eq!((tests.passed, tests.result), (2, Some(Status::Ok)));
}

#[test]
fn checks_do_not_run_after_a_failed_step() {
    let mut run = TestRun::new(&["exit 4"]);
    run.check("T1.sh", "echo never");
    let ended = run.run();
    assert!(ended.lines.is_empty());
    assert_eq!(ended.footer.exit_code, Some(4));
    assert!(ended.message().contains("exit code 4"));
}

#[test]
fn that_a_host_has_no_checks_is_told_in_the_message() {
    let mut run = TestRun::new(&["echo step"]);
    run.spec.checks = Some(run.path("none"));
    let ended = run.run();
    assert_eq!(ended.footer.result.status, Status::Ok);
    assert_eq!(ended.lines.len(), 1);
    assert!(ended.message().starts_with("no checks ran"));
    assert_eq!(ended.footer.result.progress.tests, None);
}

#[test]
fn a_pull_gives_the_revision_of_the_repository() {
    let script = "git init -q repo && cd repo && git -c user.name=n -c user.email=e commit -q --allow-empty -m m";
    let mut run = TestRun::new(&[]);
    run.spec.command = CommandName::new("pull").unwrap();
    let script = format!("cd '{}' && {script}", run.folder.path().display());
    run.spec.steps = vec![["/bin/sh", "-c", &script].map(str::to_owned).to_vec()];
    let ended = run.run();
    assert_eq!(ended.footer.result.status, Status::Ok);
    let git = Command::new("git")
        .arg("-C")
        .arg(&run.spec.work_dir)
        .args(["rev-parse", "HEAD"])
        .output()
        .unwrap();
    let head = String::from_utf8(git.stdout).unwrap();
    assert_eq!(ended.footer.result.revision.as_deref(), Some(head.trim()));
    assert_eq!(ended.footer.result.progress.phase(), Some(Phase::Pull));
}

/// Makes the repository of a run, a flake with one commit; gives that.
fn commit_flake(run: &TestRun) -> String {
    let dir = &run.spec.work_dir;
    fs::create_dir(dir).unwrap();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=n", "-c", "user.email=e"]);
        let done = git.args(arguments).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    for file in ["flake.nix", "flake.lock"] {
        fs::write(dir.join(file), "of the commit").unwrap();
    }
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "m"]);
    git(&["rev-parse", "HEAD"])
}

#[test]
fn a_run_of_files_that_no_commit_has_names_none_and_says_so() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("a file was edited", |dir| {
            fs::write(dir.join("flake.lock"), "newer").unwrap();
        }),
        ("a file was added", |dir| {
            fs::write(dir.join("new.nix"), "new").unwrap();
            let add = Command::new("git")
                .args(["add", "new.nix"])
                .current_dir(dir)
                .status();
            assert!(add.unwrap().success());
        }),
        ("the repository is no flake and has another file", |dir| {
            let remove = ["rm", "--quiet", "flake.nix"];
            let remove = Command::new("git").args(remove).current_dir(dir).status();
            assert!(remove.unwrap().success());
            let commit = [
                "-c",
                "user.name=n",
                "-c",
                "user.email=e",
                "commit",
                "--quiet",
                "-m",
                "m",
            ];
            let commit = Command::new("git").args(commit).current_dir(dir).status();
            assert!(commit.unwrap().success());
            fs::write(dir.join("other.nix"), "").unwrap();
        }),
    ];
    for (what, change) in changes {
        let run = TestRun::new(&["true"]);
        commit_flake(&run);
        change(&run.spec.work_dir);
        let ended = run.run();
        let result = &ended.footer.result;
        assert_eq!(result.status, Status::Ok, "{what}");
        assert_eq!(result.revision, None, "{what}");
        assert!(ended.message().contains("with local changes"), "{what}");
    }
}

#[test]
fn what_a_build_leaves_is_no_change_of_files_that_are_no_flake() {
    let run = TestRun::new(&["true"]);
    let dir = &run.spec.work_dir;
    commit_flake(&run);
    for arguments in [
        ["mv", "flake.nix", "default.nix"].as_slice(),
        &[
            "-c",
            "user.name=n",
            "-c",
            "user.email=e",
            "commit",
            "-qm",
            "m",
        ],
    ] {
        let git = Command::new("git")
            .args(arguments)
            .current_dir(dir)
            .status();
        assert!(git.unwrap().success());
    }
    fs::write(dir.join("result"), "").unwrap();
    fs::write(dir.join("result-2"), "").unwrap();
    let result = run.run().footer.result;
    assert!(result.revision.is_some());
    assert_eq!(result.message, None);
}

#[test]
fn a_run_of_a_commit_names_it_unless_a_step_changed_its_files() {
    let run = TestRun::new(&["true"]);
    let commit = commit_flake(&run);
    // It reaches no flake.
    fs::write(run.spec.work_dir.join("result"), "").unwrap();
    let result = run.run().footer.result;
    assert_eq!(result.revision, Some(commit));
    assert_eq!(result.message, None);
    let mut run = TestRun::new(&["echo newer > flake.lock"]);
    run.spec.command = CommandName::new("update").unwrap();
    commit_flake(&run);
    let result = run.run().footer.result;
    assert_eq!((result.status, result.revision), (Status::Ok, None));
    assert_eq!(result.message, None, "that is what an update is for");
}

#[test]
fn a_run_whose_supervisor_is_started_long_after_its_time_is_not_begun() {
    let mut run = TestRun::new(&["touch begun"]);
    run.spec.work_dir = run.folder.path().to_owned();
    // The moment of the boot.
    run.spec.begin_by = Some(0);
    let result = run.run().footer.result;
    assert_eq!((result.status, result.lines), (Status::Error, 0));
    let message = result.message.unwrap();
    assert!(
        message.contains("only after the command had expired"),
        "{message}"
    );
    assert!(!run.path("begun").exists());
}

#[test]
fn a_run_that_is_over_is_left_alone() {
    let run = TestRun::new(&["echo once"]);
    let first = run.run();
    let second = run.run();
    assert_eq!(second.of_stream(false), ["once"]);
    assert_eq!(first.footer, second.footer);
}
