use super::*;
use crate::dashboard::auth::password::DUMMY;
use crate::dashboard::auth::{Role, Scope};

fn files(agents: &str, users: &str) -> (tempfile::TempDir, Result<Credentials, ConfigError>) {
    let folder = tempfile::tempdir().unwrap();
    let (a, u) = (folder.path().join("agents"), folder.path().join("users"));
    std::fs::write(&a, agents).unwrap();
    std::fs::write(&u, users).unwrap();
    let loaded = Credentials::load(Some(&a), Some(&u));
    (folder, loaded)
}

#[test]
fn a_token_speaks_for_its_holder_alone() {
    let (host, person) = (SecretHash::of("host"), SecretHash::of("person"));
    let users = format!("alice operator sha256:{person}\nalice admin {DUMMY}\n");
    let (_folder, credentials) = files(&format!("h1 {host}\n"), &users);
    let credentials = credentials.unwrap();
    assert_eq!(credentials.agent(host).unwrap().as_str(), "h1");
    assert_eq!(credentials.agent(person), None);
    let now = Timestamp::from_millis(0);
    assert_eq!(credentials.user(host, now), None);
    let user = credentials.user(person, now).unwrap();
    assert_eq!(user.role, Role::Operator);
    let password = credentials.password("alice").unwrap();
    assert_eq!(password.person.role, Role::Admin);
    assert_eq!(credentials.user(SecretHash::of(DUMMY), now), None);
    assert_eq!(credentials.password("bob"), None);
}

#[test]
fn one_hash_for_two_is_an_error_across_both_files() {
    let hash = SecretHash::of("x");
    let error = |agents: &str, users: &str| files(agents, users).1.unwrap_err().to_string();
    let two = format!("h1 {hash}\nh2 {hash}\n");
    assert!(error(&two, "").contains("agents:2: this hash already belongs to the host h1"));
    let across = error(
        &format!("h1 {hash}\n"),
        &format!("\na admin sha256:{hash}\n"),
    );
    assert!(
        across.contains("users:2: this hash already belongs to the host h1"),
        "{across}"
    );
    let roles = format!("a admin sha256:{hash}\na viewer sha256:{hash}\n");
    assert!(error("", &roles).contains("users:2: this hash already belongs to the admin a"));
    let people = format!("a admin {DUMMY}\nb admin {DUMMY}\n");
    assert!(error("", &people).contains("users:2: this hash already belongs to the admin a"));
}

#[test]
fn a_reload_forgets_what_is_gone_and_a_bad_one_changes_nothing() {
    let (old, new) = (SecretHash::of("old"), SecretHash::of("new"));
    let (folder, credentials) = files(&format!("h1 {old}\n"), "");
    let credentials = credentials.unwrap();
    let mut reloads = credentials.reloads();
    let agents = folder.path().join("agents");
    std::fs::write(&agents, "nonsense\n").unwrap();
    assert!(credentials.reload().is_err());
    assert!(!reloads.has_changed().unwrap());
    assert!(credentials.agent(old).is_some());
    std::fs::write(&agents, format!("h1 {new}\n")).unwrap();
    credentials.reload().unwrap();
    assert!(reloads.has_changed().unwrap());
    reloads.mark_unchanged();
    assert!(credentials.agent(old).is_none() && credentials.agent(new).is_some());
}

#[test]
fn without_a_users_file_everybody_is_an_admin() {
    assert!(Credentials::load(None, None).unwrap().is_open());
    assert!(!files("", "").1.unwrap().is_open());
}

fn issued(grant: Grant) -> Issued {
    let (expires, created) = (None, Timestamp::from_millis(0));
    let created_by = "alice".to_owned();
    Issued {
        grant,
        expires,
        created,
        created_by,
        maker: Some(Maker::Local),
        traded_for: None,
    }
}

#[test]
fn a_host_has_two_tokens_at_most_and_one_that_was_taken_back_counts_no_more() {
    let old = SecretHash::of("old");
    let (_folder, credentials) = files(&format!("h1 {old}\n"), "");
    let credentials = credentials.unwrap();
    let host = HostId::new("h1").unwrap();
    let agent = || {
        issued(Grant::Agent {
            host_id: host.clone(),
        })
    };
    let by = "alice".to_owned();
    let time = Timestamp::from_millis(1);
    let revoked = Revoked { time, by };
    credentials.issue(SecretHash::of("new"), agent()).unwrap();
    assert!(credentials.issue(SecretHash::of("third"), agent()).is_err());
    assert!(credentials.agent(old).is_some());
    assert!(credentials.revoke(old, revoked.clone()));
    assert!(!credentials.revoke(old, revoked.clone()));
    assert!(!credentials.revoke(SecretHash::of("nothing"), revoked));
    assert!(credentials.agent(old).is_none());
    credentials.reload().unwrap();
    assert!(
        credentials.agent(old).is_none(),
        "a reload does not bring it back"
    );
    credentials.issue(SecretHash::of("third"), agent()).unwrap();
    let views = credentials.tokens(&Uses::new(Timestamp::from_millis(0)));
    assert_eq!(
        views.iter().filter(|view| view.revoked.is_some()).count(),
        1
    );
    assert_eq!(views.len(), 3);
}

/// A secret for these hosts, and how one of them enrols with it at a time.
fn enrolment(
    credentials: &Credentials,
    hosts: &str,
    expires: Option<i64>,
) -> impl Fn(&str, i64) -> bool {
    let secret = SecretHash::of(&format!("secret for {hosts}"));
    let grant = Grant::Enrolment {
        hosts: Scope::parse(hosts).unwrap(),
    };
    let expires = expires.map(Timestamp::from_millis);
    let issued = Issued {
        expires,
        ..issued(grant)
    };
    credentials.issue(secret, issued).unwrap();
    move |host, now| {
        let id = HostId::new(host).unwrap();
        let token = SecretHash::of(&format!("{host} at {now}"));
        let enrolled = credentials.enrol(secret, &id, token, Timestamp::from_millis(now));
        assert!(credentials.agent(secret).is_none());
        let came = credentials.take_up(token, Timestamp::from_millis(now));
        assert_eq!(enrolled.is_ok(), came.is_some());
        enrolled.is_ok() && credentials.agent(token) == Some(id)
    }
}

#[test]
fn a_secret_enrols_one_host_of_its_pattern_once_and_in_time() {
    let (_folder, credentials) = files("", "");
    let credentials = credentials.unwrap();
    let enrol = enrolment(&credentials, "web-*", Some(10));
    assert!(!enrol("db-1", 1) && !enrol("web-1", 10));
    assert!(enrol("web-1", 9) && !enrol("web-1", 9) && !enrol("web-2", 9));
}

#[test]
fn a_secret_opens_no_second_door_to_a_host_that_is_here() {
    let (_folder, credentials) = files(&format!("web-1 {}\n", SecretHash::of("t")), "");
    let credentials = credentials.unwrap();
    let enrol = enrolment(&credentials, "web-*", None);
    assert!(!enrol("web-1", 1), "it has a token in the file");
    assert!(enrol("web-2", 1), "what was refused used nothing up");
    let again = enrolment(&credentials, "web-2", None);
    assert!(!again("web-2", 1), "it has a token by enrolment");
    let revoked = Revoked {
        time: Timestamp::from_millis(1),
        by: "anna".to_owned(),
    };
    assert!(credentials.revoke(SecretHash::of("web-2 at 1"), revoked));
    assert!(again("web-2", 2), "it has none any more");
}

#[test]
fn of_hosts_that_come_at_once_with_tokens_for_one_secret_one_is_let_in() {
    let (_folder, credentials) = files("", "");
    let credentials = credentials.unwrap();
    let secret = SecretHash::of("s");
    let hosts = Scope::EVERY;
    let grant = Grant::Enrolment { hosts };
    credentials.issue(secret, issued(grant)).unwrap();
    let now = Timestamp::from_millis;
    let token = |n: i64| SecretHash::of(&n.to_string());
    for n in 0..8 {
        let host = HostId::new(&format!("h{n}")).unwrap();
        let gone = credentials
            .enrol(secret, &host, token(n), now(n))
            .unwrap()
            .gone;
        let oldest: Vec<_> = (n >= 4).then(|| token(n - 4)).into_iter().collect();
        assert_eq!(gone, oldest, "there are four at most");
    }
    assert!(credentials.hosts().is_empty(), "none has come");
    let came = std::thread::scope(|scope| {
        let come = |n: i64| credentials.take_up(token(n), now(9));
        let all: Vec<_> = (0..8).map(|n| scope.spawn(move || come(n))).collect();
        let ended = all.into_iter().map(|thread| thread.join().unwrap());
        ended.flatten().count()
    });
    assert_eq!(came, 1);
    assert_eq!(credentials.hosts().len(), 1);
    let good = (0..8).filter(|n| credentials.agent(token(*n)).is_some());
    assert_eq!(good.count(), 1);
    assert!(!credentials.enrols(secret, now(9)));
}

#[test]
fn a_token_of_the_dashboards_own_expires() {
    let (_folder, credentials) = files("", "");
    let credentials = credentials.unwrap();
    let hash = SecretHash::of("t");
    let api = Grant::Api {
        name: "ci".to_owned(),
        role: Role::Operator,
        hosts: Scope::parse("web-*").unwrap(),
    };
    let expires = Some(Timestamp::from_millis(10));
    credentials
        .issue(
            hash,
            Issued {
                expires,
                ..issued(api)
            },
        )
        .unwrap();
    let user = |now| credentials.user(hash, Timestamp::from_millis(now));
    assert!(!user(9).unwrap().scope.is_every());
    assert!(user(10).is_none());
}
