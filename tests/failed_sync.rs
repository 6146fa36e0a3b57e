//! A disk that takes lines and then cannot keep them: fdatasync fails once, and after that says that all is well.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, has, skip, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const RUN: &str = "2025-12-14T10-30-00-switch";

/// Fails as the kernel does: once, for the log of a run, when there is a file `fail`. While there is a file `fail-all`
/// the sync of everything fails; while there is a file `read-only` it says that all is well, and does nothing, and every
/// other sync of what is in `logs` fails, and is noted in `fail-refused`.
/// The sync of everything takes no time, so that it is the cheaper one for many logs.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int there(const char *suffix) {
  char path[4096];
  const char *fail = getenv("FAIL_SYNC");
  if (!fail) return 0;
  snprintf(path, sizeof path, "%s%s", fail, suffix);
  return access(path, F_OK) == 0;
}
int fdatasync(int fd) {
  char link[64], path[4096] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  readlink(link, path, sizeof path - 1);
  const char *fail = getenv("FAIL_SYNC");
  if (fail && strstr(path, "/logs/h1/") && strstr(path, "-switch.log") && unlink(fail) == 0) { errno = EIO; return -1; }
  if (strstr(path, "/logs/") && there("-read-only")) {
    char refused[4200];
    snprintf(refused, sizeof refused, "%s-refused", fail);
    FILE *list = fopen(refused, "a");
    if (list) { fprintf(list, "%s\n", path); fclose(list); }
    errno = EROFS;
    return -1;
  }
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  if (strstr(path, "/logs/")) usleep(20000);
  return next(fd);
}
int syncfs(int fd) {
  if (there("-all")) { errno = EIO; return -1; }
  return 0;
}
"#;

/// Builds the library.
fn library(dir: &Path) -> Option<String> {
    if !has("cc") {
        skip("there is no C compiler");
        return None;
    }
    let (source, library) = (dir.join("sync.c"), dir.join("sync.so"));
    fs::write(&source, LIBRARY).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    Some(library.display().to_string())
}

fn send(agent: &mut Socket, from: u64) {
    send_as(agent, "h1", from);
}

fn send_as(agent: &mut Socket, host: &str, from: u64) {
    let line = |number: u64| json!({"line": format!("line {number}"), "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let lines: Vec<Value> = (from..from + 10).map(line).collect();
    agent.send(
        &json!({"type": "output", "host_id": host, "run_id": RUN, "command": "switch", "seq": from, "lines": lines}),
    );
}

/// Reads until there is a message of this type for the run.
fn await_message(agent: &mut Socket, kind: &str, seq: u64) -> Value {
    loop {
        for message in agent.frame() {
            assert!(
                kind == "ack" || message["type"] != "ack",
                "acknowledged after all: {message}"
            );
            if message["type"] == kind && message["seq"] == seq {
                return message;
            }
        }
    }
}

#[test]
fn what_a_failed_sync_may_have_lost_is_written_again_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path()) else {
        return;
    };
    let fail = dir.path().join("fail");
    let environment = vec![
        ("LD_PRELOAD", library),
        ("FAIL_SYNC", fail.display().to_string()),
    ];
    let dashboard = Dashboard::start_in(environment, "127.0.0.1", &["h1"], "", &[]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "running",
                       "started": "2025-12-14T10:30:00.000Z"}));
    send(&mut agent, 0);
    await_message(&mut agent, "ack", 10);
    fs::write(&fail, "").unwrap();
    send(&mut agent, 10);
    // It says so until it tries again, which may be soon: asked without a pause.
    let began = Instant::now();
    while dashboard.get("/health").status != 503 {
        assert!(began.elapsed() < SOON, "no word of the failure");
    }
    await_message(&mut agent, "resume", 20);
    send(&mut agent, 20);
    await_message(&mut agent, "ack", 30);
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
                       "exit_code": 0, "lines": 30, "completed": "2025-12-14T10:30:09.000Z"}));
    let last = await_message(&mut agent, "ack", 30);
    assert_eq!(last["final"], true);
    let written: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
    assert_eq!(dashboard.log("h1", RUN).lines, written);
    wait_for("health", SOON, || {
        (dashboard.get("/health").status == 200).then_some(())
    });
}

/// Twenty hosts with a run and ten acknowledged lines each, enough to be synced together.
fn many(fail: &Path, library: String) -> (Dashboard, Vec<Socket>) {
    let environment = vec![
        ("LD_PRELOAD", library),
        ("FAIL_SYNC", fail.display().to_string()),
    ];
    let names: Vec<String> = (0..20).map(|n| format!("h{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start_in(environment, "127.0.0.1", &hosts, "", &[]);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    for (agent, host) in agents.iter_mut().zip(&hosts) {
        agent.send(&json!({"type": "status", "host_id": host, "run_id": RUN, "command": "switch", "status": "running"}));
        send_as(agent, host, 0);
    }
    for agent in &mut agents {
        await_message(agent, "ack", 10);
    }
    (dashboard, agents)
}

fn send_all(agents: &mut [Socket], from: u64) {
    for (n, agent) in agents.iter_mut().enumerate() {
        send_as(agent, &format!("h{n}"), from);
    }
}

#[test]
fn where_the_sync_of_all_logs_fails_only_those_are_acknowledged_whose_own_sync_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path()) else {
        return;
    };
    let fail = dir.path().join("fail");
    let (dashboard, mut agents) = many(&fail, library);
    fs::write(dir.path().join("fail-all"), "").unwrap();
    fs::write(&fail, "").unwrap();
    send_all(&mut agents, 10);
    for (n, agent) in agents.iter_mut().enumerate() {
        if n == 1 {
            await_message(agent, "resume", 20);
            send(agent, 20);
            await_message(agent, "ack", 30);
        } else {
            await_message(agent, "ack", 20);
        }
    }
    drop(dashboard);
}

#[test]
fn a_file_system_that_went_read_only_acknowledges_nothing_though_its_sync_says_that_all_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path()) else {
        return;
    };
    let read_only = dir.path().join("fail-read-only");
    let (dashboard, mut agents) = many(&dir.path().join("fail"), library);
    fs::write(&read_only, "").unwrap();
    send_all(&mut agents, 10);
    wait_for("a failed sync of each log", SOON, || {
        let refused = fs::read_to_string(dir.path().join("fail-refused")).unwrap_or_default();
        let is_refused = |n| refused.contains(&format!("/logs/h{n}/{RUN}.log"));
        (0..agents.len()).all(is_refused).then_some(())
    });
    assert_eq!(dashboard.get("/health").status, 503);
    fs::remove_file(&read_only).unwrap();
    for agent in &mut agents {
        await_message(agent, "resume", 20);
    }
    send_all(&mut agents, 20);
    for agent in &mut agents {
        await_message(agent, "ack", 30);
    }
}
