//! Everything that parses bytes of a peer, or what a loss of power left: no input makes it panic or grow. What only
//! the dashboard itself can reach is in `src/dashboard/fuzz_tests.rs`.
#![cfg(test)]

#[path = "../common/mutation.rs"]
mod mutation;

use mutation::{cases, fuzz};
use switchyard::mask::{Masker, Masking, State};
use switchyard::progress::{self, Decoder, Ending, Line, Position};
use switchyard::protocol::{
    Ack, AgentMessage, CommandRejected, CommandRequest, Enrolled, Heartbeat, Output, OutputHead,
    ProgressReport, Register, Registered, Resume, RunId, SingleOutput, StatusReport, StopRequest,
    Timestamp, TimestampFormatter, split,
};
use switchyard::runlog::{Batch, Header, LogReader, LogWriter, RunMeta, RunResult, paths};

const MESSAGES: &[&[u8]] = &[
    br#"{"type":"register","protocol":1,"host_id":"h1","hostname":"h1","commands":["switch","pull"],"runs":[{"run_id":"2025-12-14T10-30-00-switch","nonce":"n","command":"switch","started":"2025-12-14T10:30:00.123Z","lines":7,"status":"running"}]}"#,
    br#"{"type":"heartbeat","host_id":"h1","time":"2025-12-14T10:30:00.123Z","generation":42,"metrics":{"cpu":1.5,"ram":2,"swap":0,"load":0.1}}"#,
    br#"[{"type":"output","host_id":"h1","run_id":"2025-12-14T10-30-00-switch","command":"switch","seq":0,"lines":[{"line":"a\u001b[31mb","timestamp":"2025-12-14T10:30:01.000Z","is_error":true},{"line":"c","timestamp":"2025-12-14T10:30:01.000Z","is_error":null}]}]"#,
    br#"{"type":"output","host_id":"h1","command":"switch","line":"x","timestamp":"2025-12-14T10:30:01Z","is_error":false}"#,
    br#"{"type":"progress","host_id":"h1","run_id":"2025-12-14T10-30-00-switch","phases":[{"phase":"building","seq":1,"started":"2025-12-14T10:30:01Z"}],"done":1,"expected":2,"tests":{"current":1,"total":2,"passed":0,"running":"T1.sh","result":null}}"#,
    br#"{"type":"status","host_id":"h1","run_id":"2025-12-14T10-30-00-switch","command":"switch","status":"ok","exit_code":0,"message":"m","lines":3,"duration_ms":5}"#,
    br#"{"type":"command_rejected","host_id":"h1","run_id":"2025-12-14T10-30-00-switch","reason":"busy","current_command":"pull"}"#,
    br#"{"type":"registered","host_id":"h1","resume":[{"run_id":"2025-12-14T10-30-00-switch","seq":3}]}"#,
    br#"{"type":"command","run_id":"2025-12-14T10-30-00-switch","nonce":"n","command":"switch","requested_by":"a","not_after":1000}"#,
    br#"{"type":"stop","run_id":"2025-12-14T10-30-00-switch","requested_by":"a","force":true}"#,
    br#"{"type":"resume","run_id":"2025-12-14T10-30-00-switch","seq":3}"#,
    br#"{"type":"ack","run_id":"2025-12-14T10-30-00-switch","seq":3,"final":true}"#,
    br#"{"type":"enrolled","host_id":"h1","token":"t"}"#,
];

fn read<'a, T: serde::Deserialize<'a>>(json: &'a str) {
    let _ = serde_json::from_str::<T>(json);
}

#[test]
fn any_frame_is_read_or_refused() {
    fuzz("frames", cases(50_000, 10_000_000), MESSAGES, |bytes| {
        // What is no UTF-8 the WebSocket refuses.
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        for message in split(text).into_iter().flatten() {
            let json = message.json;
            match AgentMessage::of(&message.kind) {
                Some(AgentMessage::Register) => read::<Register>(json),
                Some(AgentMessage::Heartbeat) => read::<Heartbeat>(json),
                Some(AgentMessage::Output) => {
                    read::<Output<'_>>(json);
                    read::<OutputHead>(json);
                    read::<SingleOutput<'_>>(json);
                    if let Ok(output) = serde_json::from_str::<Output<'_>>(json) {
                        let mut times = TimestampFormatter::default();
                        for line in &output.lines {
                            let _ = times.parse(&line.timestamp);
                        }
                    }
                }
                Some(AgentMessage::Progress) => read::<ProgressReport>(json),
                Some(AgentMessage::Status) => read::<StatusReport>(json),
                Some(AgentMessage::CommandRejected) => read::<CommandRejected>(json),
                None => {
                    read::<Registered>(json);
                    read::<CommandRequest>(json);
                    read::<StopRequest>(json);
                    read::<Resume>(json);
                    read::<Ack>(json);
                    read::<Enrolled>(json);
                }
            }
        }
    });
}

/// A log that cannot be read.
struct NoLines;

impl progress::Output for NoLines {
    fn lines(&self, _: std::ops::Range<u64>, _: &mut dyn FnMut(Line<'_>)) {}
}

#[test]
fn any_output_of_nix_is_decoded_and_masked() {
    let examples: &[&[u8]] = &[
        br#"@nix {"action":"start","id":1,"level":0,"parent":0,"text":"building '/nix/store/x.drv'","type":105,"fields":["/nix/store/x.drv","",1,1]}"#,
        br#"@nix {"action":"result","id":1,"type":101,"fields":["a line"]}"#,
        br#"@nix {"action":"result","id":1,"type":105,"fields":[1,2,3,4]}"#,
        br#"@nix {"action":"result","id":1,"type":106,"fields":[101,18446744073709551615]}"#,
        br#"@nix {"action":"stop","id":1}"#,
        br#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m x","raw_msg":"x"}"#,
        b"these 3 derivations will be built:",
        b"error: builder for '/nix/store/x.drv' failed with exit code 1;",
        br#"<3>@nix {"action":"start","fields":["/nix/store/x"],"id":2,"level":4,"parent":0,"text":"","type":113}"#,
        br#"half a line @nix {"action":"result","fields":["x"],"id":2,"type":109}"#,
        br#"@nix {"action":"start","id":3,"level":0,"parent":1,"text":"","type":104}"#,
        b"Pre-switch check 'switchInhibitors' failed",
        b"warning: the following units failed: a.service, b.service",
        b"Error: Failed to get GID for deploy",
        b"activating the configuration...",
        b"access-tokens = github.com=ghp_0123456789abcdefghijABCDEFGHIJ012345",
        b"-----BEGIN RSA PRIVATE KEY-----",
        b"-----END RSA PRIVATE KEY-----",
        b"password=\"x\" token='y' https://a:b@c Bearer 0123456789abcdef",
    ];
    let mut decoder = Decoder::new();
    let masker = Masker::new(&Masking::default()).unwrap();
    let mut state = State::default();
    let mut seq = 0;
    fuzz(
        "output of nix",
        cases(50_000, 10_000_000),
        examples,
        |bytes| {
            let line = String::from_utf8_lossy(bytes);
            let here = Position {
                at: Timestamp::from_millis(0),
                next_seq: seq,
                waiting: 0,
            };
            decoder.line(&line, true, here, &mut |line| {
                seq += 1;
                let masked = masker.line(&mut state, line);
                assert!(masked.len() <= switchyard::protocol::MAX_LINE_BYTES);
            });
            if seq % 1_000 == 0 {
                let ending = Ending {
                    lines: 0..seq,
                    ..Ending::default()
                };
                assert!(!decoder.failure(&ending, &NoLines).causes.is_empty());
                decoder.step_begins();
            }
        },
    );
}

#[test]
fn any_escapes_are_taken_out() {
    let examples: &[&[u8]] = &[
        b"\x1b[31;1mred\x1b[0m plain",
        b"\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
        b"\x1bP+q\x1b\\ \x9b31m \xc2\x9b31m \x1b(B\x1b[?25l",
    ];
    let mut stripper = switchyard::ansi::Stripper::default();
    // What is held back of one piece may come with the next.
    let (mut read, mut kept) = (0, 0);
    fuzz("escapes", cases(50_000, 10_000_000), examples, |bytes| {
        let mut plain = Vec::new();
        stripper.strip(bytes, &mut plain);
        (read, kept) = (read + bytes.len(), kept + plain.len());
        assert!(kept <= read);
        assert!(!plain.contains(&0x1b));
        let line = String::from_utf8_lossy(bytes);
        assert!(!switchyard::ansi::strip_line(&line).contains('\x1b'));
    });
}

#[test]
fn any_names_and_times_are_read_or_refused() {
    let examples: &[&[u8]] = &[
        b"web-1.example_2",
        b"2025-12-14T10-30-00-switch-2",
        b"2025-12-14T10:30:00.123Z",
        b"2025-12-14T10:30:00+02:00",
        b"-262144-01-01T00:00:00Z",
    ];
    fuzz(
        "names and times",
        cases(50_000, 10_000_000),
        examples,
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(id) = switchyard::protocol::HostId::new(&text) {
                assert!(!id.as_str().contains(['/', '\0']) && !id.as_str().contains(".."));
            }
            if let Ok(id) = RunId::new(&text) {
                assert!(
                    !id.as_str().contains(['/', '\0', '.']) && id.as_str().len() <= RunId::MAX_LEN
                );
            }
            let _ = switchyard::protocol::CommandName::new(&text);
            let mut times = TimestampFormatter::default();
            if let Some(time) = Timestamp::parse(&text) {
                let _ = (time.to_seconds_text(), times.format(time).len());
            }
            let _ = times.parse(&text);
        },
    );
}

/// A log of some lines, whole or not.
fn a_log(dir: &std::path::Path, run_id: &RunId, whole: bool) -> (Vec<u8>, Vec<u8>) {
    let time = Timestamp::parse("2025-12-14T10:30:00.123Z").unwrap();
    let meta = RunMeta {
        nonce: Some("n".to_owned()),
        requested_by: Some("alice".to_owned()),
        queued: Some(time),
        started: time,
        generation_before: Some(41),
        number: 0,
        then: None,
        after: None,
    };
    let header = Header {
        command: switchyard::protocol::CommandName::new("switch").unwrap(),
        host_id: switchyard::protocol::HostId::new("h1").unwrap(),
        meta,
    };
    let mut writer = LogWriter::create(dir, run_id, &header).unwrap();
    for n in 0..5 {
        writer.push(&format!("line {n}"), time, Some(n % 2 == 0));
    }
    writer.try_flush().unwrap();
    if whole {
        let result = serde_json::from_str::<RunResult>(
            r#"{"status":"ok","completed":"2025-12-14T10:31:15.135Z","message":null,"lines":5,"errors":3,"duration_ms":1,"phases":[],"tests":null,"generation_after":42}"#,
        );
        writer.finish(Some(0), result.unwrap()).unwrap();
    }
    drop(writer);
    let (log, idx) = paths(dir, run_id);
    (std::fs::read(log).unwrap(), std::fs::read(idx).unwrap())
}

#[test]
fn any_log_that_was_left_behind_is_recovered_or_refused() {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
    let other = RunId::new("2025-12-14T10-30-00-switch-2").unwrap();
    let whole = a_log(folder.path(), &run_id, true);
    let torn = a_log(folder.path(), &other, false);
    let (log, idx) = paths(folder.path(), &run_id);
    // Text and index are one input, so that either may change.
    let join = |(log, idx): &(Vec<u8>, Vec<u8>)| {
        [&(log.len() as u32).to_le_bytes()[..], log, idx].concat()
    };
    let (whole, torn) = (join(&whole), join(&torn));
    let mut batch = Batch::default();
    fuzz(
        "logs",
        cases(3_000, 10_000_000),
        &[&whole, &torn],
        |bytes| {
            let at = bytes
                .first_chunk::<4>()
                .map_or(0, |at| u32::from_le_bytes(*at) as usize);
            let rest = bytes.get(4..).unwrap_or_default();
            let (text, index) = rest.split_at(at.min(rest.len()));
            std::fs::write(&log, text).unwrap();
            std::fs::write(&idx, index).unwrap();
            let read = |batch: &mut Batch| {
                let Ok(reader) = LogReader::open(folder.path(), &run_id) else {
                    return;
                };
                let _ = (reader.footer(), reader.total(), reader.text_len());
                let _ = reader.read(0, 100, 10_000, batch);
                let _ = batch.iter().count();
            };
            read(&mut batch);
            if let Ok(mut writer) = LogWriter::open(folder.path(), &run_id) {
                if writer.footer().is_none() {
                    writer.push("more", Timestamp::from_millis(0), None);
                    writer.try_flush().unwrap();
                }
                drop(writer);
                read(&mut batch);
            }
        },
    );
}

#[test]
fn any_configuration_is_read_or_refused_with_a_reason() {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let path = folder.path().join("x.toml");
    let examples: &[&[u8]] = &[
        b"dashboard = \"wss://fleet.example.org\"\ntoken_file = \"/t\"\nheartbeat_interval = 5\n[repo]\nurl = \"git@x:y\"\nbranch = \"main\"\n[commands.switch]\nsteps = [[\"a\", \"{host}\"]]\ntimeout = 7\n[masking]\npatterns = [\"a+\"]\n",
        b"listen = \"127.0.0.1:8000\"\npublic_url = \"https://x\"\nusers_file = \"/u\"\n[retention]\ndays = 90\n[limits]\nstrangers = 5\n[proxy]\ntrusted = [\"::1\"]\nuser_header = \"X-U\"\n[sessions]\nidle = 5\n",
    ];
    fuzz(
        "configurations",
        cases(5_000, 10_000_000),
        examples,
        |bytes| {
            std::fs::write(&path, bytes).unwrap();
            if let Err(error) = switchyard::agent::config::Config::load(&path) {
                assert!(!error.to_string().is_empty());
            }
            let _ = switchyard::dashboard::config::Config::load(Some(&path), Default::default());
        },
    );
}
