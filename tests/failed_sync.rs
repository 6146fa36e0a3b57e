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

/// Fails as the kernel does: once, for the log of a run, when there is a file `fail`.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int fdatasync(int fd) {
  char link[64], path[4096] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  readlink(link, path, sizeof path - 1);
  const char *fail = getenv("FAIL_SYNC");
  if (fail && strstr(path, "-switch.log") && unlink(fail) == 0) { errno = EIO; return -1; }
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return next(fd);
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
    let line = |number: u64| json!({"line": format!("line {number}"), "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let lines: Vec<Value> = (from..from + 10).map(line).collect();
    agent.send(
        &json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": from, "lines": lines}),
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
