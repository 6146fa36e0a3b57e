//! Every route and every message × everybody who may come. The routes are the router's own list, and the messages
//! the enumerations that the program itself reads them by: whoever adds one without an entry here fails this test.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, sha256_hex, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use switchyard::dashboard::auth::Role;
use switchyard::dashboard::routes::{Access, Route, routes};
use switchyard::protocol::{AgentMessage, BrowserMessage};

const RUN: &str = "2025-12-14T10-30-00-switch";

/// Everybody who may come, in one way or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    Viewer,
    Operator,
    Admin,
    /// With a session that is over.
    Expired,
    /// With an admin's session, from a page of somebody else's.
    OtherOrigin,
    /// The host's own agent.
    Agent,
    /// The agent of another host.
    OtherAgent,
    /// An admin's API token for every host,
    Token,
    /// for another host alone,
    TokenElsewhere,
    /// and one that expired.
    TokenExpired,
}

const EVERYBODY: [Who; 11] = [
    Who::Nobody,
    Who::Viewer,
    Who::Operator,
    Who::Admin,
    Who::Expired,
    Who::OtherOrigin,
    Who::Agent,
    Who::OtherAgent,
    Who::Token,
    Who::TokenElsewhere,
    Who::TokenExpired,
];

struct Place {
    dashboard: Dashboard,
    cookies: Vec<(Who, String)>,
}

impl Place {
    fn start() -> Self {
        let password = || Dashboard::password_hash("secret");
        let token = |name: &str, more: &str| format!("sha256:{}{more}", sha256_hex(name));
        let users = [
            ("vera", "viewer", password()),
            ("otto", "operator", password()),
            ("anna", "admin", password()),
            ("gone", "admin", password()),
            ("robot", "admin", token("Token", "")),
            ("part", "admin", token("TokenElsewhere", " hosts=h2")),
            (
                "late",
                "admin",
                token("TokenExpired", " expires=2020-01-01T00:00:00Z"),
            ),
        ];
        let mut dashboard = Dashboard::start_with(&["h1", "h2"], "", &users);
        let mut cookies = Vec::new();
        for (who, user) in [
            (Who::Viewer, "vera"),
            (Who::Operator, "otto"),
            (Who::Admin, "anna"),
            (Who::OtherOrigin, "anna"),
            (Who::Expired, "gone"),
        ] {
            dashboard.log_in(user, "secret");
            cookies.push((who, dashboard.cookie.take().unwrap()));
        }
        let gone = cookies.last().unwrap().1.clone();
        dashboard.cookie = Some(gone);
        assert_eq!(dashboard.post("/api/logout", &json!({})).status, 204);
        dashboard.cookie = None;
        let mut agent = Socket::agent(&dashboard, "h1");
        for message in a_whole_run() {
            agent.send(&message);
        }
        agent.wait_for("the final ack", |message| message["final"] == true);
        Self { dashboard, cookies }
    }

    fn headers(&self, who: Who) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        if let Some((_, cookie)) = self.cookies.iter().find(|(whose, _)| *whose == who) {
            headers.push(("Cookie", cookie.clone()));
        }
        let token = match who {
            Who::Agent => Some(Dashboard::token("h1")),
            Who::OtherAgent => Some(Dashboard::token("h2")),
            Who::Token | Who::TokenElsewhere | Who::TokenExpired => Some(format!("{who:?}")),
            _ => None,
        };
        match token {
            Some(token) => headers.push(("Authorization", format!("Bearer {token}"))),
            None if who == Who::OtherOrigin => {
                headers.push(("Origin", "http://evil.example".to_owned()));
            }
            None => headers.push(("Origin", self.dashboard.origin())),
        }
        headers
    }

    fn ask(&self, route: &Route, who: Who) -> u16 {
        let path = filled(route.path);
        let headers = self.headers(who);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        if route.path.starts_with("/ws/") && !route.path.contains('{') {
            return Socket::open(&self.dashboard, &path, &headers)
                .err()
                .unwrap_or(101);
        }
        let method = if route.method == "*" {
            "POST"
        } else {
            route.method
        };
        self.dashboard
            .request(method, &path, &headers, b"{}")
            .status
    }
}

fn filled(path: &str) -> String {
    path.replace("{*place}", "h1")
        .replace("{*rest}", "nothing")
        .replace("{id}", "h1")
        .replace("{run}", RUN)
        .replace("{session}", &sha256_hex("no session"))
        .replace("{token}", &sha256_hex("no token"))
}

fn a_whole_run() -> [Value; 3] {
    let line = json!({"line": "x", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    [
        json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "running"}),
        json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": 0, "lines": [line]}),
        json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
            "exit_code": 0, "lines": 1}),
    ]
}

/// What a route answers to whom it lets in, with an empty object for a body; and who may, as this table has it.
/// The `Access` of the list is not asked: it is what is tested.
fn entry(route: &Route) -> Option<(u16, Access)> {
    let (viewer, operator) = (Access::Role(Role::Viewer), Access::Role(Role::Operator));
    let (fleet, admin) = (
        Access::EveryHost(Role::Viewer),
        Access::EveryHost(Role::Admin),
    );
    Some(match (route.method, route.path) {
        ("GET", "/" | "/hosts/{*place}" | "/health") => (200, Access::Public),
        ("POST", "/api/login") => (400, Access::OurPage),
        ("POST", "/api/logout") => (204, viewer),
        ("POST", "/api/logout/all") => (200, viewer),
        ("GET", "/ws/agent") => (101, Access::Agent),
        ("GET", "/ws/browser") => (101, viewer),
        ("GET", "/metrics") => (200, fleet),
        ("GET", "/api/me" | "/api/hosts" | "/api/hosts/{id}" | "/api/hosts/{id}/runs") => {
            (200, viewer)
        }
        ("GET", "/api/hosts/{id}/runs/{run}" | "/api/hosts/{id}/runs/{run}/lines") => (200, viewer),
        ("GET", "/api/hosts/{id}/logs/download") => (200, viewer),
        // Without `q`.
        ("GET", "/api/hosts/{id}/runs/{run}/search") => (400, viewer),
        ("POST", "/api/hosts/{id}/command" | "/api/commands") => (400, operator),
        ("GET", "/api/audit" | "/api/sessions" | "/api/tokens") => (200, admin),
        ("POST", "/api/tokens") => (400, admin),
        ("DELETE", "/api/sessions") => (200, admin),
        ("DELETE", "/api/sessions/{session}" | "/api/tokens/{token}") => (404, admin),
        ("*", "/api" | "/api/{*rest}" | "/ws/{*rest}") => (404, viewer),
        _ => return None,
    })
}

/// What somebody gets from a route that answers `fine` to those it lets in.
fn expected(route: &Route, access: Access, fine: u16, who: Who) -> u16 {
    let is_unsafe = matches!(route.method, "POST" | "DELETE" | "*");
    let least = match access {
        Access::Public => return fine,
        Access::OurPage if who == Who::OtherOrigin => return 403,
        // Their bearer is no page of ours.
        Access::OurPage if matches!(who, Who::Agent | Who::OtherAgent | Who::TokenExpired) => {
            return 403;
        }
        Access::OurPage => return fine,
        Access::Agent if matches!(who, Who::Agent | Who::OtherAgent) => return fine,
        Access::Agent => return 401,
        Access::Role(role) | Access::EveryHost(role) => role,
    };
    let role = match who {
        Who::Viewer => Role::Viewer,
        Who::Operator => Role::Operator,
        Who::Admin | Who::Token | Who::TokenElsewhere => Role::Admin,
        // Cookie and no good Origin: another site may read nothing anyway, for want of the cookie.
        Who::OtherOrigin if is_unsafe || route.path == "/ws/browser" => return 403,
        Who::OtherOrigin => Role::Admin,
        Who::Agent | Who::OtherAgent | Who::TokenExpired if is_unsafe => return 403,
        Who::Nobody | Who::Expired | Who::Agent | Who::OtherAgent | Who::TokenExpired => {
            return 401;
        }
    };
    match access {
        _ if role < least => 403,
        Access::EveryHost(_) if who == Who::TokenElsewhere => 403,
        Access::Role(_) if who == Who::TokenElsewhere && route.path.contains("{id}") => 404,
        _ => fine,
    }
}

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let mut place = Place::start();
    let mut wrong = Vec::new();
    let mut asked = 0;
    // What ends sessions comes last.
    let mut all = routes();
    all.sort_by_key(|route| route.path.contains("logout") || route.method == "DELETE");
    for route in &all {
        let Some((fine, access)) = entry(route) else {
            wrong.push(format!("{} {} has no entry here", route.method, route.path));
            continue;
        };
        for who in EVERYBODY {
            let got = place.ask(route, who);
            let want = expected(route, access, fine, who);
            asked += 1;
            if got != want {
                wrong.push(format!(
                    "{} {} by {who:?}: {got}, not {want}",
                    route.method, route.path
                ));
            }
            let ends = (200..300).contains(&got)
                && (route.path.contains("logout") || route.path == "/api/sessions");
            if ends && route.method != "GET" {
                place.sign_in_again();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(asked, routes().len() * EVERYBODY.len());
}

impl Place {
    /// Whoever a request signed out is signed in again.
    fn sign_in_again(&mut self) {
        for index in 0..self.cookies.len() {
            let user = match self.cookies[index].0 {
                Who::Viewer => "vera",
                Who::Operator => "otto",
                Who::Admin | Who::OtherOrigin => "anna",
                _ => continue,
            };
            self.dashboard.cookie = Some(self.cookies[index].1.clone());
            if self.dashboard.get("/api/me").status != 200 {
                self.dashboard.cookie = None;
                self.dashboard.log_in(user, "secret");
                self.cookies[index].1 = self.dashboard.cookie.take().unwrap();
            }
            self.dashboard.cookie = None;
        }
    }
}

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
