//! A search finds what one line after the other, each without its escapes, would show.

use super::*;
use crate::ansi::strip_line;
use crate::dashboard::cpu_permits::CpuPermits;
use crate::protocol::{CommandName, HostId, RunId, Timestamp};
use crate::runlog::{Header, LogReader, LogWriter};
use proptest::prelude::*;
use regex::RegexBuilder;
use std::time::Duration;
use tempfile::TempDir;

fn log_of<'a>(lines: impl IntoIterator<Item = &'a str>) -> (TempDir, LogReader) {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::new("2025-12-14T10-30-00-switch").unwrap();
    let header = Header::started_at(
        HostId::new("h1").unwrap(),
        CommandName::new("switch").unwrap(),
        Timestamp::from_millis(0),
    );
    let mut log = LogWriter::create(folder.path(), &run, &header).unwrap();
    for (n, line) in lines.into_iter().enumerate() {
        log.push(line, Timestamp::from_millis(n as i64 * 977), None);
    }
    log.flush().unwrap();
    let reader = LogReader::open(folder.path(), &run).unwrap();
    (folder, reader)
}

const ALL: Wanted = Wanted {
    from: 0,
    limit: usize::MAX,
};

fn search(reader: &LogReader, q: &str, syntax: Syntax, case: bool, wanted: Wanted) -> Found {
    let expression = Expression::compile(q, syntax, case).unwrap();
    scan(reader, &expression, wanted, || true, None, || None).unwrap()
}

fn numbers(found: &Found) -> Vec<u64> {
    let json = serde_json::to_value(found).unwrap();
    let matches = json["matches"].as_array().unwrap();
    let number = |found: &serde_json::Value| found["seq"].as_u64().unwrap();
    matches.iter().map(number).collect()
}

#[test]
fn only_the_text_of_a_line_is_searched_and_never_its_time_or_the_next_line() {
    let lines = [
        "00:00 begins",
        "",
        "a",
        "b] c",
        "\u{1b}[31mer\u{1b}[0mror",
        "tail",
        "end\u{1b}]0;a title\u{7}",
    ];
    let (_folder, reader) = log_of(lines);
    for (q, expected) in [
        ("00:00", vec![0]),
        (r"\[00", vec![]),
        ("^0", vec![0]),
        ("^$", vec![1]),
        ("^a$", vec![2]),
        (r"a\s+b", vec![]),
        (r"a[^x]+b", vec![]),
        (r"] ", vec![3]),
        ("^error$", vec![4]),
        (r"\bror", vec![]),
        ("(?m)^tail$", vec![5]),
        (r"\Atail\z", vec![5]),
        ("title", vec![]),
        ("(?s)l.e", vec![]),
        (r"\n", vec![]),
        (r"x|\n|d$", vec![6]),
        ("x*", vec![0, 1, 2, 3, 4, 5, 6]),
        (r"^\s*$", vec![1]),
        (r"\B", vec![0, 1, 3, 4, 5, 6]),
    ] {
        let found = search(&reader, q, Syntax::Regex, true, ALL);
        assert_eq!(numbers(&found), expected, "{q}");
        assert_eq!(found.total, expected.len() as u64, "{q}");
    }
}

#[test]
fn what_is_wrong_with_an_expression_is_said_in_plain_words() {
    let wrong = |q: &str| {
        let error = Expression::compile(q, Syntax::Regex, false).unwrap_err();
        error.to_string()
    };
    assert_eq!(wrong("("), "Invalid regular expression: unclosed group");
    assert_eq!(
        wrong("a{2"),
        "Invalid regular expression: unclosed counted repetition"
    );
    assert_eq!(
        wrong(r"\p{Nothing}"),
        "Invalid regular expression: Unicode property not found"
    );
    assert_eq!(
        wrong("(?:x{1000}){1000}"),
        "Invalid regular expression: it is too large; repeat less in it"
    );
    let nested = format!("{}{}", "(".repeat(200), ")".repeat(200));
    assert!(wrong(&nested).contains("nest"), "{}", wrong(&nested));
    for q in [String::new(), "a".repeat(1_001)] {
        assert_eq!(wrong(&q), "`q` must have 1 to 1000 bytes");
    }
    for dear in [
        r"[\w\W]".repeat(166),
        r"\p{Any}".repeat(140),
        "[a-\u{10ffff}]".repeat(120),
        "[^a]".repeat(250),
        "[[:^alpha:]]".repeat(80),
        format!("[{}]", r"\PL".repeat(300)),
    ] {
        assert!(wrong(&dear).contains("use fewer"), "{dear}");
    }
    assert!(Expression::compile(&"(".repeat(1_000), Syntax::Literal, false).is_ok());
}

#[tokio::test]
async fn a_long_log_is_searched_by_two_threads_and_the_answer_is_in_order() {
    let line = |n: u64| format!("line {n} {}", "x".repeat(300));
    let lines: Vec<String> = (0..60_000).map(line).collect();
    let (_folder, reader) = log_of(lines.iter().map(String::as_str));
    let searches = Searches::new(CpuPermits::new(1, Duration::from_secs(30)));
    let turn = searches.turn("alice").await.unwrap();
    let expression = Expression::compile("7 x", Syntax::Literal, false).unwrap();
    let wanted = Wanted {
        from: 30_000,
        limit: 2_000,
    };
    let found = scan(
        &reader,
        &expression,
        wanted,
        || true,
        Some(turn.processor()),
        || turn.helper(),
    )
    .unwrap();
    assert_eq!(found.total, 6_000);
    let expected: Vec<u64> = (30_007..).step_by(10).take(2_000).collect();
    assert_eq!(numbers(&found), expected);
    let stopped = scan(
        &reader,
        &expression,
        wanted,
        || false,
        None,
        || turn.helper(),
    );
    assert!(matches!(stopped, Err(SearchError::TooLong)));
    assert!(turn.helper().is_some(), "the second thread is given back");
}

#[test]
fn a_log_that_lost_its_text_is_an_error_and_no_panic() {
    let (folder, reader) = log_of(["one", "two", "three"]);
    let path = folder.path().join("2025-12-14T10-30-00-switch.log");
    let whole = std::fs::read(&path).unwrap();
    let expression = Expression::compile("two", Syntax::Literal, false).unwrap();
    let search = || scan(&reader, &expression, ALL, || true, None, || None);
    assert_eq!(search().unwrap().total, 1);
    for cut in [whole.len() - 1, whole.len() - 20, 60] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(search(), Err(SearchError::Log(_))), "{cut}");
    }
    let joined: Vec<u8> = whole.iter().map(|&byte| byte.max(b' ')).collect();
    std::fs::write(&path, joined).unwrap();
    assert!(matches!(search(), Err(SearchError::Log(_))));
}

/// Text of which much is escapes, times and ends of words.
fn line_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\u{1b}[31m".to_owned()),
        Just("\u{1b}]0;".to_owned()),
        Just("\u{7}".to_owned()),
        Just("[00:00:00] ".to_owned()),
        Just("error".to_owned()),
        Just("ERROR".to_owned()),
        "[a-c éſK\r.\\]]{1,4}",
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn expression_text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "c",
        "é",
        "k",
        "s",
        "error",
        "\\b",
        "\\B",
        "^",
        "$",
        "\\s",
        "\\s*",
        "[^a]",
        ".",
        ".*",
        "(a|b)",
        "a?",
        "\\w+",
        "0",
        ":",
        "]",
        " ",
        "(?m)^",
        "(?m:$)",
        "(?R:$)",
        "|",
        "\\n",
        "(?-u:\\B)",
        "\\b{start}",
        "x{0}",
    ]);
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_search_finds_what_a_look_at_each_line_finds(
        lines in prop::collection::vec(line_text(), 0..12),
        q in expression_text(),
        is_regex in any::<bool>(),
        case in any::<bool>(),
        from in 0u64..12,
        limit in 0usize..12,
    ) {
        let syntax = if is_regex { Syntax::Regex } else { Syntax::Literal };
        let pattern = if is_regex { q.clone() } else { regex::escape(&q) };
        let slow = RegexBuilder::new(&pattern).case_insensitive(!case).build();
        let quick = Expression::compile(&q, syntax, case);
        prop_assert_eq!(slow.is_ok(), quick.is_ok(), "{}", q);
        if let (Ok(slow), Ok(quick)) = (slow, quick) {
            let (_folder, reader) = log_of(lines.iter().map(String::as_str));
            let found = scan(&reader, &quick, Wanted { from, limit }, || true, None, || None).unwrap();
            let all: Vec<u64> = (0u64..).zip(&lines)
                .filter(|(_, line)| slow.is_match(&strip_line(line)))
                .map(|(seq, _)| seq)
                .collect();
            prop_assert_eq!(found.total, all.len() as u64, "{} in {:?}", q, lines);
            let wanted: Vec<u64> = all.into_iter().filter(|seq| *seq >= from).take(limit).collect();
            prop_assert_eq!(numbers(&found), wanted, "{} in {:?}", q, lines);
            let json = serde_json::to_value(&found).unwrap();
            for found in json["matches"].as_array().unwrap() {
                let seq = found["seq"].as_u64().unwrap() as usize;
                prop_assert_eq!(found["line"].as_str().unwrap(), lines[seq].as_str());
            }
        }
    }
}
