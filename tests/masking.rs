//! Secrets in the output of a run never leave their host.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, SOON};
use serde_json::json;

const KEY: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
const GITHUB: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

#[test]
fn what_the_dashboard_gets_has_no_secret_in_it_and_the_spool_neither() {
    let dashboard = Dashboard::start(&["h1"]);
    let script = format!(
        "echo before\n\
         echo 'DATABASE_PASSWORD=hunter2 and more'\n\
         printf '%s\\n' '-----BEGIN OPENSSH PRIVATE KEY-----' {KEY} 'kQ==' '-----END OPENSSH PRIVATE KEY-----' >&2\n\
         echo '@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"error: fetching with access-tokens = github.com={GITHUB}\"}}' >&2\n\
         echo 'my-own-4711'\n\
         echo after\n\
         echo 'error: cannot use token=letmein' >&2\n\
         exit 1"
    );
    let extra = json!({
        "commands": {"switch": {"steps": [["/bin/sh", "-c", script]]}},
        "masking": {"patterns": ["my-own-[0-9]+"]},
    });
    let agent = Agent::start_with(&dashboard, "h1", &extra);
    let run_id = dashboard.command("h1", "switch");
    let run = dashboard.wait_for_run("h1", &run_id, SOON, |run| run["status"] == "error");
    let log = dashboard.log("h1", &run_id);
    let text = String::from_utf8(log.bytes.clone()).unwrap();
    let spool = agent
        .dir()
        .join(format!("state/runs/{run_id}/{run_id}.log"));
    let spool = std::fs::read_to_string(spool).unwrap();
    let all = format!("{text}{spool}{run}{}", dashboard.host("h1"));
    for secret in ["hunter2", KEY, "kQ==", GITHUB, "4711", "letmein"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    // What the programs wrote as they wrote it is gone with the end of the run.
    let rundir = agent.dir().join(format!("state/runs/{run_id}"));
    common::wait_for("the captures to be gone", SOON, || {
        let files = std::fs::read_dir(&rundir).unwrap().flatten();
        let mut names = files.map(|file| file.file_name().into_string().unwrap());
        (!names.any(|name| name.starts_with("capture-"))).then_some(())
    });
    for line in [
        "before",
        "DATABASE_PASSWORD=*** and more",
        "***",
        "after",
        "error: cannot use token=***",
    ] {
        assert!(
            log.lines.iter().any(|found| found == line),
            "{line} in {:?}",
            log.lines
        );
    }
    assert!(
        run["message"].as_str().unwrap().contains("***"),
        "{}",
        run["message"]
    );
}

#[test]
fn the_name_of_a_program_that_cannot_be_started_is_told_without_its_secrets() {
    let dashboard = Dashboard::start(&["h1"]);
    let extra = json!({
        "commands": {"switch": {"steps": [["/nowhere/password=hunter2"]]}},
    });
    let _agent = Agent::start_with(&dashboard, "h1", &extra);
    let run_id = dashboard.command("h1", "switch");
    let run = dashboard.wait_for_run("h1", &run_id, SOON, |run| run["status"] == "error");
    let message = run["message"].as_str().unwrap();
    let is_told = message.starts_with("/nowhere/password=***");
    assert!(is_told && message.contains("no such program"), "{message}");
    let log = String::from_utf8(dashboard.log("h1", &run_id).bytes).unwrap();
    let all = format!("{log}{run}{}", dashboard.host("h1"));
    assert!(!all.contains("hunter2"), "{all}");
}
