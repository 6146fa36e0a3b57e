//! Why a run failed, as data: what failed, and where in the log it says so.

use crate::support::{Ended, TestRun};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use switchyard::protocol::{Cause, CauseKind, Status};

const DRV: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-app-1.0.drv";

/// A shell function that prints a message of nix, and a build that fails after `lines` of output of another program.
fn failing_build(lines: u32) -> String {
    format!(
        r#"say() {{ printf '@nix %s\n' "$1" >&2; }}
say '{{"action":"start","fields":["{DRV}","",1,1],"id":7,"level":3,"parent":0,"text":"building","type":105}}'
say '{{"action":"result","fields":["cc -c main.c"],"id":7,"type":101}}'
seq {lines} >&2
say '{{"action":"result","fields":["main.c:3:1: error: token=abcdefgh12345678 is wrong"],"id":7,"type":101}}'
say '{{"action":"result","fields":["make: *** [app] Error 1"],"id":7,"type":101}}'
say '{{"action":"stop","id":7}}'
say '{{"action":"msg","level":0,"msg":"error: builder for '"'{DRV}'"' failed with exit code 2"}}'
exit 1"#
    )
}

fn text(ended: &Ended, seq: Option<u64>) -> &str {
    let index = usize::try_from(seq.unwrap()).unwrap();
    &ended.lines[index].0
}

fn only(ended: &Ended) -> &Cause {
    let causes = &ended.footer.result.cause;
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(ended.message().starts_with(&causes[0].summary));
    &causes[0]
}

#[test]
fn a_failed_derivation_is_named_with_the_numbers_of_its_lines_and_without_secrets() {
    let ended = TestRun::new(&["echo first", &failing_build(3)]).run();
    let cause = only(&ended);
    assert_eq!(cause.kind, CauseKind::Derivation);
    assert_eq!(cause.name.as_deref(), Some("app-1.0"));
    assert_eq!(
        cause.summary,
        "app-1.0 failed to build (exit code 2): main.c:3:1: error: token=*** is wrong"
    );
    assert_eq!(text(&ended, cause.from), "app-1.0> cc -c main.c");
    assert_eq!(
        text(&ended, cause.line),
        "app-1.0> main.c:3:1: error: token=*** is wrong"
    );
    assert_eq!(text(&ended, cause.to), "app-1.0> make: *** [app] Error 1");
    assert!(!ended.message().contains("abcdefgh12345678"));
}

#[test]
fn the_numbers_are_those_of_the_log_where_lines_were_left_out() {
    let mut run = TestRun::new(&[&failing_build(100_000)]);
    run.spec.max_unacknowledged = 1000;
    let ended = run.run();
    assert!(
        ended
            .message()
            .contains("lines of output could not be stored")
    );
    let cause = only(&ended);
    assert!(text(&ended, cause.line).starts_with("app-1.0> main.c:3:1: error: "));
    assert_eq!(text(&ended, cause.to), "app-1.0> make: *** [app] Error 1");
}

#[test]
fn units_that_had_failed_before_are_told_apart_from_new_ones() {
    let run = TestRun::new(&["echo activating the configuration... >&2
        echo 'warning: the following units failed: a.service, b.service' >&2
        echo '× b.service - B' >&2
        echo 'Nov 22 10:43:55 h b[7]: cannot bind to port 80' >&2
        exit 4"]);
    let systemctl = run.path("systemctl");
    fs::write(
        &systemctl,
        "#!/bin/sh\necho 'a.service loaded failed failed A'\n",
    )
    .unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = run.command(env!("CARGO_BIN_EXE_switchyard"));
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", run.folder.path().display()));
    let ended = run.end(command.spawn().unwrap());
    let causes = &ended.footer.result.cause;
    let names: Vec<_> = causes
        .iter()
        .map(|cause| cause.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["b.service", "a.service"]);
    assert_eq!(
        causes[0].summary,
        "The system is switched, but these units failed: b.service (cannot bind to port 80); failed before, too: a.service"
    );
    assert!(text(&ended, causes[0].line).ends_with("cannot bind to port 80"));
}

#[test]
fn a_switch_that_left_the_system_out_of_the_boot_menu_is_no_success() {
    let ended = TestRun::new(&["echo activating the configuration... >&2
        echo 'ignoring default profile in the list of boot entries because of the following error:' >&2
        echo '[Errno 28] No space left on device' >&2"])
    .run();
    assert_eq!(ended.footer.result.status, Status::Error);
    assert_eq!(ended.footer.exit_code, Some(0));
    let cause = only(&ended);
    assert_eq!(cause.kind, CauseKind::BootLoader);
    assert!(
        cause
            .summary
            .starts_with("The next boot starts the old system")
    );
}

#[test]
fn each_check_that_failed_is_a_cause_with_its_own_lines() {
    let mut run = TestRun::new(&["echo step"]);
    run.check("T1.sh", "echo one >&2; exit 9");
    run.check("T2.sh", "echo two");
    run.check("T3.sh", "echo curl: connection refused >&2; exit 1");
    let ended = run.run();
    let causes = &ended.footer.result.cause;
    let names: Vec<_> = causes
        .iter()
        .map(|c| (c.kind, c.name.as_deref().unwrap()))
        .collect();
    assert_eq!(
        names,
        [(CauseKind::Check, "T1.sh"), (CauseKind::Check, "T3.sh")]
    );
    assert_eq!(
        causes[0].summary,
        "2 of 3 checks failed: T1.sh (exit code 9), T3.sh (exit code 1)"
    );
    assert_eq!(
        causes[1].summary,
        "T3.sh failed (exit code 1): curl: connection refused"
    );
    assert_eq!(text(&ended, causes[0].line), "one");
    assert_eq!(text(&ended, causes[1].line), "curl: connection refused");
}

#[test]
fn a_message_of_megabytes_is_decoded() {
    let script = r#"trace=$(printf '%02000000d' 0)
        printf '@nix {"action":"msg","level":0,"msg":"error:\\n       … while calling\\n\\n       error: it is wrong\\n       at /a.nix:1:2:","trace":"%s"}\n' "$trace" >&2
        exit 1"#;
    let ended = TestRun::new(&[script]).run();
    let cause = only(&ended);
    assert_eq!(cause.summary, "error: it is wrong at /a.nix:1:2");
    assert_eq!(cause.kind, CauseKind::Evaluation);
    assert_eq!(text(&ended, cause.line).trim(), "error: it is wrong");
    assert_eq!(ended.lines.len(), 5);
}

#[test]
fn a_run_that_did_not_fail_has_no_cause() {
    let ended = TestRun::new(&["echo error: this is not one >&2"]).run();
    assert_eq!(ended.footer.result.status, Status::Ok);
    assert!(ended.footer.result.cause.is_empty());
}

#[test]
fn a_program_whose_interpreter_is_not_there_is_told_apart_from_one_that_is_not_there() {
    let of_script = |run: &TestRun| {
        let path = run.path("rebuild");
        fs::write(&path, "#!/no/such/python3 -E\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let mut run = TestRun::new(&[]);
    let program = of_script(&run);
    run.spec.steps = vec![vec![program.clone()]];
    let ended = run.run();
    let words =
        format!("{program} exists, but its interpreter /no/such/python3 is not on this host");
    assert_eq!(ended.footer.exit_code, Some(127));
    assert!(only(&ended).summary.contains(&words), "{}", ended.message());

    let mut run = TestRun::new(&[]);
    let absent = run.path("absent").display().to_string();
    run.spec.steps = vec![vec![absent.clone()]];
    let ended = run.run();
    assert_eq!(ended.footer.exit_code, Some(127));
    let words = format!("{absent}: there is no such program on this host");
    assert!(only(&ended).summary.contains(&words), "{}", ended.message());
}

#[test]
fn a_check_whose_interpreter_is_not_there_says_so() {
    let mut run = TestRun::new(&["echo done"]);
    run.check("T1.sh", "true");
    let check = run.path("checks/T1.sh");
    fs::write(&check, "#!/no/such/bash\ntrue\n").unwrap();
    let ended = run.run();
    let cause = only(&ended);
    assert_eq!(
        (cause.kind, cause.name.as_deref()),
        (CauseKind::Check, Some("T1.sh"))
    );
    let words = format!(
        "{} exists, but its interpreter /no/such/bash is not on this host",
        check.display()
    );
    assert!(ended.message().contains(&words), "{}", ended.message());
}

#[test]
fn a_long_message_ends_with_what_it_lacks_and_keeps_what_is_said_of_the_log() {
    let assertions: String = (0..100)
        .map(|n| format!("\\n       - option number {n} of this host needs another option that is not set in any module"))
        .collect();
    let said = format!(
        r#"{{"action":"msg","level":0,"msg":"error:\n       Failed assertions:{assertions}"}}"#
    );
    let mut run = TestRun::new(&[&format!(
        "printf '@nix %s\\n' '{said}' >&2; seq 100000; exit 1"
    )]);
    run.spec.max_unacknowledged = 20_000;
    let ended = run.run();
    let message = ended.message();
    let lines: Vec<&str> = message.lines().collect();
    assert!(
        lines[0].starts_with("error: 100 failed assertions: option number 0 of"),
        "{message}"
    );
    let kept = lines
        .iter()
        .filter(|line| line.trim_start().starts_with("- option number"))
        .count();
    assert_eq!(
        lines[lines.len() - 2],
        format!("… and {} more lines", 100 - kept),
        "{message}"
    );
    assert!(
        lines[lines.len() - 1].contains("lines of output could not be stored"),
        "{message}"
    );
}
