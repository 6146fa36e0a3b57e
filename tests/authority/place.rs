//! A dashboard with a whole run, and everybody who may come to it.

use crate::common::{Dashboard, Socket, sha256_hex};
use serde_json::{Value, json};
use switchyard::dashboard::routes::Route;

pub(crate) const RUN: &str = "2025-12-14T10-30-00-switch";

/// Everybody who may come, in one way or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
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

pub(crate) const EVERYBODY: [Who; 11] = [
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

pub(crate) struct Place {
    pub(crate) dashboard: Dashboard,
    pub(crate) cookies: Vec<(Who, String)>,
}

impl Place {
    pub(crate) fn start() -> Self {
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

    pub(crate) fn headers(&self, who: Who) -> Vec<(&'static str, String)> {
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

    pub(crate) fn ask(&self, route: &Route, who: Who) -> u16 {
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

pub(crate) fn filled(path: &str) -> String {
    path.replace("{*place}", "h1")
        .replace("{*rest}", "nothing")
        .replace("{id}", "h1")
        .replace("{run}", RUN)
        .replace("{session}", &sha256_hex("no session"))
        .replace("{token}", &sha256_hex("no token"))
}

pub(crate) fn a_whole_run() -> [Value; 3] {
    let line = json!({"line": "x", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    [
        json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "running"}),
        json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": 0, "lines": [line]}),
        json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
            "exit_code": 0, "lines": 1}),
    ]
}

impl Place {
    /// Whoever a request signed out is signed in again.
    pub(crate) fn sign_in_again(&mut self) {
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
