//! The command line of the real program: what it prints, and its exit codes.
#![cfg(test)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use switchyard::dashboard::auth::SecretHash;

fn switchyard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn passwd(password: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .arg("passwd")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(password.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn help_and_version_are_everywhere() {
    for mode in [
        "dashboard",
        "agent",
        "check-config",
        "token",
        "passwd",
        "demo",
        "supervise",
    ] {
        let help = switchyard(&[mode, "--help"]);
        assert_eq!(code(&help), 0, "{mode}");
        assert!(stdout(&help).contains("Usage: switchyard "), "{mode}");
        assert_eq!(code(&switchyard(&[mode, "--version"])), 0, "{mode}");
    }
    let version = switchyard(&["--version"]);
    assert_eq!(
        stdout(&version),
        format!("switchyard {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_is_2() {
    for wrong in [
        &[][..],
        &["frobnicate"],
        &["agent"],
        &["dashboard", "--listen", "here"],
        &["dashboard", "--listen", "0.0.0.0:0"],
        &["demo", "--listen", "0.0.0.0:0"],
        &["check-config", "browser", "x"],
        &["token"],
        &["token", "../x"],
        &["token", "h1", "--user", "alice", "admin"],
        &["token", "--user", "alice"],
        &["token", "--user", "alice", "root"],
        &["token", "--user", "al ice", "admin"],
    ] {
        let output = switchyard(wrong);
        assert_eq!(code(&output), 2, "{wrong:?}");
        assert!(
            !output.stderr.is_empty() && output.stdout.is_empty(),
            "{wrong:?}"
        );
    }
}

#[test]
fn agent_tokens_come_with_the_lines_of_the_agents_file() {
    let output = switchyard(&["token", "h1", "h2", "h1"]);
    assert_eq!(code(&output), 0);
    let tokens: Vec<_> = stdout(&output).lines().collect();
    let lines: Vec<_> = stderr(&output).lines().collect();
    assert_eq!((tokens.len(), lines.len()), (3, 3));
    for (token, line) in tokens.iter().zip(lines) {
        let (host, token) = token.split_once(' ').unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(line, format!("{host} {}", SecretHash::of(token)));
    }
    assert_ne!(tokens[0], tokens[2]);
}

#[test]
fn an_api_token_comes_with_the_line_of_the_users_file() {
    let output = switchyard(&["token", "--user", "alice", "operator"]);
    assert_eq!(code(&output), 0);
    let token = stdout(&output).trim_end().strip_prefix("alice ").unwrap();
    let line = format!("alice operator sha256:{}\n", SecretHash::of(token));
    assert_eq!(stderr(&output), line);
}

#[test]
fn passwd_hashes_a_line_and_refuses_none() {
    let output = passwd("correct horse\n");
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(stdout(&output).lines().count(), 1);
    assert!(output.stderr.is_empty());
    for nothing in ["", "\n", "\r\n"] {
        let output = passwd(nothing);
        assert_eq!(code(&output), 2, "{nothing:?}");
        assert!(stderr(&output).contains("the password is empty"));
    }
    assert_eq!(code(&passwd(&"x".repeat(5000))), 2);
}

/// What `check-config dashboard` says of a file with this text.
fn checked(text: &str) -> (i32, String) {
    checked_of("dashboard", text)
}

/// What `check-config` says of a file with this text.
fn checked_of(service: &str, text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{service}.toml"));
    std::fs::write(&file, text).unwrap();
    let output = switchyard(&["check-config", service, &file.display().to_string()]);
    assert!(output.stdout.is_empty());
    let said = stderr(&output).replace(&format!("{}/", folder.path().display()), "");
    (code(&output), said)
}

#[test]
fn check_config_names_file_line_key_and_remedy() {
    for (text, said) in [
        (
            "listne = \"127.0.0.1:1\"\n",
            "switchyard: dashboard.toml:1: listne: unknown key; did you mean `listen`?\n",
        ),
        (
            "[retention]\n\ndays = \"ninety\"\n",
            "switchyard: dashboard.toml:3: retention.days: this is the text \"ninety\", not a whole number; write a number of days without quotes; 0 means no limit\n",
        ),
        (
            "listen = \"0.0.0.0:8000\"\n",
            "switchyard: dashboard.toml:1: listen: 0.0.0.0:8000 is not a loopback address, and without users_file every visitor would be an admin; add `users_file = …` with the people who may sign in, or listen on 127.0.0.1\n",
        ),
        (
            "\npublic_url = \"fleet\"\n",
            "switchyard: dashboard.toml:2: public_url: it does not begin with https:// or http://; write it as \"https://fleet.example.org\"\n",
        ),
    ] {
        assert_eq!(checked(text), (2, said.to_owned()));
    }
    let (code, said) = checked("listen = \n");
    assert!(
        code == 2 && said.starts_with("switchyard: dashboard.toml:1: not TOML"),
        "{said}"
    );
    let missing = switchyard(&["check-config", "dashboard", "/nowhere/x.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    let said = stderr(&missing);
    assert!(said.contains("/nowhere/x.toml: cannot be read"));
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}

/// Words of the libraries that read a file.
const LIBRARY_WORDS: [&str; 12] = [
    "invalid type",
    "invalid value",
    "expected",
    "usize",
    "u64",
    "i64",
    "sequence",
    "struct",
    "variant",
    "string",
    "boolean",
    "SocketAddr",
];

#[test]
fn a_value_of_a_wrong_type_is_told_in_plain_words_for_every_key_of_the_dashboard() {
    let texts = [
        "listen",
        "data_dir",
        "agents_file",
        "users_file",
        "public_url",
    ];
    let tables = ["retention", "sessions", "proxy", "limits", "audit"];
    let numbers = [
        "retention.days",
        "retention.max_bytes",
        "sessions.idle",
        "sessions.lifetime",
        "limits.connections",
        "limits.connections_per_address",
        "limits.strangers",
        "limits.people",
        "audit.max_bytes",
    ];
    let lists = ["proxy.trusted"];
    for (keys, bad, is_not) in [
        (&texts[..], ["3", "true", "[\"a\"]"], "not a text; "),
        (
            &["proxy.user_header"],
            ["3", "1.5", "1979-05-27"],
            "not a text; ",
        ),
        (&tables, ["3", "\"a\"", "[\"a\"]"], "not a table; "),
        (&numbers, ["\"ten\"", "1.5", "true"], "not a whole number; "),
        (&lists, ["3", "\"::1\"", "{ a = 1 }"], "not a list; "),
    ] {
        for (key, bad) in keys.iter().flat_map(|key| bad.map(|bad| (key, bad))) {
            let (code, said) = checked(&format!("\n{key} = {bad}\n"));
            let begin = format!("switchyard: dashboard.toml:2: {key}: this is ");
            assert_eq!(code, 2, "{said}");
            assert!(said.starts_with(&begin) && said.contains(is_not), "{said}");
            for word in LIBRARY_WORDS {
                assert!(!said.contains(word), "{said}");
            }
        }
    }
}

#[test]
fn a_value_of_a_wrong_type_is_told_in_plain_words_for_every_key_of_the_agent() {
    let least = "dashboard = \"wss://fleet.example.org\"\ntoken_file = \"/run/token\"\n";
    for (key, bad, said) in [
        (
            "host_id",
            "3",
            "this is the number 3, not a text; write a text in quotes",
        ),
        ("enrolment_file", "[]", "this is a list, not a text; "),
        ("ca_file", "false", "this is false, not a text; "),
        ("state_dir", "{}", "this is a table, not a text; "),
        (
            "system_roots",
            "\"yes\"",
            "this is the text \"yes\", not true or false; write true or false, without quotes",
        ),
        (
            "allow_plaintext",
            "1",
            "this is the number 1, not true or false; ",
        ),
        (
            "heartbeat_interval",
            "\"5 s\"",
            "this is the text \"5 s\", not a whole number; write seconds from 1 to 300, without quotes",
        ),
        (
            "heartbeat_interval",
            "-5",
            "the number -5 is out of range; write seconds from 1 to 300",
        ),
        (
            "heartbeat_interval",
            "99999999999999999999",
            "the number 99999999999999999999 is out of range; ",
        ),
        (
            "heartbeat_interval",
            "0",
            "0 is out of range; give seconds from 1 to 300",
        ),
        (
            "supervisor",
            "\"cron\"",
            "the text \"cron\" is not a value of this key; write one of \"auto\", \"systemd\", \"process\"",
        ),
        (
            "supervisor",
            "true",
            "this is true, not one of the texts for this key; write one of ",
        ),
        ("repo.url", "3", "this is the number 3, not a text; "),
        ("repo.branch", "1.0", "this is the number 1.0, not a text; "),
        (
            "spool.max_bytes",
            "\"4G\"",
            "this is the text \"4G\", not a whole number; write a number of bytes",
        ),
        ("masking", "false", "this is false, not a table; "),
        (
            "masking.defaults",
            "\"no\"",
            "this is the text \"no\", not true or false; ",
        ),
        (
            "masking.patterns",
            "\"a\"",
            "this is the text \"a\", not a list; ",
        ),
        (
            "masking.patterns",
            "[1]",
            "this is the number 1, not a text; ",
        ),
        ("commands", "[]", "this is a list, not a table; "),
        (
            "commands.switch",
            "\"a b\"",
            "this is the text \"a b\", not a table; ",
        ),
        (
            "commands.switch.steps",
            "[\"a\"]",
            "this is the text \"a\", not a list; write each step as a list",
        ),
        (
            "commands.switch.steps",
            "[[1]]",
            "this is the number 1, not a text; write each step as a list",
        ),
        (
            "commands.switch.timeout",
            "\"1h\"",
            "this is the text \"1h\", not a whole number; write seconds, at least 1",
        ),
    ] {
        let (code, got) = checked_of("agent", &format!("{least}{key} = {bad}\n"));
        assert_eq!(code, 2, "{got}");
        let want = format!("switchyard: agent.toml:3: {key}: {said}");
        assert!(got.starts_with(&want), "{got}");
    }
}

#[test]
fn a_number_or_an_address_that_cannot_be_is_told_with_what_can() {
    for (text, want) in [
        (
            "listen = \"here\"\n",
            "1: listen: the text \"here\" is not valid: ",
        ),
        (
            "[proxy]\ntrusted = [\n\"::1\",\n\"10.0.0.0/8\"]\n",
            "4: proxy.trusted: the text \"10.0.0.0/8\" is not valid: ",
        ),
        (
            "[limits]\npeople = -1\n",
            "2: limits.people: the number -1 is out of range; write a number of connections, 0 or more",
        ),
        (
            "[sessions]\nidle = 0x1_0000_0000_0000_0000\n",
            "2: sessions.idle: the number 0x10000000000000000 is out of range; ",
        ),
    ] {
        let (code, said) = checked(text);
        assert_eq!(code, 2, "{said}");
        assert!(
            said.starts_with(&format!("switchyard: dashboard.toml:{want}")),
            "{said}"
        );
        assert!(said.contains("; write "), "{said}");
    }
    let long = format!(
        "public_url = [\"{}\"]\nlisten = \"{}\"\n",
        "a".repeat(10),
        "é".repeat(5_000)
    );
    assert!(checked(&long).1.len() < 300);
}

#[test]
fn check_config_opens_no_file_that_the_configuration_names() {
    let text = "listen = \"0.0.0.0:80\"\ndata_dir = \"/nowhere/data\"\nagents_file = \"/nowhere/agents\"\n\
                users_file = \"/nowhere/users\"\npublic_url = \"https://fleet.example.org\"\n";
    assert_eq!(checked(text), (0, String::new()));
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn a_dashboard_with_a_bad_agents_file_ends_with_2_and_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let (config, agents) = (folder.path().join("x.toml"), folder.path().join("agents"));
    std::fs::write(&agents, "# fleet\nh1 nonsense\n").unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nagents_file = {agents:?}\ndata_dir = {:?}\n",
        folder.path()
    );
    std::fs::write(&config, text).unwrap();
    let output = switchyard(&["dashboard", "--config", &config.display().to_string()]);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(
        said.contains(&format!("{}:2: ", agents.display())),
        "{said}"
    );
}

#[test]
fn an_address_in_use_is_a_failure_at_run_time() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = switchyard(&["dashboard", "--listen", &address]);
    assert_eq!(code(&output), 1);
    let said = stderr(&output);
    assert!(
        said.contains(&format!("cannot listen on {address}")),
        "{said}"
    );
    assert!(said.contains("set another with --listen"), "{said}");
}

#[test]
fn tests_run_takes_one_option_and_refuses_every_other() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run");
    let output = std::process::Command::new("bash")
        .args([program, "--long", "--longer"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "usage: tests/run [--long]\n");
}
