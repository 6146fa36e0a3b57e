//! Every message × those whom it may concern.

use crate::common::{Dashboard, SOON, Socket, wait_for};
use crate::place::{EVERYBODY, Place, RUN, Who};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use switchyard::protocol::{AgentMessage, BrowserMessage};

const FORGED: &str = "forged";
/// The code that closes a connection for a frame of over 1 MiB.
const TOO_BIG: u16 = 1009;

/// A message of an agent that says it is of this host.
fn message_of(kind: AgentMessage, host: &str) -> Value {
    let line =
        json!({"line": "forged", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let mut message = match kind {
        AgentMessage::Register => json!({"protocol": 1, "runs": []}),
        AgentMessage::Heartbeat => json!({"revision": FORGED}),
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

/// A message, of whichever kind.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Agent(AgentMessage),
    Browser(BrowserMessage),
}

/// Where it is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Agents,
    Browsers,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// There is no connection to send it over.
    NotLetIn(u16),
    /// The connection is closed.
    Closed(u16),
    /// It is answered with this.
    Answered(&'static str),
    /// It is believed, of the sender's own host.
    Believed,
    /// Nothing.
    PassedOver,
}

/// About `h1` and its run, which is over.
fn expected(sent: Sent, door: Door, who: Who) -> Fate {
    match door {
        Door::Agents => match (who, sent) {
            (Who::OtherAgent, Sent::Agent(_)) => Fate::Closed(4403),
            (Who::Agent, Sent::Agent(kind)) => match kind {
                AgentMessage::Heartbeat => Fate::Believed,
                // A second one.
                AgentMessage::Register => Fate::Closed(4400),
                AgentMessage::Output
                | AgentMessage::Progress
                | AgentMessage::Status
                | AgentMessage::CommandRejected => Fate::PassedOver,
            },
            (Who::Agent | Who::OtherAgent, Sent::Browser(_)) => Fate::PassedOver,
            _ => Fate::NotLetIn(401),
        },
        Door::Browsers => match (who, sent) {
            (Who::OtherOrigin, _) => Fate::NotLetIn(403),
            (Who::Nobody | Who::Expired | Who::Agent | Who::OtherAgent | Who::TokenExpired, _) => {
                Fate::NotLetIn(401)
            }
            (_, Sent::Agent(_)) => Fate::PassedOver,
            (Who::TokenElsewhere, Sent::Browser(BrowserMessage::Subscribe)) => {
                Fate::Answered("error")
            }
            (_, Sent::Browser(BrowserMessage::Subscribe)) => Fate::Answered("subscribed"),
            (_, Sent::Browser(BrowserMessage::Unsubscribe | BrowserMessage::WatchMetrics)) => {
                Fate::PassedOver
            }
        },
    }
}

fn text_of(sent: Sent) -> Value {
    match sent {
        Sent::Agent(kind) => message_of(kind, "h1"),
        Sent::Browser(kind @ BrowserMessage::Subscribe) => {
            json!({"type": kind.name(), "sub": "x", "host_id": "h1", "run_id": RUN})
        }
        Sent::Browser(kind @ BrowserMessage::Unsubscribe) => {
            json!({"type": kind.name(), "sub": "x"})
        }
        Sent::Browser(kind @ BrowserMessage::WatchMetrics) => {
            json!({"type": kind.name(), "hosts": ["h1"]})
        }
    }
}

/// What becomes of a message that an agent sends, who has registered unless it is that itself.
fn by_agent(dashboard: &Dashboard, sent: Sent, host: &str, fate: Fate) -> Fate {
    let first = matches!(sent, Sent::Agent(AgentMessage::Register)) && host != "h1";
    let mut agent = if first {
        Socket::unregistered_agent(dashboard, host)
    } else {
        Socket::agent(dashboard, host)
    };
    agent.send(&text_of(sent));
    if let Fate::Closed(_) = fate {
        return Fate::Closed(agent.close_code());
    }
    // It is closed for this behind the message, if the message did not do so.
    agent.send_text(" ".repeat(2 << 20));
    match agent.close_code() {
        TOO_BIG if dashboard.host(host)["revision"] == FORGED => Fate::Believed,
        TOO_BIG => Fate::PassedOver,
        code => Fate::Closed(code),
    }
}

/// What becomes of a message that a browser sends: the answer to it comes before that to the next one.
fn by_browser(browser: &mut Socket, sent: Sent) -> Fate {
    assert_eq!(browser.frame()[0]["type"], "hosts");
    browser.send(&text_of(sent));
    browser.send(&json!({"type": "subscribe", "sub": "next", "host_id": "h2"}));
    let mut fate = Fate::PassedOver;
    browser.wait_for("the next answer", |message| {
        let is_next = message["sub"] == "next";
        if !is_next && message["type"] == "subscribed" {
            fate = Fate::Answered("subscribed");
        } else if !is_next && message["type"] == "error" {
            fate = Fate::Answered("error");
        }
        is_next
    });
    fate
}

#[test]
fn every_message_of_everybody_reaches_no_further_than_it_should() {
    let mut place = Place::start();
    let viewer = place.cookies.iter().find(|(who, _)| *who == Who::Viewer);
    place.dashboard.cookie = viewer.map(|(_, cookie)| cookie.clone());
    let dashboard = &place.dashboard;
    let state = || (dashboard.run("h1", RUN), dashboard.log("h1", RUN).bytes);
    let before = state();
    let agents = AgentMessage::ALL.into_iter().map(Sent::Agent);
    let all: Vec<Sent> = agents
        .chain(BrowserMessage::ALL.into_iter().map(Sent::Browser))
        .collect();
    let mut wrong = Vec::new();
    for (sent, who) in all
        .iter()
        .flat_map(|sent| EVERYBODY.map(|who| (*sent, who)))
    {
        for (door, path) in [(Door::Agents, "/ws/agent"), (Door::Browsers, "/ws/browser")] {
            let want = expected(sent, door, who);
            let headers = place.headers(who);
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let got = match Socket::open(dashboard, path, &headers) {
                Err(status) => Fate::NotLetIn(status),
                Ok(mut browser) if door == Door::Browsers => by_browser(&mut browser, sent),
                Ok(_) if who == Who::Agent => by_agent(dashboard, sent, "h1", want),
                Ok(_) => by_agent(dashboard, sent, "h2", want),
            };
            if got != want {
                wrong.push(format!(
                    "{sent:?} at {door:?} by {who:?}: {got:?}, not {want:?}"
                ));
            }
            assert_eq!(state(), before, "{sent:?} at {door:?} by {who:?}");
            if got == Fate::Believed {
                let mut agent = Socket::agent(dashboard, "h1");
                agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "true"}));
                dashboard.wait_for_host("h1", "the truth", |host| host["revision"] == "true");
            }
            assert_ne!(
                dashboard.host("h1")["revision"],
                FORGED,
                "{sent:?} at {door:?} by {who:?}"
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_changes_out_of_sight_is_not_told() {
    let place = Place::start();
    let headers = [("Authorization", "Bearer TokenElsewhere")];
    let mut browser = Socket::open(&place.dashboard, "/ws/browser", &headers).unwrap();
    browser.frame();
    browser.send(&json!({"type": "watch_metrics", "hosts": ["h1", "h2"]}));
    let mut near = Socket::agent(&place.dashboard, "h1");
    near.send(
        &json!({"type": "heartbeat", "host_id": "h1", "revision": "hidden", "metrics": {"cpu": 7}}),
    );
    let mut far = Socket::agent(&place.dashboard, "h2");
    far.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": "seen"}));
    browser.wait_for("what is in sight", |message| {
        assert!(!message.to_string().contains("h1"), "{message}");
        message["type"] == "host_update" && message["host"]["revision"] == "seen"
    });
    far.send(
        &json!({"type": "heartbeat", "host_id": "h2", "revision": "seen", "metrics": {"cpu": 7}}),
    );
    browser.wait_for("metrics in sight", |message| {
        assert!(!message.to_string().contains("h1"), "{message}");
        message["type"] == "host_update" && message["host"]["metrics"]["cpu"] == 7.0
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
