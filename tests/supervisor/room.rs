//! Where the spool has no room: too much waits for the dashboard, or the disk is full.

use crate::chance::{Chance, kills};
use crate::disk::SmallDisk;
use crate::manager::Manager;
use crate::resume::run_with_kills;
use crate::support::{TestRun, until};
use std::fs;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use switchyard::protocol::Status;
use switchyard::runlog::LogReader;
use switchyard::spool;
use tempfile::NamedTempFile;

/// Prints the lines with these numbers.
fn count(from: u64, to: u64) -> String {
    format!("seq -f 'line %.0f' {from} {}", to - 1)
}

fn await_file(name: &str) -> String {
    format!("while [ ! -e {name} ]; do sleep 0.01; done")
}

/// Starts the supervisor; what it says goes to a file.
fn start_into(run: &TestRun, said: &NamedTempFile) -> Child {
    let mut command = run.command(env!("CARGO_BIN_EXE_switchyard"));
    command.stderr(said.reopen().unwrap()).spawn().unwrap()
}

fn await_gap(said: &NamedTempFile) {
    until("output that is not stored", || {
        let said = fs::read_to_string(said).unwrap();
        said.contains("output cannot be stored")
    });
}

/// What must hold of lines that were to be `line 0`, `line 1`, …: what is there is in order, and every notice tells
/// how many are missing in its place.
fn assert_counted(lines: &[(String, bool)], total: u64) -> u64 {
    let (mut next, mut left_out) = (0, 0);
    for (line, _) in lines {
        if let Some(notice) = line.strip_prefix("[switchyard] ") {
            let count: u64 = notice.split(' ').next().unwrap().parse().unwrap();
            next += count;
            left_out += count;
        } else if line.starts_with("line ") {
            assert_eq!(*line, format!("line {next}"));
            next += 1;
        }
    }
    assert_eq!(next, total);
    left_out
}

#[test]
fn past_its_limit_a_spool_counts_lines_and_ends_with_the_newest() {
    let mut run = TestRun::new(&[&format!("{}; exit 3", count(0, 200_000))]);
    run.spec.max_unacknowledged = 100_000;
    let ended = run.run();
    assert_counted(&ended.lines, 200_000);
    let is_notice = |(line, _): &(String, bool)| line.starts_with("[switchyard] ");
    assert_eq!(ended.lines.iter().filter(|line| is_notice(line)).count(), 1);
    let at = ended.lines.iter().position(is_notice).unwrap();
    let (notice, is_error) = &ended.lines[at];
    assert!(
        notice.ends_with(
            " lines were left out here: more than 100000 bytes was waiting for the dashboard"
        ) && !is_error,
        "{notice}"
    );
    let kept = ended.lines.len() - at;
    assert!((10_000..50_000).contains(&kept), "{kept}");
    assert_eq!(ended.footer.exit_code, Some(3));
    assert_eq!(ended.footer.result.lines, ended.lines.len() as u64);
}

#[test]
fn what_the_limit_leaves_out_does_not_make_a_failure_of_a_success() {
    let mut run = TestRun::new(&[&count(0, 100_000)]);
    run.spec.max_unacknowledged = 0;
    let ended = run.run();
    assert_eq!(ended.footer.result.status, Status::Ok);
    let left_out = assert_counted(&ended.lines, 100_000);
    let told = format!(
        "{left_out} lines of output could not be stored: more than 0 bytes was waiting for the dashboard"
    );
    assert_eq!(ended.message(), told);
}

#[test]
fn a_spool_goes_on_once_the_dashboard_has_acknowledged() {
    let more =
        "i=100000; while [ ! -e enough ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo $i";
    let script = format!("{}; {}; {more}", count(0, 100_000), await_file("go"));
    let mut run = TestRun::new(&[&script]);
    run.spec.work_dir = run.folder.path().to_owned();
    run.spec.max_unacknowledged = 50_000;
    let said = NamedTempFile::new().unwrap();
    let supervisor = start_into(&run, &said);
    await_gap(&said);
    fs::write(run.path("go"), "").unwrap();
    until("a later line", || {
        let lines = run.lines();
        spool::note_acknowledged(&run.rundir, lines.len() as u64).unwrap();
        lines.iter().any(|(line, _)| line == "line 100001")
    });
    fs::write(run.path("enough"), "").unwrap();
    let mut ended = run.end(supervisor);
    let (total, _) = ended.lines.pop().unwrap();
    assert!(assert_counted(&ended.lines, total.parse().unwrap()) > 0);
    assert_eq!(ended.footer.result.status, Status::Ok);
}

#[test]
fn lines_are_counted_right_when_the_supervisor_is_killed_at_random_moments() {
    let mut chance =
        Chance::of("lines_are_counted_right_when_the_supervisor_is_killed_at_random_moments");
    let mut killed = 0;
    let lines = 300_000;
    while killed < kills() {
        let mut run = TestRun::new(&[&count(0, lines)]);
        run.spec.max_unacknowledged = 200_000;
        let rundir = run.rundir.clone();
        let over = Arc::new(AtomicBool::new(false));
        let dashboard = std::thread::spawn({
            let over = Arc::clone(&over);
            move || {
                while !over.load(Ordering::Relaxed) {
                    let log = LogReader::open(rundir.path(), rundir.run_id());
                    if let Ok(total) = log.and_then(|log| log.total()) {
                        spool::note_acknowledged(&rundir, total).unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        });
        let (ended, kills) = run_with_kills(&run, &mut chance, Duration::from_millis(400));
        over.store(true, Ordering::Relaxed);
        dashboard.join().unwrap();
        killed += kills;
        assert_counted(&ended.lines, lines);
    }
}

#[test]
fn on_a_full_disk_the_result_is_stored_all_the_same_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::over(folder.path(), 4096) else {
        return;
    };
    let script = format!(
        "{}; {}; echo the end >&2; exit 5",
        await_file("go"),
        count(0, 100_000)
    );
    let mut run = TestRun::within(folder.path(), &[&script]);
    run.spec.work_dir = folder.path().to_owned();
    let supervisor = run.start();
    run.await_spool();
    disk.fill();
    fs::write(folder.path().join("go"), "").unwrap();
    let begin = Instant::now();
    let ended = run.end(supervisor);
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(ended.footer.result.status, Status::Error);
    assert_eq!(ended.footer.exit_code, Some(5));
    // The newest lines have room; which of the two streams was seen last is open.
    let last = ended.lines.last().unwrap().0.as_str();
    assert!(["line 99999", "the end"].contains(&last), "{last}");
    assert!(
        ended.message().contains("No space left on device"),
        "{}",
        ended.message()
    );
    assert!(
        ended.message().starts_with("the end\n"),
        "{}",
        ended.message()
    );
}

#[test]
fn once_the_disk_has_room_again_nothing_of_what_was_kept_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::over(folder.path(), 8192) else {
        return;
    };
    let more =
        "i=2000; while [ ! -e enough ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo $i";
    let script = format!("{}; {}; {more}", await_file("go"), count(0, 2000));
    let mut run = TestRun::within(folder.path(), &[&script]);
    run.spec.work_dir = folder.path().to_owned();
    let said = NamedTempFile::new().unwrap();
    let supervisor = start_into(&run, &said);
    run.await_spool();
    disk.fill();
    fs::write(folder.path().join("go"), "").unwrap();
    await_gap(&said);
    disk.free();
    run.await_line("line 2001");
    fs::write(folder.path().join("enough"), "").unwrap();
    let mut ended = run.end(supervisor);
    let (total, _) = ended.lines.pop().unwrap();
    assert_eq!(assert_counted(&ended.lines, total.parse().unwrap()), 0);
    assert_eq!(ended.footer.result.status, Status::Ok);
}

#[test]
fn a_disk_that_was_full_for_a_moment_costs_no_line_when_the_supervisor_is_killed_later() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::over(folder.path(), 4096) else {
        return;
    };
    // The bytes end with a page, so there is no room for the second line where they are kept; the spool has some.
    let script = format!(
        "printf '%4095s\\n' first; {}; echo second; {}; echo third",
        await_file("full"),
        await_file("again")
    );
    let mut run = TestRun::within(folder.path(), &[&script]);
    run.spec.work_dir = run.folder.path().to_owned();
    let manager = Manager::new(&run);
    let mut supervisor = manager.start(&run);
    until("the first line", || {
        run.await_spool();
        run.lines().len() == 1
    });
    // A short link takes no room.
    let gates = tempfile::tempdir().unwrap();
    disk.fill();
    let gate = |name: &str| std::os::unix::fs::symlink(gates.path(), run.path(name));
    gate("full").unwrap();
    run.await_line("second");
    let next_capture = run.rundir.path().join("capture-2.bytes");
    let checkpoint = || fs::read_to_string(run.rundir.checkpoint()).unwrap();
    let before = checkpoint();
    disk.free();
    until("another checkpoint", || {
        next_capture.exists() && checkpoint() != before
    });
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let supervisor = manager.start(&run);
    gate("again").unwrap();
    let ended = run.end(supervisor);
    let lines = ended.of_stream(false);
    let lines: Vec<_> = lines.into_iter().map(str::trim_start).collect();
    assert_eq!(lines, ["first", "second", "third"]);
    assert_eq!(ended.footer.result.status, Status::Ok);
}

#[test]
fn a_run_goes_on_when_its_supervisor_is_killed_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::over(folder.path(), 4096) else {
        return;
    };
    let script = format!("echo first; {}; exit 7", await_file("go"));
    let mut run = TestRun::within(folder.path(), &[&script]);
    run.spec.work_dir = run.folder.path().to_owned();
    let manager = Manager::new(&run);
    let mut supervisor = manager.start(&run);
    run.await_line("first");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    disk.fill();
    let ready = manager.ready();
    // What `start` would write anew is there.
    let supervisor = manager.start_again(&run);
    until("the supervisor", || manager.ready() > ready);
    std::os::unix::fs::symlink("/", run.path("go")).unwrap();
    let ended = run.end(supervisor);
    assert_eq!(ended.of_stream(false), ["first"]);
    assert_eq!(ended.footer.exit_code, Some(7));
}

#[test]
fn a_run_whose_supervisor_died_for_good_on_a_full_disk_is_lost_and_not_left_open() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::over(folder.path(), 4096) else {
        return;
    };
    let run = TestRun::within(folder.path(), &["echo first; sleep 60"]);
    let mut supervisor = run.start();
    run.await_line("first");
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    disk.fill();
    let mut settling = Command::new(env!("CARGO_BIN_EXE_switchyard"));
    settling
        .args(["supervise", "--settle"])
        .arg(run.rundir.path());
    let ended = run.end(settling.spawn().unwrap());
    assert_eq!(ended.of_stream(false), ["first"]);
    assert_eq!(ended.footer.result.status, Status::Lost);
}
