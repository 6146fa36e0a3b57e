//! Every route that changes something × a key and a parameter that it does not know.

use crate::common::assert_problem;
use crate::place::{Place, Who, filled};
use switchyard::dashboard::routes::{Route, routes};

fn ask(place: &Place, route: &Route, more: &str, body: &str) -> crate::common::Answer {
    let path = filled(route.path) + more;
    let headers = place.headers(Who::Admin);
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    place
        .dashboard
        .request(route.method, &path, &headers, body.as_bytes())
}

#[test]
fn whatever_changes_something_refuses_keys_and_parameters_that_it_does_not_know_and_names_them() {
    let place = Place::start();
    let all = routes();
    let changing: Vec<&Route> = all.iter().filter(|route| route.changes()).collect();
    assert!(changing.len() >= 10, "{}", changing.len());
    for route in changing {
        let named = format!("{} {}", route.method, route.path);
        for (more, body) in [
            ("?nosuch=1", "{}"),
            ("?nosuch", ""),
            ("?%6eosuch=1", "{}"),
            ("", r#"{"nosuch": 1}"#),
            ("", r#"{"nosuch": null}"#),
        ] {
            let answer = ask(&place, route, more, body);
            assert_problem(&answer, 400);
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("nosuch"), "{named}{more} {body}: {detail}");
        }
        // Nor does it take something twice, of which it would use one.
        if let [param] = route.params {
            let twice = format!("?{param}=a&{param}=b");
            assert_problem(&ask(&place, route, &twice, "{}"), 400);
        }
    }
    let me = place.headers(Who::Admin);
    let me: Vec<_> = me
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let still = place.dashboard.request("GET", "/api/me?nosuch=1", &me, b"");
    assert_eq!(
        still.status, 200,
        "nobody was signed out, and what only looks takes more"
    );
}

#[test]
fn a_list_is_no_body_even_with_every_value_in_its_place() {
    let place = Place::start();
    let all = routes();
    for route in all.iter().filter(|route| route.changes()) {
        for body in [
            "[]",
            "[null]",
            r#"["secret"]"#,
            r#"["admin", "secret", null]"#,
            r#"["pull", null, null, null]"#,
            r#"[["h1"], "pull", null, null, null]"#,
            "null",
            "3",
        ] {
            assert_problem(&ask(&place, route, "", body), 400);
        }
    }
}

#[test]
fn a_misspelt_expiry_makes_no_token_and_a_misspelt_user_ends_no_session() {
    let place = Place::start();
    let count = |path: &str, list: &str| {
        let headers = place.headers(Who::Admin);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = place.dashboard.request("GET", path, &headers, b"").json();
        answer[list].as_array().unwrap().len()
    };
    let all = routes();
    let route = |method: &str, path: &str| {
        let mut found = all
            .iter()
            .filter(|route| (route.method, route.path) == (method, path));
        found.next().unwrap()
    };
    let before = (
        count("/api/tokens", "tokens"),
        count("/api/sessions", "sessions"),
    );
    let body = r#"{"kind": "api", "name": "ci", "role": "viewer", "hosts": "*", "expire": "2030-01-01T00:00:00Z", "password": "secret"}"#;
    assert_problem(&ask(&place, route("POST", "/api/tokens"), "", body), 400);
    let body = r#"{"password": "secret"}"#;
    assert_problem(
        &ask(&place, route("DELETE", "/api/sessions"), "?usr=vera", body),
        400,
    );
    for body in [
        r#"{"kind": "agent", "host_id": "h1", "hosts": "*", "password": "secret"}"#,
        r#"{"kind": "enrolment", "hosts": "*", "role": "admin", "password": "secret"}"#,
    ] {
        assert_problem(&ask(&place, route("POST", "/api/tokens"), "", body), 400);
    }
    let after = (
        count("/api/tokens", "tokens"),
        count("/api/sessions", "sessions"),
    );
    assert_eq!(before, after);
}
