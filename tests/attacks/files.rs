//! Somebody who can write into the data folder.

use crate::common::{Dashboard, Socket};
use crate::support::{RUN, begin, output};
use nix::sys::signal::Signal;
use serde_json::json;
use std::os::unix::fs::symlink;

#[test]
fn a_link_planted_in_the_data_folder_leads_nowhere() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::write(
        &target,
        "# Command: switch\n# Started: 2025-12-14T10:30:00Z\nsecret\n",
    )
    .unwrap();
    let logs = dashboard.data_dir().join("logs/h1");
    std::fs::create_dir_all(&logs).unwrap();
    for end in ["log", "idx"] {
        symlink(&target, logs.join(format!("{RUN}.{end}"))).unwrap();
    }
    for path in [
        format!("/api/hosts/h1/runs/{RUN}/lines"),
        format!("/api/hosts/h1/logs/download?run={RUN}"),
        "/api/hosts/h1/logs/download".to_owned(),
    ] {
        let answer = dashboard.get(&path);
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("secret"),
            "{path}"
        );
    }
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&begin(RUN));
    agent.send(&output(RUN, 0, &["planted"]));
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "later"}));
    dashboard.wait_for_host("h1", "what came later", |host| host["revision"] == "later");
    let text = std::fs::read_to_string(&target).unwrap();
    assert!(text.ends_with("secret\n"), "{text}");
    // The files that the dashboard itself opens, too, and the folder of a host.
    let (audit, outside) = (
        dashboard.data_dir().join("audit.log"),
        folder.path().join("outside"),
    );
    std::fs::create_dir(&outside).unwrap();
    dashboard.process.end(Signal::SIGTERM);
    std::fs::remove_dir_all(&logs).unwrap();
    symlink(&outside, &logs).unwrap();
    let _ = std::fs::remove_file(&audit);
    symlink(&target, &audit).unwrap();
    dashboard.launch_again();
    dashboard.process.wait_to_say("data folder", 0);
    std::fs::remove_file(&audit).unwrap();
    dashboard.start_again();
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&begin(RUN));
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "last"}));
    dashboard.wait_for_host("h1", "what came last", |host| host["revision"] == "last");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let text = std::fs::read_to_string(&target).unwrap();
    assert!(text.ends_with("secret\n"), "{text}");
}
