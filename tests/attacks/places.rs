//! Who takes the places that there are: strangers, hosts and people.

use crate::common::{Dashboard, SOON, Socket, assert_problem, wait_for};
use crate::support::dial;
use std::io::{Read, Write};
use std::net::TcpStream;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("h{n}")).collect()
}

#[test]
fn hosts_take_no_place_that_is_kept_for_people_and_are_told_what_to_raise() {
    let names = names(50);
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let limits = "[limits]\nconnections = 80\nstrangers = 30\npeople = 10\n";
    let users = [("otto", "operator", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&hosts, limits, &users);
    let mut agents: Vec<Socket> = hosts[..40]
        .iter()
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    for host in &hosts[40..] {
        let bearer = format!("Bearer {}", Dashboard::token(host));
        let open = Socket::open(&dashboard, "/ws/agent", &[("Authorization", &bearer)]);
        assert_eq!(open.err(), Some(503), "{host}");
    }
    let bearer = format!("Bearer {}", Dashboard::token("h45"));
    let refused = dashboard.request("GET", "/ws/agent", &[("Authorization", &bearer)], b"");
    assert_problem(&refused, 503);
    let detail = refused.json()["detail"].to_string();
    assert!(detail.contains("limits.connections"), "{detail}");
    dashboard.process.line_with("host refused");
    // Strangers take what they may, and people come in all the same.
    let strangers: Vec<TcpStream> = (0..10).map(|_| dial(&dashboard)).collect();
    dashboard.log_in("otto", "secret");
    let pages: Vec<Socket> = (0..9).map(|_| Socket::browser(&dashboard)).collect();
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    drop((strangers, pages));
    // A host that goes makes room for another.
    drop(agents.pop());
    let bearer = format!("Bearer {}", Dashboard::token("h42"));
    wait_for("room for a host", SOON, || {
        Socket::open(&dashboard, "/ws/agent", &[("Authorization", &bearer)]).ok()
    });
}

#[test]
fn who_keeps_an_address_to_themselves_is_named_with_the_keys_that_help() {
    let dashboard = Dashboard::start_with(&["h1"], "[limits]\nstrangers = 5\n", &[]);
    let _strangers: Vec<TcpStream> = (0..8).map(|_| dial(&dashboard)).collect();
    let line = dashboard.process.line_with("too many connections");
    for key in ["proxy.trusted", "limits.strangers", "5 connections"] {
        assert!(line.contains(key), "{line}");
    }
}

#[test]
fn without_users_agents_are_counted_as_hosts_and_not_as_the_visitor() {
    let names = names(50);
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&hosts);
    // The visitor asks for twice as much as one user may, in one piece.
    let ask = "GET /api/me HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5_999);
    let last = "GET /api/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stream = dial(&dashboard);
    let mut asking = stream.try_clone().unwrap();
    let asker = std::thread::spawn(move || asking.write_all((ask + last).as_bytes()));
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    asker.join().unwrap().unwrap();
    let answers = String::from_utf8_lossy(&answers);
    assert!(
        answers.contains("HTTP/1.1 429"),
        "the visitor has nothing left"
    );
    for host in &hosts {
        // It must be let in at once.
        Socket::unregistered_agent(&dashboard, host);
    }
}
