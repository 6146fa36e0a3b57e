use super::*;

fn gate(connections: usize, connections_per_address: usize, strangers: usize) -> Gate {
    let proxy = "192.0.2.1".parse().unwrap();
    let limits = Limits {
        connections,
        connections_per_address,
        strangers,
        people: 1,
    };
    Gate::new(limits, &[proxy])
}

fn from(gate: &Gate, address: &str) -> Option<Connection> {
    gate.enter(address.parse().unwrap())
}

#[test]
fn strangers_take_no_place_from_those_who_are_known() {
    let gate = gate(10, 10, 2);
    let known = from(&gate, "127.0.0.1").unwrap();
    known.vouch_for_user("anna");
    known.vouch_for_user("anna");
    let (one, two) = (from(&gate, "127.0.0.1"), from(&gate, "127.0.0.1"));
    assert!(one.is_some() && two.is_some());
    assert!(from(&gate, "127.0.0.1").is_none());
    drop(one);
    assert!(from(&gate, "127.0.0.1").is_some());
}

#[test]
fn connections_of_a_trusted_proxy_are_no_strangers() {
    let gate = gate(10, 10, 1);
    let held: Vec<_> = (0..5).map(|_| from(&gate, "192.0.2.1")).collect();
    assert!(held.iter().all(Option::is_some));
    let _stranger = from(&gate, "198.51.100.1").unwrap();
    assert!(from(&gate, "198.51.100.1").is_none());
}

#[test]
fn an_address_has_its_limit_and_who_speaks_for_many_has_none() {
    let gate = gate(100, 2, 100);
    let held: Vec<_> = ["198.51.100.1"; 2].iter().map(|a| from(&gate, a)).collect();
    assert!(held.iter().all(Option::is_some));
    assert!(from(&gate, "198.51.100.1").is_none());
    assert!(from(&gate, "198.51.100.2").is_some());
    let many: Vec<_> = ["127.0.0.1", "::1", "192.0.2.1", "::ffff:192.0.2.1"]
        .iter()
        .flat_map(|address| (0..4).map(|_| from(&gate, address)))
        .collect();
    assert!(many.iter().all(Option::is_some));
    let network: Vec<_> = (0..3)
        .map(|n| from(&gate, &format!("2001:db8::{n}")))
        .collect();
    assert!(network[1].is_some() && network[2].is_none());
}

#[test]
fn in_all_there_are_no_more_than_there_may_be_and_none_is_forgotten() {
    let gate = gate(2, 10, 10);
    let one = from(&gate, "198.51.100.1").unwrap();
    let other = one.clone();
    let two = from(&gate, "198.51.100.2");
    two.as_ref().unwrap().vouch_for_user("anna");
    assert!(from(&gate, "198.51.100.3").is_none());
    drop(one);
    assert!(from(&gate, "198.51.100.3").is_none(), "it is still held");
    drop(other);
    drop(two);
    let counts = lock(&gate.counts);
    assert_eq!((counts.all, counts.strangers), (0, 0));
    assert!(counts.by_network.is_empty() && counts.by_known.is_empty());
}

fn host(n: usize) -> HostId {
    HostId::new(&format!("h{n}")).unwrap()
}

#[test]
fn who_is_known_takes_no_place_of_the_strangers_at_the_same_address() {
    let gate = gate(100, 2, 50);
    let mut held = Vec::new();
    for n in 0..10 {
        let connection = from(&gate, "198.51.100.1").expect("the others are known");
        connection.vouch_for_host(&host(n)).unwrap();
        held.push(connection);
    }
    held.extend((0..2).map(|_| from(&gate, "198.51.100.1").unwrap()));
    assert!(from(&gate, "198.51.100.1").is_none(), "two strangers");
    drop(held);
    let counts = lock(&gate.counts);
    assert_eq!((counts.all, counts.strangers, counts.hosts), (0, 0, 0));
    assert!(counts.by_network.is_empty() && counts.by_known.is_empty());
}

#[test]
fn whoever_is_kept_out_finds_the_key_that_helps() {
    let gate = gate(4, 1, 2);
    let full = |address: &str| {
        let standing = Standing::Stranger(Some(network(address.parse().unwrap())));
        let full = gate.full(&lock(&gate.counts), &standing);
        full.map(|full| full.to_string()).unwrap_or_default()
    };
    let one = from(&gate, "198.51.100.1");
    let text = full("198.51.100.1");
    assert!(
        text.contains("proxy.trusted") && text.contains("limits.connections_per_address"),
        "{text}"
    );
    let two = from(&gate, "198.51.100.2");
    let text = full("198.51.100.3");
    assert!(
        text.contains("proxy.trusted") && text.contains("limits.strangers"),
        "{text}"
    );
    for connection in [&one, &two] {
        connection.as_ref().unwrap().vouch_for_user("anna");
    }
    let held = [from(&gate, "198.51.100.1"), from(&gate, "198.51.100.2")];
    assert!(held.iter().all(Option::is_some));
    assert!(full("198.51.100.3").contains("limits.connections"));
}

#[test]
fn one_token_makes_no_crowd_known() {
    let gate = gate(1_000, 2, 50);
    let mut held = Vec::new();
    while let Some(connection) = from(&gate, "198.51.100.1") {
        connection.vouch_for_host(&host(1)).unwrap();
        held.push(connection);
    }
    assert_eq!(held.len(), MAX_OF_HOST + 2);
}

#[test]
fn hosts_take_no_place_that_is_kept_for_people_and_a_proxy_may_pass_on_both() {
    let gate = gate(10, 10, 4);
    let through_proxy = || from(&gate, "192.0.2.1").unwrap();
    let mut held = Vec::new();
    for n in 0..5 {
        let connection = through_proxy();
        connection.vouch_for_host(&host(n)).unwrap();
        held.push(connection);
    }
    let one_more = through_proxy();
    assert_eq!(one_more.vouch_for_host(&host(9)), Err(TooManyHosts(5)));
    one_more.vouch_for_user("anna");
    assert!(held[0].vouch_for_host(&host(0)).is_ok(), "it is in");
    held.pop();
    // A proxy's connection that was a person's may become a host's.
    assert!(one_more.vouch_for_host(&host(9)).is_ok());
    let counts = lock(&gate.counts);
    assert_eq!((counts.hosts, counts.by_known.len()), (5, 5));
}
