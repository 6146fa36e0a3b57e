use super::*;
use crate::dashboard::auth::{Credentials, Role, SecretHash, Via};
use crate::dashboard::config::{Config, Overrides, PublicUrl};
use axum::http::HeaderName;

struct Place {
    auth: Auth,
    _folder: tempfile::TempDir,
}

const HERE: (&str, &str) = ("host", "127.0.0.1:8000");
const OURS: (&str, &str) = ("origin", "http://127.0.0.1:8000");
const EVIL: (&str, &str) = ("origin", "http://evil.example");

impl Place {
    /// With the API token `person` of an operator and the token `machine` of a host.
    fn with_users() -> Self {
        let mut place = Self::open();
        let folder = place._folder.path();
        let (agents, users) = (folder.join("agents"), folder.join("users"));
        let token = SecretHash::of("person");
        std::fs::write(&agents, format!("h1 {}\n", SecretHash::of("machine"))).unwrap();
        std::fs::write(
            &users,
            format!("alice operator sha256:{token}\nalice admin {DUMMY}\n"),
        )
        .unwrap();
        place.auth.credentials = Credentials::load(Some(&agents), Some(&users)).unwrap();
        place
    }

    fn open() -> Self {
        let config = Config::load(None, Overrides::default()).unwrap();
        Self {
            auth: Auth::load(&config).unwrap(),
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    fn asked(&self, request: &str, headers: &[(&str, &str)]) -> Result<Option<Identity>, Problem> {
        let (method, path) = request.split_once(' ').unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let method = method.parse().unwrap();
        let asked = Asked {
            method: &method,
            path,
            access: routes::access(&method, path),
            headers: &map,
            peer: None,
        };
        self.auth.admit(&asked, Timestamp::from_millis(0))
    }

    fn admit(&self, request: &str, headers: &[(&str, &str)]) -> Result<Option<Identity>, u16> {
        let admitted = self.asked(request, headers);
        admitted.map_err(|problem| problem.status())
    }

    /// Why a request is refused.
    fn reason(&self, request: &str, headers: &[(&str, &str)]) -> String {
        let refused = self.asked(request, headers).unwrap_err();
        refused.detail().to_owned()
    }

    fn status(&self, request: &str, headers: &[(&str, &str)]) -> u16 {
        self.admit(request, headers).err().unwrap_or(200)
    }

    fn sign_in(&self) -> String {
        let password = SecretHash::of(DUMMY);
        let now = Timestamp::from_millis(0);
        let (cookie, _) = self
            .auth
            .sessions
            .create("alice", password, None, now)
            .unwrap();
        format!("other=1; switchyard-8000={cookie}")
    }
}

use crate::dashboard::auth::password::DUMMY;

#[test]
fn a_foreign_host_is_misdirected_except_for_health_and_tokens() {
    let place = Place::with_users();
    let foreign = ("host", "evil.example");
    for path in [
        "GET /",
        "GET /api/hosts",
        "POST /api/login",
        "GET /nothing",
        "GET /ws/agent",
    ] {
        assert_eq!(place.status(path, &[foreign, OURS]), 421, "{path}");
    }
    assert_eq!(place.status("GET /health", &[foreign]), 200);
    assert_eq!(place.status("GET /health", &[]), 200);
    let token = ("authorization", "Bearer person");
    assert_eq!(place.status("GET /api/hosts", &[foreign, token]), 200);
    let machine = ("authorization", "Bearer machine");
    assert_eq!(place.status("GET /ws/agent", &[foreign, machine]), 200);
    let wrong = ("authorization", "Bearer wrong");
    assert_eq!(place.status("GET /api/hosts", &[foreign, wrong]), 421);
}

#[test]
fn who_asks_for_health_by_a_foreign_name_is_a_stranger_without_a_token() {
    let foreign = ("host", "evil.example");
    let open = Place::open();
    let role = |place: &Place, headers: &[(&str, &str)]| {
        let identity = place.admit("GET /health", headers).unwrap();
        identity.map(|identity| identity.role)
    };
    assert_eq!(role(&open, &[HERE]), Some(Role::Admin));
    assert_eq!(role(&open, &[foreign]), None);
    assert_eq!(role(&open, &[]), None);
    let place = Place::with_users();
    let cookie = place.sign_in();
    let session = ("cookie", cookie.as_str());
    assert_eq!(role(&place, &[HERE, session]), Some(Role::Admin));
    assert_eq!(role(&place, &[foreign, session]), None);
    let token = ("authorization", "Bearer person");
    assert_eq!(role(&place, &[foreign, token]), Some(Role::Operator));
    assert_eq!(role(&place, &[HERE]), None);
}

#[test]
fn page_and_health_are_open_and_the_rest_needs_somebody() {
    let place = Place::with_users();
    for path in [
        "GET /",
        "GET /hosts/h1",
        "GET /main.js",
        "GET /health",
        "GET /ws/agent",
    ] {
        assert_eq!(place.status(path, &[HERE]), 200, "{path}");
    }
    for path in [
        "GET /api/hosts",
        "GET /metrics",
        "GET /ws/browser",
        "GET /api/nothing",
    ] {
        assert_eq!(place.status(path, &[HERE]), 401, "{path}");
    }
    let wrong = ("authorization", "Bearer wrong");
    let cookie = ("cookie", "switchyard-8000=wrong");
    assert_eq!(place.status("GET /api/hosts", &[HERE, wrong]), 401);
    assert_eq!(place.status("GET /api/hosts", &[HERE, cookie]), 401);
}

#[test]
fn an_agents_token_opens_nothing_but_its_own_door() {
    let place = Place::with_users();
    let machine = ("authorization", "Bearer machine");
    assert_eq!(place.status("GET /api/hosts", &[HERE, machine]), 401);
    assert_eq!(
        place.status("POST /api/hosts/{id}/command", &[HERE, machine, OURS]),
        401
    );
    assert_eq!(place.status("GET /metrics", &[HERE, machine]), 401);
    let mut headers = HeaderMap::new();
    assert_eq!(place.auth.agent_host(&headers).unwrap_err().status(), 401);
    headers.insert("authorization", "Bearer person".parse().unwrap());
    assert_eq!(place.auth.agent_host(&headers).unwrap_err().status(), 401);
    headers.insert("authorization", "bearer machine".parse().unwrap());
    let (host, hash) = place.auth.agent_host(&headers).unwrap();
    assert_eq!(host.as_str(), "h1");
    assert!(place.auth.holds_agent(&host, hash));
}

#[test]
fn what_changes_something_needs_a_session_and_our_origin_or_a_token() {
    let place = Place::with_users();
    let cookie = place.sign_in();
    let cookie = ("cookie", cookie.as_str());
    let command = "POST /api/hosts/{id}/command";
    assert_eq!(place.status(command, &[HERE, cookie, OURS]), 200);
    assert_eq!(place.status(command, &[HERE, cookie]), 403);
    assert_eq!(place.status(command, &[HERE, cookie, EVIL]), 403);
    assert_eq!(place.status(command, &[HERE, cookie, OURS, OURS]), 403);
    assert_eq!(place.status(command, &[HERE, OURS]), 401);
    let token = ("authorization", "Bearer person");
    assert_eq!(place.status(command, &[HERE, token]), 200);
    assert_eq!(place.status("POST /api/login", &[HERE, OURS]), 200);
    assert_eq!(place.status("POST /api/login", &[HERE]), 403);
    assert_eq!(place.status("POST /api/login", &[HERE, EVIL]), 403);
}

#[test]
fn a_program_whose_token_is_not_known_is_told_so_and_not_of_origins() {
    let place = Place::with_users();
    let command = "POST /api/hosts/{id}/command";
    for wrong in ["Bearer nobody", "Bearer machine", "Bearer", "token person"] {
        let wrong = ("authorization", wrong);
        assert_eq!(place.status(command, &[HERE, wrong]), 401);
        assert_eq!(place.status("DELETE /api/sessions", &[HERE, wrong]), 401);
        assert_eq!(place.status(command, &[HERE, wrong, OURS]), 401);
        assert_eq!(place.status(command, &[HERE, wrong, EVIL]), 403);
        assert_eq!(place.status("POST /api/login", &[HERE, wrong]), 403);
        let cookie = place.sign_in();
        let cookie = ("cookie", cookie.as_str());
        assert_eq!(place.status(command, &[HERE, wrong, cookie]), 403);
    }
}

#[test]
fn a_token_that_is_not_known_is_named_as_the_reason_in_every_set_up() {
    let command = "POST /api/hosts/{id}/command";
    let elsewhere = ("host", "fleet.other.example");
    let wrong = ("authorization", "Bearer nobody");
    let of_token = |reason: &str| reason.contains("token is not known");
    for place in [Place::with_users(), Place::open()] {
        assert_eq!(place.status(command, &[elsewhere, wrong]), 421);
        assert!(of_token(&place.reason(command, &[elsewhere, wrong])));
        assert!(of_token(
            &place.reason("GET /api/hosts", &[elsewhere, wrong])
        ));
        assert!(!of_token(&place.reason(command, &[elsewhere])));
    }
    let open = Place::open();
    assert_eq!(open.status(command, &[HERE, wrong]), 403);
    assert!(of_token(&open.reason(command, &[HERE, wrong])));
    // A page says where it comes from.
    assert!(!of_token(&open.reason(command, &[HERE, wrong, EVIL])));
    assert!(!of_token(&open.reason(command, &[HERE])));
}

#[test]
fn a_websocket_of_a_page_needs_our_origin() {
    let place = Place::with_users();
    let cookie = place.sign_in();
    let cookie = ("cookie", cookie.as_str());
    assert_eq!(place.status("GET /ws/browser", &[HERE, cookie, OURS]), 200);
    assert_eq!(place.status("GET /ws/browser", &[HERE, cookie]), 403);
    assert_eq!(place.status("GET /ws/browser", &[HERE, cookie, EVIL]), 403);
    let token = ("authorization", "Bearer person");
    assert_eq!(place.status("GET /ws/browser", &[HERE, token]), 200);
    let open = Place::open();
    assert_eq!(open.status("GET /ws/browser", &[HERE]), 403);
    assert_eq!(open.status("GET /ws/browser", &[HERE, EVIL]), 403);
    assert_eq!(open.status("GET /ws/browser", &[HERE, OURS]), 200);
}

#[test]
fn without_users_this_machine_alone_is_an_admin() {
    let place = Place::open();
    let local = place.admit("GET /api/hosts", &[HERE]).unwrap().unwrap();
    assert_eq!(local, Identity::open());
    assert_eq!(place.status("POST /api/commands", &[HERE]), 403);
    assert_eq!(place.status("POST /api/commands", &[HERE, EVIL]), 403);
    assert_eq!(place.status("POST /api/commands", &[HERE, OURS]), 200);
    let token = ("authorization", "Bearer any");
    assert_eq!(place.status("POST /api/commands", &[HERE, token]), 403);
    for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "via"] {
        assert_eq!(place.status("GET /", &[HERE, (name, "x")]), 403, "{name}");
    }
    let users = Place::with_users();
    assert_eq!(users.status("GET /", &[HERE, ("via", "x")]), 200);
}

#[test]
fn the_page_of_the_public_url_is_ours() {
    let mut place = Place::with_users();
    let url = PublicUrl::parse("https://fleet.example.org").unwrap();
    place.auth.origins = crate::dashboard::auth::OriginRules::new(Some(url));
    let headers = [
        ("host", "fleet.example.org"),
        ("origin", "https://fleet.example.org"),
    ];
    assert_eq!(place.status("POST /api/login", &headers), 200);
    let behind_a_proxy = [HERE, ("origin", "https://fleet.example.org")];
    assert_eq!(place.status("POST /api/login", &behind_a_proxy), 200);
}

#[test]
fn a_session_and_a_token_each_say_who_it_is() {
    let place = Place::with_users();
    let cookie = place.sign_in();
    let by_session = place.admit("GET /api/hosts", &[HERE, ("cookie", &cookie)]);
    let by_session = by_session.unwrap().unwrap();
    assert_eq!(
        (by_session.name.as_str(), by_session.role),
        ("alice", Role::Admin)
    );
    assert!(matches!(by_session.via, Via::Session(_)));
    let token = ("authorization", "Bearer person");
    let by_token = place
        .admit("GET /api/hosts", &[HERE, token])
        .unwrap()
        .unwrap();
    assert_eq!(
        (by_token.name.as_str(), by_token.role),
        ("alice", Role::Operator)
    );
}

#[tokio::test]
async fn who_stays_hears_that_their_right_is_gone() {
    let place = Place::with_users();
    let now = Timestamp::from_millis(0);
    let cookie = place.sign_in();
    let session = place
        .admit("GET /api/hosts", &[HERE, ("cookie", &cookie)])
        .unwrap()
        .unwrap();
    let token = ("authorization", "Bearer person");
    let token = place
        .admit("GET /api/hosts", &[HERE, token])
        .unwrap()
        .unwrap();
    let mut changed = place.auth.changes();
    assert!(place.auth.holds(&session, true, now) && place.auth.holds(&token, true, now));
    std::fs::write(place._folder.path().join("users"), "").unwrap();
    place.auth.credentials.reload().unwrap();
    changed.next().await;
    assert!(!place.auth.holds(&session, true, now) && !place.auth.holds(&token, true, now));

    let place = Place::with_users();
    let cookie = place.sign_in();
    let session = place
        .admit("GET /api/hosts", &[HERE, ("cookie", &cookie)])
        .unwrap()
        .unwrap();
    let mut changed = place.auth.changes();
    place.auth.sign_out(&session, &HeaderMap::new());
    changed.next().await;
    assert!(!place.auth.holds(&session, true, now));
}

#[test]
fn an_agent_is_a_host_also_where_every_visitor_is_an_admin() {
    let mut place = Place::open();
    let agents = place._folder.path().join("agents");
    std::fs::write(&agents, format!("h1 {}\n", SecretHash::of("machine"))).unwrap();
    place.auth.credentials = Credentials::load(Some(&agents), None).unwrap();
    let token = ("authorization", "Bearer machine");
    let found = place.admit("GET /ws/agent", &[HERE, token]).unwrap();
    assert_eq!(found, None, "it is no user");
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, token.1.parse().unwrap());
    for path in ["/ws/agent", "/api/me"] {
        let asked = Asked {
            method: &Method::GET,
            path,
            access: routes::access(&Method::GET, path),
            headers: &headers,
            peer: None,
        };
        let visitor = Identity::open();
        let who = place.auth.who(&asked, Some(&visitor), ClientAddress(None));
        assert_eq!(who, Some(Who::Host(HostId::new("h1").unwrap())));
    }
    let found = place.admit("GET /api/me", &[HERE]).unwrap();
    assert_eq!(found, Some(Identity::open()));
}
