//! Every message × those whom it may concern.

use crate::common::{SOON, Socket, wait_for};
use crate::place::{Place, RUN, Who};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use switchyard::protocol::{AgentMessage, BrowserMessage};

/// A message of an agent that says it is of this host.
fn message_of(kind: AgentMessage, host: &str) -> Value {
    let line =
        json!({"line": "forged", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let mut message = match kind {
        AgentMessage::Register => json!({"protocol": 1, "runs": []}),
        AgentMessage::Heartbeat => json!({"revision": "forged"}),
        AgentMessage::Output => {
            json!({"run_id": RUN, "command": "switch", "seq": 1, "lines": [line]})
        }
        AgentMessage::Progress => json!({"run_id": RUN, "done": 7, "expected": 9}),
        AgentMessage::Status => {
            json!({"run_id": RUN, "command": "switch", "status": "error", "exit_code": 1})
        }
        AgentMessage::CommandRejected => json!({"run_id": RUN, "reason": "forged"}),
    };
    message["type"] = kind.name().into();
    message["host_id"] = host.into();
    message
}

#[test]
fn no_message_of_an_agent_speaks_for_another_host_nor_changes_a_run_that_is_over() {
    let mut place = Place::start();
    place.dashboard.cookie = place.cookies.first().map(|(_, cookie)| cookie.clone());
    let dashboard = &place.dashboard;
    let before = (dashboard.run("h1", RUN), dashboard.log("h1", RUN).bytes);
    for kind in AgentMessage::ALL {
        let mut other = match kind {
            AgentMessage::Register => Socket::unregistered_agent(dashboard, "h2"),
            _ => Socket::agent(dashboard, "h2"),
        };
        other.send(&message_of(kind, "h1"));
        assert_eq!(other.close_code(), 4403, "{kind:?} of another host");

        // Its own host, but a run that is over: nothing is written, and only a second `register` is an offence.
        let mut own = Socket::agent(dashboard, "h1");
        own.send(&message_of(kind, "h1"));
        match kind {
            AgentMessage::Register => assert_eq!(own.close_code(), 4400),
            _ => {
                own.send(
                    &json!({"type": "heartbeat", "host_id": "h1", "revision": format!("{kind:?}")}),
                );
                dashboard.wait_for_host("h1", "a later heartbeat", |host| {
                    host["revision"] == format!("{kind:?}")
                });
            }
        }
        let after = (dashboard.run("h1", RUN), dashboard.log("h1", RUN).bytes);
        assert_eq!(after, before, "{kind:?}");
    }
}

#[test]
fn every_message_of_a_browser_reaches_no_further_than_its_scope() {
    let place = Place::start();
    for kind in BrowserMessage::ALL {
        for (who, sees) in [
            (Who::Token, true),
            (Who::TokenElsewhere, false),
            (Who::Viewer, true),
        ] {
            let headers = place.headers(who);
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let mut browser = Socket::open(&place.dashboard, "/ws/browser", &headers).unwrap();
            let hosts = browser.frame()[0]["hosts"].clone();
            let hosts: Vec<&str> = hosts
                .as_array()
                .unwrap()
                .iter()
                .map(|host| host["id"].as_str().unwrap())
                .collect();
            assert_eq!(hosts.contains(&"h1"), sees, "{who:?}");
            match kind {
                BrowserMessage::Subscribe => {
                    browser.send(&json!({"type": kind.name(), "host_id": "h1", "run_id": RUN}));
                    let answer = browser.wait_for("an answer", |message| {
                        ["subscribed", "error"].contains(&message["type"].as_str().unwrap())
                    });
                    assert_eq!(answer["type"] == "subscribed", sees, "{who:?}: {answer}");
                }
                BrowserMessage::Unsubscribe => {
                    browser.send(&json!({"type": kind.name(), "sub": "h1"}));
                    browser.send(&json!({"type": "subscribe", "host_id": "h2"}));
                    browser.wait_for("the next answer", |message| message["type"] == "subscribed");
                }
            }
        }
    }
}

#[test]
fn what_changes_out_of_sight_is_not_told() {
    let place = Place::start();
    let headers = [("Authorization", "Bearer TokenElsewhere")];
    let mut browser = Socket::open(&place.dashboard, "/ws/browser", &headers).unwrap();
    browser.frame();
    let mut near = Socket::agent(&place.dashboard, "h1");
    near.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "hidden"}));
    let mut far = Socket::agent(&place.dashboard, "h2");
    far.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": "seen"}));
    browser.wait_for("what is in sight", |message| {
        assert!(!message.to_string().contains("h1"), "{message}");
        message["type"] == "host_update" && message["host"]["revision"] == "seen"
    });
    let bulk = place.dashboard.request(
        "POST",
        "/api/commands",
        &[headers[0], ("Content-Type", "application/json")],
        br#"{"hosts":["h1","h2"],"command":"switch"}"#,
    );
    let results = bulk.json()["results"].clone();
    assert_eq!([&results[0]["status"], &results[1]["status"]], [404, 202]);
    let encoded = place
        .dashboard
        .request("GET", "/api/hosts/%68%31", &headers, b"");
    assert_eq!(encoded.status, 404, "however its name is written");
}

#[test]
fn who_is_let_in_by_the_socket_in_the_data_folder_is_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut place = Place::start();
    let socket = place.dashboard.data_dir().join("control");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    place.dashboard.restart(Signal::SIGTERM, || {
        assert!(!socket.exists());
    });
    wait_for("the socket", SOON, || socket.exists().then_some(()));
}
