//! What the child writes is what the log holds.

use crate::support::{TestRun, until};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use switchyard::protocol::{MAX_LINE_BYTES, Status};

fn lines_of(script: &str) -> Vec<String> {
    let ended = TestRun::new(&[script]).run();
    assert_eq!(ended.footer.result.status, Status::Ok);
    ended.lines.into_iter().map(|(line, _)| line).collect()
}

#[test]
fn both_streams_are_stored_in_order_and_marked() {
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    let ended = TestRun::new(&[script]).run();
    assert_eq!(ended.of_stream(false), ["out 1", "out 2", "out 3"]);
    assert_eq!(ended.of_stream(true), ["err 1", "err 2", "err 3"]);
    assert_eq!(ended.footer.result.errors, Some(3));
    assert_eq!(ended.footer.exit_code, Some(0));
    assert_eq!(ended.footer.result.message, None);
}

#[test]
fn many_lines_arrive_once_and_in_order() {
    let lines = lines_of("seq 1 200000");
    assert_eq!(lines.len(), 200_000);
    assert!(
        lines
            .iter()
            .zip(1..)
            .all(|(line, n)| *line == n.to_string())
    );
}

#[test]
fn a_line_of_a_million_bytes_is_split_and_whole() {
    let lines = lines_of("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end");
    assert_eq!(lines.len(), 1_000_000_usize.div_ceil(MAX_LINE_BYTES) + 1);
    assert_eq!(lines[..lines.len() - 1].concat(), "x".repeat(1_000_000));
    assert_eq!(lines[lines.len() - 1], "end");
}

#[test]
fn odd_bytes_are_kept_or_replaced_as_the_contract_says() {
    let lines = lines_of(
        "printf '10%%\\r50%%\\r100%%\\r\\n'; printf 'a\\377b\\n\\033[31mred\\033[0m\\n'; \
         printf 'nul\\000nul\\n\\n'; printf 'no newline'",
    );
    assert_eq!(
        lines,
        [
            "100%",
            "a\u{fffd}b",
            "\u{1b}[31mred\u{1b}[0m",
            "nul\0nul",
            "",
            "no newline"
        ]
    );
}

#[test]
fn a_line_is_in_the_spool_long_before_the_child_ends() {
    let mut run = TestRun::new(&["echo first; while [ ! -e \"$GO\" ]; do sleep 0.01; done"]);
    let go = run.path("go");
    run.spec.environment = vec![("GO".to_owned(), go.to_string_lossy().into_owned())];
    let supervisor = run.start();
    run.await_line("first");
    fs::write(go, "").unwrap();
    assert_eq!(run.end(supervisor).footer.result.status, Status::Ok);
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hold_the_run() {
    let begin = Instant::now();
    let lines = lines_of("sleep 20 & echo last words");
    assert_eq!(lines, ["last words"]);
    assert!(begin.elapsed() < Duration::from_secs(8));
}

#[test]
fn what_a_grandchild_says_soon_after_the_child_ended_is_stored() {
    let lines = lines_of("(sleep 0.3; echo later) & echo now");
    assert_eq!(lines, ["now", "later"]);
}

#[test]
fn a_child_that_closes_its_output_and_lives_on_is_waited_for() {
    let ended = TestRun::new(&["echo closing; exec >&- 2>&-; sleep 0.5; exit 3"]).run();
    assert_eq!(ended.footer.exit_code, Some(3));
    assert_eq!(ended.of_stream(false), ["closing"]);
}

#[test]
fn orphans_are_reaped() {
    let script = "for i in 1 2 3; do (sleep 0.01 &) ; done; echo made; \
                  while [ ! -e \"$0\" ]; do sleep 0.01; done";
    let mut run = TestRun::new(&[script]);
    let go = run.path("go");
    run.spec.steps[0].push(go.to_string_lossy().into_owned());
    let supervisor = run.start();
    run.await_line("made");
    let children = format!("/proc/{0}/task/{0}/children", supervisor.id());
    until("the orphans to be gone", || {
        fs::read_to_string(&children)
            .unwrap()
            .split_whitespace()
            .count()
            == 1
    });
    fs::write(go, "").unwrap();
    run.end(supervisor);
}

#[test]
fn steps_have_no_input_and_run_in_the_repository_with_the_environment() {
    let mut run = TestRun::new(&["pwd; echo $WORD; cat; echo end of input"]);
    run.spec.environment = vec![("WORD".to_owned(), "hello".to_owned())];
    fs::create_dir(&run.spec.work_dir).unwrap();
    let repo = run.spec.work_dir.canonicalize().unwrap();
    assert_eq!(
        run.run().of_stream(false),
        [repo.to_str().unwrap(), "hello", "end of input"]
    );
}

#[test]
fn what_steps_and_checks_say_is_english_whatever_the_hosts_language_is() {
    let say = "echo \"$LC_ALL $LANGUAGE.\"";
    let mut run = TestRun::new(&[say]);
    run.check("T1.sh", say);
    let mut supervisor = run.command(env!("CARGO_BIN_EXE_switchyard"));
    supervisor.envs([("LC_ALL", "de_DE.UTF-8"), ("LANGUAGE", "de:fr")]);
    let said = run.end(supervisor.spawn().unwrap());
    let of_both = said.of_stream(false);
    let english = of_both.iter().filter(|line| **line == "C.UTF-8 .");
    assert_eq!(english.count(), 2, "{of_both:?}");
}

#[test]
fn a_full_disk_ends_in_a_clear_status_and_the_child_is_not_held_up() {
    let bytes = 200_000;
    let script = format!(
        "echo small; while [ ! -e go ]; do sleep 0.01; done; head -c {bytes} /dev/zero; echo; sleep 0.5; echo end >&2"
    );
    let mut run = TestRun::new(&[&script]);
    run.spec.work_dir = run.folder.path().to_owned();
    // Files may grow to 64 KiB, in units of 512 bytes.
    let limited = r#"trap '' XFSZ; ulimit -f 128; exec "$0" "$@""#;
    let mut shell = Command::new("/bin/sh");
    let supervise = run.command(env!("CARGO_BIN_EXE_switchyard"));
    shell.args(["-c", limited]).arg(supervise.get_program());
    let supervisor = shell.args(supervise.get_args()).spawn().unwrap();
    run.await_line("small");
    fs::write(run.path("go"), "").unwrap();
    let ended = run.end(supervisor);
    assert_eq!(ended.footer.result.status, Status::Error);
    assert_eq!(ended.footer.exit_code, Some(0));
    let [small, notice, rest] = &ended.of_stream(false)[..] else {
        panic!("{} lines", ended.lines.len());
    };
    assert_eq!(*small, "small");
    assert!(
        notice.starts_with("[switchyard] 3 lines were left out here: "),
        "{notice}"
    );
    assert_eq!(rest.len(), bytes % (64 * 1024));
    assert_eq!(ended.of_stream(true), ["end"]);
    assert!(
        ended
            .message()
            .starts_with("3 lines of output could not be stored"),
        "{}",
        ended.message()
    );
}

#[test]
fn nobody_reading_our_own_messages_changes_nothing() {
    let mut run = TestRun::new(&["echo activating the configuration... >&2; \
                                  while [ ! -e go ]; do sleep 0.01; done; echo done"]);
    run.spec.work_dir = run.folder.path().to_owned();
    let mut command = run.command(env!("CARGO_BIN_EXE_switchyard"));
    let mut supervisor = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(supervisor.stderr.take());
    until("the activation", || run.progress().phase().is_some());
    run.stop(false);
    fs::write(run.path("go"), "").unwrap();
    assert_eq!(run.end(supervisor).of_stream(false), ["done"]);
}
