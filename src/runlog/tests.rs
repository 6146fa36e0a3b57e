use super::*;
use crate::protocol::{CommandName, HostId, Seq, Status, Timestamp};
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use tempfile::TempDir;

fn run_id() -> RunId {
    RunId::new("2025-12-14T10-30-00-switch").unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn header() -> Header {
    Header {
        command: CommandName::new("switch").unwrap(),
        host_id: HostId::new("hsb0").unwrap(),
        meta: RunMeta {
            nonce: Some("n1".into()),
            requested_by: Some("alice".into()),
            queued: Some(at("2025-12-14T10:29:59.876Z")),
            started: at("2025-12-14T10:30:00.123Z"),
            generation_before: Some(41),
            number: 0,
            then: None,
            after: None,
        },
    }
}

fn result() -> RunResult {
    RunResult {
        duration_ms: Some(75_012),
        generation_after: Some(42),
        ..RunResult::ended_at(Status::Ok, at("2025-12-14T10:31:15.135Z"))
    }
}

/// A log with these lines, not finished.
fn log(lines: &[(String, i64, Option<bool>)]) -> (TempDir, LogWriter) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::create(dir.path(), &run_id(), &header()).unwrap();
    for (line, millis, is_error) in lines {
        writer.push(line, Timestamp::from_millis(*millis), *is_error);
    }
    writer.flush().unwrap();
    (dir, writer)
}

fn read_all(
    reader: &LogReader,
    max_lines: usize,
    max_bytes: usize,
) -> Vec<(String, i64, Option<bool>)> {
    let (mut lines, mut batch) = (Vec::new(), Batch::default());
    loop {
        reader
            .read(lines.len() as Seq, max_lines, max_bytes, &mut batch)
            .unwrap();
        if batch.is_empty() {
            return lines;
        }
        for line in batch.iter() {
            assert_eq!(line.seq, lines.len() as Seq);
            lines.push((line.line.to_owned(), line.timestamp.millis(), line.is_error));
        }
    }
}

fn open(dir: &TempDir) -> LogReader {
    LogReader::open(dir.path(), &run_id()).unwrap()
}

const NOON: i64 = 1_765_713_600_000;

fn some_lines(n: usize) -> Vec<(String, i64, Option<bool>)> {
    (0..n)
        .map(|i| (format!("line {i}"), NOON + i as i64 * 700, Some(i % 3 == 0)))
        .collect()
}

#[test]
fn a_log_is_written_to_the_letter_of_the_contract() {
    let (dir, mut writer) = log(&[
        (
            "evaluating derivation '/nix/store/...'".into(),
            at("2025-12-14T10:30:01.5Z").millis(),
            Some(true),
        ),
        (
            "building '/nix/store/abc123...'".into(),
            at("2025-12-14T10:30:05Z").millis(),
            Some(true),
        ),
    ]);
    writer.finish(Some(0), result()).unwrap();
    let text = fs::read_to_string(paths(dir.path(), &run_id()).0).unwrap();
    assert_eq!(
        text,
        r##"# Command: switch
# Started: 2025-12-14T10:30:00Z
# Host: hsb0
# Run: {"nonce":"n1","requested_by":"alice","queued":"2025-12-14T10:29:59.876Z","started":"2025-12-14T10:30:00.123Z","generation_before":41}

[10:30:01] evaluating derivation '/nix/store/...'
[10:30:05] building '/nix/store/abc123...'

# Completed: 2025-12-14T10:31:15Z
# Exit code: 0
# Result: {"status":"ok","completed":"2025-12-14T10:31:15.135Z","message":null,"lines":2,"errors":2,"duration_ms":75012,"phases":[],"done":null,"expected":null,"running":null,"failed":null,"tests":null,"generation_after":42,"revision":null}
"##
    );
}

#[test]
fn a_line_that_looks_like_a_footer_is_a_line() {
    let lines: Vec<_> = [
        "",
        "# Completed: 2025-12-14T10:31:15Z",
        "# Exit code: 0",
        "[10:30:00] x",
    ]
    .map(|line| (line.to_owned(), NOON, Some(false)))
    .into();
    let (dir, writer) = log(&lines);
    drop(writer);
    assert_eq!(open(&dir).footer().unwrap(), None);
    fs::remove_file(paths(dir.path(), &run_id()).1).unwrap();
    assert_eq!(
        LogWriter::open(dir.path(), &run_id()).unwrap().next_seq(),
        4
    );
    assert_eq!(
        read_all(&open(&dir), 10, 1 << 20)
            .iter()
            .map(|l| &l.0)
            .collect::<Vec<_>>(),
        lines.iter().map(|l| &l.0).collect::<Vec<_>>()
    );
}

#[test]
fn a_finished_log_is_opened_with_its_footer_and_can_go_on_without_it() {
    let (dir, mut writer) = log(&some_lines(3));
    writer
        .finish(
            None,
            RunResult {
                status: Status::Lost,
                message: Some("m".repeat(3000)),
                ..result()
            },
        )
        .unwrap();
    let footer = open(&dir).footer().unwrap().unwrap();
    assert_eq!(
        (footer.exit_code, footer.result.lines, footer.result.errors),
        (None, 3, Some(1))
    );

    let mut again = LogWriter::open(dir.path(), &run_id()).unwrap();
    assert_eq!(again.footer(), Some(&footer));
    assert_eq!(again.header(), &header());
    again.cut_footer().unwrap();
    assert_eq!(open(&dir).footer().unwrap(), None);
    again.push("more", Timestamp::from_millis(NOON), Some(true));
    again
        .finish(
            Some(1),
            RunResult {
                status: Status::Error,
                ..result()
            },
        )
        .unwrap();
    let footer = open(&dir).footer().unwrap().unwrap();
    assert_eq!(
        (footer.exit_code, footer.result.lines, footer.result.errors),
        (Some(1), 4, Some(2))
    );
}

#[test]
fn what_is_rolled_back_was_never_there() {
    let (dir, mut writer) = log(&some_lines(2));
    writer.push("forget me", Timestamp::from_millis(NOON), Some(true));
    writer.rollback();
    assert_eq!((writer.next_seq(), writer.errors()), (2, Some(1)));
    writer.push("keep me", Timestamp::from_millis(NOON), Some(false));
    writer.flush().unwrap();
    assert_eq!(read_all(&open(&dir), 9, 1 << 20)[2].0, "keep me");
}

#[test]
fn a_log_is_made_once() {
    let (dir, _writer) = log(&[]);
    assert!(LogWriter::create(dir.path(), &run_id(), &header()).is_err());
    assert!(
        LogReader::open(dir.path(), &RunId::new("2025-12-14T10-30-00-test").unwrap())
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let (dir, mut writer) = log(&some_lines(2));
    let read_only = OpenOptions::new()
        .read(true)
        .open(paths(dir.path(), &run_id()).0)
        .unwrap();
    writer.replace_log_file_for_test(read_only);
    writer.push("no room", Timestamp::from_millis(NOON), Some(true));
    assert!(writer.flush().is_err());
    assert_eq!(writer.next_seq(), 2);
    assert!(writer.finish(Some(0), result()).is_err());
    assert_eq!(read_all(&open(&dir), 9, 1 << 20).len(), 2);
}

#[test]
fn a_lost_index_is_rebuilt_with_times_across_midnight() {
    let lines: Vec<_> = [
        "2025-12-14T23:59:59.900Z",
        "2025-12-15T00:00:01.200Z",
        "2025-12-14T23:59:58Z",
    ]
    .map(|time| (format!("at {time}"), at(time).millis(), Some(true)))
    .into();
    let dir = tempfile::tempdir().unwrap();
    let mut head = header();
    head.meta.started = at("2025-12-14T23:59:50Z");
    let mut writer = LogWriter::create(dir.path(), &run_id(), &head).unwrap();
    for (line, millis, is_error) in &lines {
        writer.push(line, Timestamp::from_millis(*millis), *is_error);
    }
    writer.finish(Some(0), result()).unwrap();
    fs::write(paths(dir.path(), &run_id()).1, b"rubbish").unwrap();

    let again = LogWriter::open(dir.path(), &run_id()).unwrap();
    assert!(again.index_rebuilt() && again.footer().is_some());
    assert_eq!(again.errors(), None);
    let reader = open(&dir);
    assert!(reader.index_rebuilt());
    let want: Vec<_> = lines
        .iter()
        .map(|(line, millis, _)| (line.clone(), millis / 1000 * 1000, None))
        .collect();
    assert_eq!(read_all(&reader, 2, 1 << 20), want);
}

#[test]
fn a_log_that_is_over_loses_no_line_to_an_index_that_was_damaged() {
    let lines = some_lines(100);
    let texts: Vec<_> = lines.iter().map(|(line, ..)| line).collect();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |index| index[40 * 16] ^= 1,
        |index| index.truncate(40 * 16 + 3),
        |index| index[16..].fill(0),
        |index| index.extend([7; 64]),
    ];
    for (n, damage) in damages.iter().enumerate() {
        let (dir, mut writer) = log(&lines);
        writer.finish(Some(33), result()).unwrap();
        drop(writer);
        let (log_path, idx_path) = paths(dir.path(), &run_id());
        let before = fs::read(&log_path).unwrap();
        let mut index = fs::read(&idx_path).unwrap();
        damage(&mut index);
        fs::write(&idx_path, &index).unwrap();
        let again = LogWriter::open(dir.path(), &run_id()).unwrap();
        assert_eq!(again.next_seq(), 100, "damage {n}");
        assert!(again.footer().is_some(), "damage {n}");
        assert_eq!(fs::read(&log_path).unwrap(), before, "damage {n}");
        let got = read_all(&open(&dir), 1000, 1 << 20);
        let got: Vec<_> = got.iter().map(|(line, ..)| line).collect();
        assert_eq!(got, texts, "damage {n}");
    }
}

#[test]
fn a_reader_asks_for_a_place_beyond_the_end_and_gets_nothing() {
    let (dir, _writer) = log(&some_lines(3));
    let mut batch = Batch::default();
    for from in [3, 4, 1_000_000_000] {
        open(&dir).read(from, 10, 1000, &mut batch).unwrap();
        assert!(batch.is_empty());
    }
    open(&dir).read(1, 10, 1, &mut batch).unwrap();
    assert_eq!(
        (batch.first(), batch.len()),
        (1, 1),
        "at least one line, however small the limit"
    );
}

fn any_line() -> impl Strategy<Value = (String, i64, Option<bool>)> {
    let text = prop_oneof!["[^\n]{0,40}", "[\\[#\\]: 0-9]{0,20}", Just("x".repeat(MAX))];
    (
        text,
        NOON..NOON + 200_000_000,
        prop_oneof![Just(Some(true)), Just(Some(false))],
    )
}
const MAX: usize = crate::protocol::MAX_LINE_BYTES;

#[test]
fn a_footer_with_a_long_message_is_found_again() {
    let (dir, mut writer) = log(&some_lines(3));
    let message = Some("no ".repeat(200_000));
    let result = RunResult {
        message: message.clone(),
        ..result()
    };
    writer.finish(Some(1), result).unwrap();
    let again = LogWriter::open(dir.path(), &run_id()).unwrap();
    assert_eq!(again.footer().unwrap().result.message, message);
    assert!(open(&dir).footer().unwrap().is_some());
}

#[test]
fn to_try_for_room_leaves_no_trace() {
    let (dir, mut writer) = log(&some_lines(3));
    let (log_path, idx_path) = paths(dir.path(), &run_id());
    let before = (fs::read(&log_path).unwrap(), fs::read(&idx_path).unwrap());
    writer.probe().unwrap();
    assert_eq!(
        before,
        (fs::read(&log_path).unwrap(), fs::read(&idx_path).unwrap())
    );
    writer.replace_log_file_for_test(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(writer.probe().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_lines_in_are_the_same_lines_out(lines in prop::collection::vec(any_line(), 0..40), flush_every in 1usize..9, max_bytes in 1usize..5000) {
        let (dir, mut writer) = log(&[]);
        for (i, (line, millis, is_error)) in lines.iter().enumerate() {
            writer.push(line, Timestamp::from_millis(*millis), *is_error);
            if i % flush_every == 0 { writer.flush().unwrap(); }
        }
        writer.finish(Some(0), result()).unwrap();
        prop_assert_eq!(&read_all(&open(&dir), 7, max_bytes), &lines);
        let again = LogWriter::open(dir.path(), &run_id()).unwrap();
        prop_assert_eq!(again.next_seq(), lines.len() as Seq);
        prop_assert!(again.footer().is_some());
    }

    #[test]
    fn any_truncation_recovers_to_whole_lines(lines in prop::collection::vec(any_line(), 1..20), log_cut in 0f64..1.0, idx_cut in 0f64..1.2, finished: bool) {
        let (dir, mut writer) = log(&lines);
        if finished { writer.finish(Some(0), result()).unwrap(); }
        drop(writer);
        let (log_path, idx_path) = paths(dir.path(), &run_id());
        let header = fs::read_to_string(&log_path).unwrap().find("\n\n").unwrap() as u64 + 2;
        let log_len = fs::metadata(&log_path).unwrap().len();
        let cut = header + ((log_len - header) as f64 * log_cut) as u64;
        OpenOptions::new().write(true).open(&log_path).unwrap().set_len(cut).unwrap();
        let idx_len = fs::metadata(&idx_path).unwrap().len();
        OpenOptions::new().write(true).open(&idx_path).unwrap().set_len(((idx_len as f64 * idx_cut) as u64).min(idx_len)).unwrap();

        let mut again = LogWriter::open(dir.path(), &run_id()).unwrap();
        let kept = again.next_seq() as usize;
        prop_assert!(again.footer().is_none());
        again.push("and on", Timestamp::from_millis(NOON), Some(true));
        again.finish(Some(0), result()).unwrap();
        let got = read_all(&open(&dir), 100, 1 << 20);
        prop_assert_eq!(got.len(), kept + 1);
        for (got, want) in got.iter().zip(&lines[..kept]) {
            prop_assert_eq!(&got.0, &want.0);
        }
        prop_assert!(open(&dir).footer().unwrap().is_some());
    }

    #[test]
    fn a_changed_byte_never_passes_for_a_line(lines in prop::collection::vec(any_line(), 1..12), place in 0f64..1.0, bit in 0u8..8) {
        let (dir, writer) = log(&lines);
        drop(writer);
        let (log_path, _) = paths(dir.path(), &run_id());
        let mut bytes = fs::read(&log_path).unwrap();
        let header = memchr::memmem::find(&bytes, b"\n\n").unwrap() + 2;
        let place = header + ((bytes.len() - header) as f64 * place) as usize;
        bytes[place] ^= 1 << bit;
        fs::write(&log_path, &bytes).unwrap();
        let kept = LogWriter::open(dir.path(), &run_id()).unwrap().next_seq() as usize;
        prop_assert!(kept < lines.len());
        prop_assert_eq!(&read_all(&open(&dir), 100, 1 << 20)[..], &lines[..kept]);
    }

    #[test]
    fn no_bytes_make_recovery_fail_badly(log_bytes in prop::collection::vec(any::<u8>(), 0..300), idx_bytes in prop::collection::vec(any::<u8>(), 0..100), with_header: bool) {
        let dir = tempfile::tempdir().unwrap();
        let (log_path, idx_path) = paths(dir.path(), &run_id());
        let mut bytes = if with_header { header().to_text().into_bytes() } else { Vec::new() };
        bytes.extend(log_bytes);
        fs::write(&log_path, &bytes).unwrap();
        fs::write(&idx_path, &idx_bytes).unwrap();
        let opened = LogWriter::open(dir.path(), &run_id());
        prop_assert_eq!(opened.is_ok(), with_header);
        if with_header { read_all(&open(&dir), 10, 1 << 20); }
    }
}
