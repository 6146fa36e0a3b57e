//! What the HTTP API answers.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Socket, assert_problem};
use serde_json::{Value, json};

#[test]
fn the_page_its_health_and_its_metrics_are_served() {
    let dashboard = Dashboard::start(&["h1"]);
    for path in [
        "/",
        "/hosts/h1",
        "/hosts/h1/runs/2025-12-14T10-30-00-switch",
    ] {
        let answer = dashboard.get(path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
    }
    assert_eq!(dashboard.fetch("/health"), json!({"status": "ok"}));
    assert!(
        dashboard
            .get("/metrics")
            .header("content-type")
            .starts_with("text/plain")
    );
}

#[test]
fn hosts_are_listed_with_what_they_registered() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let _agent = Agent::start(&dashboard, "h1", "true");
    let host = dashboard.wait_for_host("h1", "its registration", |host| host["online"] == true);
    assert!(
        host["commands"]
            .as_array()
            .unwrap()
            .contains(&json!("switch")),
        "{host}"
    );
    assert!(host["clock_skew_ms"].as_i64().unwrap().abs() < 5000);
    let hosts = dashboard.fetch("/api/hosts")["hosts"].clone();
    let ids: Vec<&Value> = hosts
        .as_array()
        .unwrap()
        .iter()
        .map(|host| &host["id"])
        .collect();
    assert_eq!(ids, ["h1", "h2"]);
    assert_eq!(
        [&hosts[1]["online"], &hosts[1]["run"]],
        [&json!(false), &Value::Null]
    );
}

#[test]
fn what_is_not_there_is_a_problem_with_404() {
    let dashboard = Dashboard::start(&["h1"]);
    for path in [
        "/api/hosts/nobody",
        "/api/hosts/h1/runs/2025-12-14T10-30-00-switch",
        "/api/hosts/h1/runs/2025-12-14T10-30-00-switch/lines",
        "/api/hosts/h1/logs/download?format=txt",
        "/api/nothing",
    ] {
        assert_problem(&dashboard.get(path), 404);
    }
    assert_problem(
        &dashboard.post("/api/hosts/nobody/command", &json!({"command": "switch"})),
        404,
    );
}

#[test]
fn a_bad_request_is_a_problem() {
    let dashboard = Dashboard::start(&["h1"]);
    let path = "/api/hosts/h1/command";
    assert_problem(
        &dashboard.post(path, &json!({"command": "Not a name!"})),
        422,
    );
    let origin = dashboard.origin();
    let json = [
        ("Origin", origin.as_str()),
        ("Content-Type", "application/json"),
    ];
    assert_problem(&dashboard.request("POST", path, &json, b"{"), 400);
    let text = [("Origin", origin.as_str()), ("Content-Type", "text/plain")];
    assert_problem(
        &dashboard.request("POST", path, &text, b"{\"command\":\"switch\"}"),
        415,
    );
    assert_problem(&dashboard.request("DELETE", path, &json, b""), 405);
    assert_eq!(
        dashboard.fetch("/api/hosts/h1/runs")["runs"],
        json!([]),
        "nothing was begun"
    );
}

#[test]
fn force_is_refused_where_nothing_can_be_forced_and_begins_nothing() {
    let dashboard = Dashboard::start(&["h1"]);
    let wish = json!({"command": "pull", "force": true});
    let answer = dashboard.post("/api/hosts/h1/command", &wish);
    assert_problem(&answer, 422);
    let said = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        said.contains("`force`") && said.contains("leave it out"),
        "{said}"
    );
    let bulk = json!({"hosts": ["h1"], "command": "switch", "force": true});
    assert_problem(&dashboard.post("/api/commands", &bulk), 422);
    assert_eq!(dashboard.fetch("/api/hosts/h1/runs")["runs"], json!([]));
    // Said and not wanted, it is what is the case anyhow.
    let wish = json!({"command": "pull", "force": false});
    assert_eq!(dashboard.post("/api/hosts/h1/command", &wish).status, 202);
    let stop = json!({"command": "stop", "force": true});
    assert_eq!(dashboard.post("/api/hosts/h1/command", &stop).status, 202);
}

#[test]
fn runs_come_newest_first_and_in_pages() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", "echo done");
    let mut ids: Vec<String> = (0..3)
        .map(|_| {
            let run = dashboard.command("h1", "switch");
            dashboard.wait_done("h1", &run);
            run
        })
        .collect();
    ids.reverse();
    let page = |query: &str| -> Vec<String> {
        let runs = dashboard.fetch(&format!("/api/hosts/h1/runs{query}"))["runs"].clone();
        runs.as_array()
            .unwrap()
            .iter()
            .map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(page(""), ids);
    assert_eq!(page("?limit=2"), ids[..2]);
    assert_eq!(page(&format!("?limit=2&before={}", ids[1])), ids[2..]);
    assert_eq!(dashboard.host("h1")["run"]["run_id"], *ids[0]);
}

#[test]
fn from_a_run_there_is_a_way_to_the_newer_ones() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", "echo done");
    let ids: Vec<String> = (0..6)
        .map(|_| {
            let run = dashboard.command("h1", "switch");
            dashboard.wait_done("h1", &run);
            run
        })
        .collect();
    let after = |run: &str, limit: usize| -> Vec<String> {
        let path = format!("/api/hosts/h1/runs?after={run}&limit={limit}");
        let answer = dashboard.fetch(&path);
        let runs = answer["runs"].as_array().unwrap().iter();
        runs.map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(after(&ids[2], 1), ids[3..4]);
    assert_eq!(after(&ids[0], 50), ids[1..], "the oldest of them first");
    assert_eq!(after(&ids[5], 50), [""; 0]);
    assert_eq!(
        after("2020-01-01T00-00-00-switch", 50),
        [""; 0],
        "no such run"
    );
    let both = format!("/api/hosts/h1/runs?after={}&before={}", ids[0], ids[2]);
    assert_problem(&dashboard.get(&both), 400);
}

#[test]
fn lines_come_in_pages_and_search_counts_them_all() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", &common::count_to(2500));
    let run = dashboard.command("h1", "switch");
    dashboard.wait_done("h1", &run);
    let get = |query: &str| dashboard.fetch(&format!("/api/hosts/h1/runs/{run}/{query}"));
    let page = get("lines");
    assert_eq!([&page["first"], &page["total"]], [0, 2500]);
    assert_eq!(page["lines"].as_array().unwrap().len(), 1000);
    let page = get("lines?from=2499&limit=10");
    assert_eq!(
        (
            &page["lines"][0]["line"],
            page["lines"].as_array().unwrap().len()
        ),
        (&json!("line 2499"), 1)
    );
    assert_eq!(get("lines?from=9999")["lines"], json!([]));

    let found = get("search?q=line%2024&limit=2");
    assert_eq!(
        (&found["total"], found["matches"].as_array().unwrap().len()),
        (&json!(111), 2)
    );
    assert_eq!(found["matches"][0]["seq"], 24);
    let found = get("search?q=%5Eline%20%5C%64%24&regex=true");
    assert_eq!(found["total"], 10);
    let bad = dashboard.get(&format!("/api/hosts/h1/runs/{run}/search?q=%28&regex=true"));
    assert_problem(&bad, 400);
}

#[test]
fn a_browser_hears_of_hosts_and_runs() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut browser = Socket::browser(&dashboard);
    let run = dashboard.command("h1", "switch");
    let queued = browser.wait_for("command_queued", |message| {
        message["type"] == "command_queued"
    });
    assert_eq!(
        [&queued["host_id"], &queued["run_id"], &queued["command"]],
        [&json!("h1"), &json!(run), &json!("switch")]
    );
    let _agent = Agent::start(&dashboard, "h1", "echo done");
    let (mut online, mut ended) = (false, false);
    while !(online && ended) {
        for message in browser.frame() {
            online |= message["type"] == "host_update" && message["host"]["online"] == true;
            ended |= message["type"] == "run_update" && message["run"]["status"] == "ok";
        }
    }
}

#[test]
fn a_subscription_begins_where_it_is_told_to() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", "seq 0 99");
    let run = dashboard.command("h1", "switch");
    dashboard.wait_done("h1", &run);
    let mut browser = Socket::browser(&dashboard);
    for (from, want) in [(0, 0), (98, 98), (-3, 97), (-1000, 0)] {
        browser.send(
            &json!({"type": "subscribe", "sub": "s", "host_id": "h1", "run_id": run, "from": from}),
        );
        let subscribed = browser.wait_for("subscribed", |message| message["type"] == "subscribed");
        assert_eq!(
            [
                &subscribed["sub"],
                &subscribed["from"],
                &subscribed["total"]
            ],
            [&json!("s"), &json!(want), &json!(100)]
        );
        let output = browser.wait_for("its lines", |message| message["type"] == "command_output");
        assert_eq!(
            (&output["seq"], &output["lines"][0]["line"]),
            (&json!(want), &json!(want.to_string()))
        );
        browser.send(&json!({"type": "unsubscribe", "sub": "s"}));
    }
    browser.send(&json!({"type": "subscribe", "sub": "x", "host_id": "nobody"}));
    let error = browser.wait_for("an error", |message| message["type"] == "error");
    assert_eq!(error["sub"], "x");
}

#[test]
fn a_browser_hears_a_tick_when_nothing_else_happens() {
    let dashboard = Dashboard::start(&["h1"]);
    let frame = Socket::browser(&dashboard).frame();
    assert_eq!((frame.len(), &frame[0]["type"]), (1, &json!("tick")));
}
