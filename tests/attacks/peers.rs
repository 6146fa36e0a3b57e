//! Each kind of peer takes all it can for a while, and nobody else notices: somebody else's run goes on, somebody
//! else signs in, and neither memory, files, journal nor audit log grow without bound.

use crate::besieger::Besieger;
use crate::common::Dashboard;
use crate::crowd::frame;
use crate::frames::messages;
use crate::siege::{Arrival, HOSTS, OLD, World, host};
use crate::support::{RUN, output};
use crate::tally::{CLOSED, HEARD, HELD_UP, WRITTEN};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What a dashboard says to a frame that it cannot read.
const MALFORMED: u16 = 4400;

fn login(user: &str, password: &str) -> String {
    json!({"user": user, "password": password}).to_string()
}

/// Guesses passwords from all addresses of a network: as many are looked at as may be, and everybody else who guesses
/// there waits.
fn guesses(world: &mut World, network: &'static str) {
    for number in 0..4 {
        let mut count = number;
        world.attack("", "", move |peer| {
            count += 4;
            peer.address = format!("{network}.{}", 1 + count % 100);
            let users = ["ada".to_owned(), "no/name".to_owned()].into_iter();
            let users = users.chain((0..4).map(|n| format!("nobody{count}-{n}")));
            let bodies = users.map(|user| login(&user, "guess"));
            peer.salvo("guess", "POST", "/api/login", bodies);
        });
    }
}

#[test]
fn a_stranger_who_takes_all_they_can_is_noticed_by_nobody() {
    let arrivals = [
        ("guess", 401, 40),
        ("guess", 429, 40),
        ("request", 401, 500),
        ("request", 429, 100),
        ("half a guess", HELD_UP, 10),
        ("half a guess", 429, 10),
        ("page", 200, 50),
        ("silence", HEARD, 150),
        ("silence", CLOSED, 1),
        ("agent", 401, 10),
        ("browser", 401, 10),
    ];
    let used = World::start().nobody_else_notices("a stranger", &arrivals, |world| {
        guesses(world, "192.0.2");
        guesses(world, "203.0.113");
        world.attack("", "192.0.2.200", |peer| {
            peer.volley("request", "DELETE", "/api/sessions", b"", 500);
            peer.volley("request", "POST", "/api/commands", b"{}", 500);
        });
        world.attack("", "192.0.2.201", |peer| {
            peer.begin("half a guess", "/api/login");
        });
        world.attack("", "192.0.2.202", |peer| peer.leave("page", "/"));
        world.attack("", "", |peer| peer.linger("silence", [127, 0, 0, 2]));
        // It is no token of a host, and no enrolment secret.
        world.attack("Authorization: Bearer guess\r\n", "192.0.2.203", |peer| {
            peer.websocket("agent", "/ws/agent");
            peer.websocket("browser", "/ws/browser");
        });
    });
    assert!(used.password_checks >= 40, "{}", used.password_checks);
    assert!(used.audit > 50_000, "{} bytes", used.audit);
}

/// Nearly as many pages as a user may have open.
const MANY_PAGES: usize = 190;

/// What whoever may look at all hosts can do with a token, and what shows that it arrives: dear searches, answers that
/// nobody takes, and pages.
const READING: [Arrival; 10] = [
    ("search", 200, 1),
    ("search", 503, 1),
    ("unread", 200, 40),
    ("unread", 429, 10),
    ("page", 101, MANY_PAGES as u64),
    ("page", 429, 1),
    ("page", WRITTEN, 8),
    ("subscriber", 101, 2),
    ("subscriber", HEARD, 1_000),
    ("subscriber", HELD_UP, 1),
];

/// Slow for lines of many `x`: its automaton has too many states to be remembered.
const SLOW: &str = "(%3F:%5Bx%C3%A9%5D%7B0,500%7D.%3F)%7B3%7Dy";

/// Searches a long log, again and again, and reads it to its end meanwhile.
fn read_long(world: &mut World, bearer: &'static str) {
    let old = format!("/api/hosts/h2/runs/{OLD}");
    world.attack(bearer, "192.0.2.68", move |peer| {
        for (name, query) in [
            ("quick search", "q=nothing"),
            ("slow search", &format!("regex=1&q={SLOW}")),
        ] {
            peer.ask(name, "GET", &format!("{old}/search?{query}"), b"");
        }
    });
    for (name, format) in [("text", "txt"), ("JSON", "json")] {
        let path = format!("/api/hosts/h2/logs/download?format={format}&run={OLD}");
        world.attack(bearer, "192.0.2.68", move |peer| {
            peer.ask(name, "GET", &path, b"");
        });
    }
}

/// Two users, as one who takes no answers may ask for no others.
fn read_all(world: &mut World, bearer: &'static str, other: &'static str) {
    let dear = "%5Cp%7BAny%7D".repeat(50);
    let search = format!("/api/hosts/h2/runs/{RUN}/search?regex=1&q={dear}");
    world.attack(bearer, "192.0.2.66", move |peer| {
        peer.salvo("search", "GET", &search, [b""; 24].iter());
    });
    for path in [
        format!("/api/hosts/h2/runs/{OLD}/lines?limit=10000"),
        format!("/api/hosts/h2/logs/download?run={OLD}"),
    ] {
        world.attack(other, "192.0.2.66", move |peer| peer.leave("unread", &path));
    }
    // As many pages as there may be, and then a message in each that is as long as may be and means nothing.
    let long = messages(&[json!({"type": "unknown", "text": "x".repeat(1_000_000)})]);
    let mut pages = Vec::new();
    world.attack(bearer, "192.0.2.66", move |peer| {
        if pages.len() < MANY_PAGES || peer.tally.of("page", 429) == 0 {
            pages.extend(peer.websocket("page", "/ws/browser"));
        } else {
            pages.retain_mut(|page| peer.push(page, &long));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    for _ in 0..2 {
        world.attack(bearer, "192.0.2.66", subscribe_all);
    }
}

/// Subscribes to all there is, as often as one may and in as many ways, in frames that are taken.
fn subscribe_all(peer: &mut Besieger) {
    let Some(mut page) = peer.websocket("subscriber", "/ws/browser") else {
        return peer.rest();
    };
    let hosts: Vec<String> = (0..100).map(|n| host(1 + n % HOSTS)).collect();
    let one = |n: usize| {
        let sub = n.to_string();
        match n % 6 {
            0 => json!({"type": "subscribe", "sub": sub, "host_id": "h2", "run_id": RUN}),
            1 => json!({"type": "subscribe", "sub": sub, "host_id": "h2", "run_id": OLD}),
            2 => json!({"type": "subscribe", "sub": sub, "host_id": "h2", "from": -1_000}),
            3 => json!({"type": "subscribe", "sub": sub, "host_id": "h1", "run_id": OLD}),
            4 => json!({"type": "watch_metrics", "hosts": hosts}),
            _ => json!({"type": "unknown", "sub": sub}),
        }
    };
    let many: Vec<Value> = (0..1_800).map(one).collect();
    let many = messages(&many);
    while peer.tell(&mut page, &many) {}
}

/// Signs in with the right password, again and again and several times at once.
fn sign_in_all(world: &mut World, user: &'static str) {
    for _ in 0..2 {
        world.attack("", "192.0.2.90", move |peer| {
            let bodies = (0..4).map(|_| login(user, "secret"));
            peer.salvo("sign-in", "POST", "/api/login", bodies);
        });
    }
}

#[test]
fn a_viewer_who_takes_all_they_can_is_noticed_by_nobody() {
    let own = [
        ("question", 200, 1_000),
        ("session", 204, 3),
        ("session ended", 200, 3),
        ("command", 403, 150),
        ("sign-in", 204, 8),
        ("sign-in", 429, 8),
        ("quick search", 200, 1),
        ("text", 200, 4),
        ("JSON", 200, 4),
    ];
    let arrivals = [&READING[..], &own[..]].concat();
    let world = World::start();
    let (tally, began) = (world.tally.clone(), Instant::now());
    let used = world.nobody_else_notices("a viewer", &arrivals, |world| {
        read_all(
            world,
            "Authorization: Bearer vera\r\n",
            "Authorization: Bearer vesna\r\n",
        );
        read_long(world, "Authorization: Bearer vlad\r\n");
        sign_in_all(world, "victor");
        let walter = "Authorization: Bearer walter\r\n";
        // Both of these are written to the database and to the audit log.
        world.attack("", "192.0.2.91", |peer| {
            if let Some(cookies) = peer.sign_in("session", &login("victor", "secret")) {
                peer.headers = format!("Cookie: {cookies}\r\n");
                peer.ask("session ended", "POST", "/api/logout/all", b"");
                peer.headers.clear();
            }
        });
        world.attack(walter, "192.0.2.67", |peer| {
            let command = br#"{"command":"switch"}"#;
            peer.volley("command", "POST", "/api/hosts/h1/command", command, 100);
        });
        for _ in 0..2 {
            world.attack(walter, "192.0.2.67", |peer| {
                peer.volley("question", "GET", "/api/me", b"", 1_000);
            });
        }
    });
    assert_eq!(tally.of("subscriber", MALFORMED), 0);
    assert_eq!(tally.of("slow search", 400), 0);
    assert!(used.audit > 20_000, "{} bytes", used.audit);
    // Whoever asks more often than they may is told to wait; a slow machine does not get so far.
    let answered = tally.of("question", 200) + tally.of("command", 403);
    let may = 3_000.0 + 200.0 * began.elapsed().as_secs_f64();
    let is_refused = tally.of("question", 429) > 0;
    assert!(is_refused || answered as f64 <= may, "{answered} of {may}");
}

#[test]
fn an_operator_who_takes_all_they_can_is_noticed_by_nobody() {
    let own = [
        ("bulk", 207, 20),
        ("large bulk", 207, 2),
        ("large bulk", 429, 1),
        ("command", 202, 1),
        ("command", 409, 10),
        ("sign-in", 204, 8),
        ("sign-in", 429, 8),
        ("quick search", 200, 1),
        ("text", 200, 4),
        ("JSON", 200, 4),
    ];
    let arrivals = [&READING[..], &own[..]].concat();
    let world = World::start();
    let tally = world.tally.clone();
    let used = world.nobody_else_notices("an operator", &arrivals, |world| {
        let otto = "Authorization: Bearer otto\r\n";
        let oscar = "Authorization: Bearer oscar\r\n";
        read_all(world, otto, "Authorization: Bearer oona\r\n");
        read_long(world, "Authorization: Bearer olaf\r\n");
        sign_in_all(world, "olga");
        let bulk = |hosts: &[String], command: &str| {
            json!({"hosts": hosts, "command": command}).to_string()
        };
        // All hosts but the one whose run goes on.
        let all: Vec<String> = (1..=HOSTS).filter(|n| *n != 2).map(host).collect();
        let (switch, stop) = (bulk(&all, "switch"), bulk(&all, "stop"));
        world.attack(oscar, "192.0.2.66", move |peer| {
            peer.ask("bulk", "POST", "/api/commands", switch.as_bytes());
            peer.ask("bulk", "POST", "/api/commands", stop.as_bytes());
        });
        // As many hosts as there may be, and names that cannot be hosts', as long as a body may be.
        let none: Vec<String> = (0..10_000).map(|n| format!("none-{n}")).collect();
        let bad: Vec<String> = (0..10_000)
            .map(|n| format!("{n}/{}", "x".repeat(90)))
            .collect();
        let (none, bad) = (bulk(&none, "switch"), bulk(&bad, "switch"));
        world.attack(
            "Authorization: Bearer orla\r\n",
            "192.0.2.66",
            move |peer| {
                let bodies = [&none, &bad].into_iter().cycle().take(12);
                peer.salvo("large bulk", "POST", "/api/commands", bodies);
            },
        );
        world.attack(oscar, "192.0.2.66", |peer| {
            for command in ["switch", "switch", "stop"] {
                let body = json!({"command": command}).to_string();
                peer.ask("command", "POST", "/api/hosts/h1/command", body.as_bytes());
            }
        });
    });
    assert_eq!(tally.of("subscriber", MALFORMED), 0);
    assert_eq!(tally.of("slow search", 400), 0);
    assert!(used.audit > 20_000, "{} bytes", used.audit);
}

/// Frames of a host, each of which is more than an honest one sends.
fn frames_of_host() -> [Vec<u8>; 5] {
    let text = "x".repeat(1_000);
    let offer = |n: usize| json!({"run_id": format!("{RUN}-{}", n + 2), "nonce": "n", "command": "switch", "status": "running"});
    let offers: Vec<Value> = (0..8_000).map(offer).collect();
    let register = json!({"type": "register", "protocol": 1, "host_id": "h1", "hostname": "n".repeat(10_000), "runs": offers});
    let stray = |n: usize| {
        output(
            &format!("2024-12-14T10-30-00-switch-{}", n + 2),
            0,
            &[&text],
        )
    };
    let beat =
        |n: usize| json!({"type": "heartbeat", "host_id": "h1", "revision": format!("{n} {text}")});
    let lost = |n: usize| {
        json!({"type": "status", "host_id": "h1", "run_id": format!("{RUN}-{}", n + 2), "command": "switch",
            "status": "error", "lines": 1_000_000_000, "message": text})
    };
    [
        frame(0x81, register.to_string().as_bytes()),
        messages(&(0..600).map(stray).collect::<Vec<_>>()),
        messages(&(0..600).map(beat).collect::<Vec<_>>()),
        messages(&(0..600).map(lost).collect::<Vec<_>>()),
        frame(0x81, &[b'['; 1_000_000]),
    ]
}

#[test]
fn a_host_that_takes_all_it_can_is_noticed_by_nobody() {
    let arrivals = [
        ("agent", 101, 2),
        ("agent", HEARD, 1),
        ("agent", HELD_UP, 1),
        ("other host", 4403, 1),
        ("connection", 429, 100),
        ("guess", 401, 8),
        ("guess", 429, 8),
        ("request", 401, 50),
    ];
    let used = World::start().nobody_else_notices("a host", &arrivals, |world| {
        let token = format!("Authorization: Bearer {}\r\n", Dashboard::token("h1"));
        for _ in 0..2 {
            let frames = frames_of_host();
            world.attack(&token, "192.0.2.66", move |peer| {
                let Some(mut agent) = peer.websocket("agent", "/ws/agent") else {
                    return peer.rest();
                };
                for frame in frames.iter().chain(&frames[1..4]).chain(&frames[1..4]) {
                    if !peer.tell(&mut agent, frame) {
                        return;
                    }
                }
                peer.listen(&mut agent, Duration::from_millis(100));
            });
        }
        // It says that it is another one.
        let other = json!({"type": "register", "protocol": 1, "host_id": "h2", "hostname": "h2", "runs": []});
        let other = frame(0x81, other.to_string().as_bytes());
        world.attack(&token, "192.0.2.66", move |peer| {
            if let Some(mut agent) = peer.websocket("other host", "/ws/agent")
                && peer.tell(&mut agent, &other)
            {
                peer.listen(&mut agent, Duration::from_secs(2));
            }
            let bodies = ["ada", "nobody"].map(|user| login(user, "guess"));
            peer.salvo("guess", "POST", "/api/login", bodies.into_iter());
            peer.volley("request", "POST", "/api/commands", b"{}", 25);
            // It comes more often than it may once all else has arrived.
            if peer.tally.of("agent", HELD_UP) > 0 && peer.tally.of("guess", 429) > 8 {
                peer.volley("connection", "GET", "/ws/agent", b"", 700);
            }
        });
    });
    assert!(used.audit > 20_000, "{} bytes", used.audit);
}
