use super::*;

const LEAST: &str = "dashboard = \"wss://fleet.example.org\"\ntoken_file = \"/run/token\"\n";

fn load(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path).map_err(|error| {
        error
            .to_string()
            .replace(&path.display().to_string(), "agent.toml")
    })
}

#[test]
fn two_keys_are_enough_and_the_rest_has_defaults() {
    let config = load(LEAST).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/switchyard-agent"));
    assert_eq!(config.heartbeat_interval, Duration::from_secs(5));
    assert_eq!((config.host_id, config.repo), (None, None));
    let repo = load(&format!(
        "{LEAST}state_dir = \"/s\"\n[repo]\nurl = \"/r.git\"\n"
    ))
    .unwrap()
    .repo
    .unwrap();
    assert_eq!(repo.branch, "main");
    assert_eq!(repo.dir, Path::new("/s/repo"));
}

#[test]
fn what_cannot_be_is_named_with_line_key_and_remedy() {
    for (bad, said) in [
        (
            "heartbeat_interval = 0",
            "agent.toml:3: heartbeat_interval: 0 is out of range",
        ),
        (
            "heart_interval = 3",
            "agent.toml:3: heart_interval: unknown key",
        ),
        (
            "[masking]\npatterns = [\"(\"]",
            "agent.toml:4: masking.patterns: ",
        ),
        (
            "enrolment_file = \"/x\"",
            "agent.toml:3: enrolment_file: token_file is set too",
        ),
        (
            "system_roots = false",
            "agent.toml:3: system_roots: with system_roots = false and without ca_file",
        ),
        ("host_id = \"../x\"", "agent.toml:3: host_id: "),
        ("supervisor = \"cron\"", "agent.toml:3: supervisor: "),
        (
            "state_dir = \"here\"",
            "agent.toml:3: state_dir: \"here\" is not an absolute path",
        ),
        (
            "[repo]\nurl = \"--upload-pack=x\"",
            "agent.toml:4: repo.url: ",
        ),
        ("[repo]\nbranch = \"-x\"", "agent.toml:4: repo.branch: "),
        (
            "[repo]\nurl = \"http://git.example.org/a\"",
            "agent.toml:4: repo.url: http:// is not encrypted",
        ),
        (
            "[repo]\nurl = \"git://git.example.org/a\"",
            "agent.toml:4: repo.url: git:// is not encrypted",
        ),
        (
            "[repo]\nurl = \"ftp://git.example.org/a\"",
            "agent.toml:4: repo.url: ftp:// is not encrypted",
        ),
        (
            "[repo]\ndir = \"/var/lib\"",
            "agent.toml:4: repo.dir: a pull deletes everything in /var/lib",
        ),
        (
            "[repo]\ndir = \"/var/lib/switchyard-agent/runs/x\"",
            "agent.toml:4: repo.dir: ",
        ),
        (
            "[commands.stop]\nsteps = [[\"a\"]]",
            "agent.toml:3: commands.stop: ",
        ),
        (
            "[commands.own]\ntimeout = 3",
            "agent.toml:3: commands.own.steps: ",
        ),
        (
            "[commands.own]\nsteps = [[]]",
            "agent.toml:4: commands.own.steps: a step without a program",
        ),
        (
            "[commands.switch]\ntimeout = 0",
            "agent.toml:4: commands.switch.timeout: ",
        ),
    ] {
        let error = load(&format!("{LEAST}{bad}\n")).unwrap_err();
        assert!(error.starts_with(said), "{error}");
        assert!(error.contains("; "), "{error} has no remedy");
    }
}

#[test]
fn a_repository_may_be_had_in_plain_text_where_that_is_said() {
    let of = |url: &str, more: &str| load(&format!("{LEAST}[repo]\nurl = \"{url}\"\n{more}"));
    for url in ["http://git.example.org/a", "git://git.example.org/a"] {
        assert!(
            of(url, "").unwrap_err().contains("allow_plaintext"),
            "{url}"
        );
        assert!(of(url, "allow_plaintext = true\n").is_ok(), "{url}");
    }
    for url in [
        "https://git.example.org/a",
        "git@git.example.org:a",
        "ssh://git@git.example.org/a",
        "http://127.0.0.1:3000/a",
        "http://[::1]/a",
        "file:///srv/a",
    ] {
        assert!(of(url, "").is_ok(), "{url}");
    }
}

#[test]
fn a_run_gets_what_the_others_leave() {
    let spool = load(&format!("{LEAST}[spool]\nmax_run_bytes = 10\n"))
        .unwrap()
        .spool;
    assert_eq!(spool.room(0), 10);
    assert_eq!(spool.room((4 << 30) - 3), 3);
    assert_eq!(spool.room(5 << 30), 0);
    assert_eq!(load(LEAST).unwrap().spool.room(0), 1 << 30);
}

#[test]
fn plain_text_stays_on_this_machine_unless_allowed() {
    let to = |url: &str, more: &str| {
        load(&format!(
            "dashboard = \"{url}\"\ntoken_file = \"/t\"\n{more}"
        ))
    };
    for loopback in ["ws://127.0.0.1:8000", "ws://localhost", "ws://[::1]:80/"] {
        assert!(to(loopback, "").is_ok(), "{loopback}");
    }
    let error = to("ws://fleet.example.org", "").unwrap_err();
    assert!(
        error.contains(":1: dashboard: ") && error.contains("allow_plaintext"),
        "{error}"
    );
    assert!(to("ws://fleet.example.org", "allow_plaintext = true").is_ok());
    assert!(
        to("https://fleet.example.org", "")
            .unwrap_err()
            .contains("wss://")
    );
}
