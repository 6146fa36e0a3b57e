//! An agent that reaches its dashboard through a proxy that ends TLS.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard};
use nix::sched::{CloneFlags, unshare};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// An authority of the test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: PathBuf,
}

impl Authority {
    /// Its name is `name`, and its certificate is written to `folder/name`.
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = folder.join(name);
        std::fs::write(&pem, params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// What a server needs that has a certificate of this authority.
    fn server(&self, params: &CertificateParams) -> ServerConfig {
        self.server_with(params, <[u8]>::to_vec)
    }

    /// The same, with the certificate as `change` makes it.
    fn server_with(
        &self,
        params: &CertificateParams,
        change: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let certificate = CertificateDer::from(change(certificate.der()));
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = any_supported_type(&key).unwrap();
        let shown = Shown(Arc::new(CertifiedKey::new(vec![certificate], key)));
        let provider = rustls::crypto::ring::default_provider();
        ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown))
    }
}

/// A certificate that a server shows whatever it is worth.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// One element of DER: its tag, and how many bytes its head and its content take.
fn element(der: &[u8]) -> (u8, usize, usize) {
    match der[1] {
        short @ 0..=0x7f => (der[0], 2, short.into()),
        long => {
            let digits = usize::from(long & 0x7f);
            let number = der[2..2 + digits].iter();
            let length = number.fold(0, |length, byte| length << 8 | usize::from(*byte));
            (der[0], 2 + digits, length)
        }
    }
}

/// A sequence of DER of this content.
fn sequence(content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head: &[u8] = match (high, low) {
        (0, 0..=0x7f) => &[0x30, low],
        (0, _) => &[0x30, 0x81, low],
        _ => &[0x30, 0x82, high, low],
    };
    [head, content].concat()
}

/// A certificate as version 1 has it: without a version and without extensions (RFC 5280, 4.1). Its signature is no
/// longer right.
fn as_version_1(certificate: &[u8]) -> Vec<u8> {
    const VERSION: u8 = 0xa0;
    const EXTENSIONS: u8 = 0xa3;
    let (_, head, _) = element(certificate);
    let whole = &certificate[head..];
    let (_, head, length) = element(whole);
    let (mut body, rest) = (&whole[head..head + length], &whole[head + length..]);
    let mut kept = Vec::new();
    while !body.is_empty() {
        let (tag, head, length) = element(body);
        let (this, behind) = body.split_at(head + length);
        if ![VERSION, EXTENSIONS].contains(&tag) {
            kept.extend_from_slice(this);
        }
        body = behind;
    }
    sequence(&[sequence(&kept), rest.to_vec()].concat())
}

/// A dashboard behind a proxy, and two authorities, of which one made the proxy's certificate.
struct Proxied {
    dashboard: Dashboard,
    ours: Authority,
    other: Authority,
    port: u16,
    folder: tempfile::TempDir,
    _runtime: Runtime,
}

impl Proxied {
    fn start(params: &CertificateParams) -> Self {
        Self::start_at(params, std::net::TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// The proxy shows the certificate as `change` makes it.
    fn start_with(params: &CertificateParams, change: fn(&[u8]) -> Vec<u8>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self::launch(listener, |authority| authority.server_with(params, change))
    }

    /// The proxy has this listener.
    fn start_at(params: &CertificateParams, listener: std::net::TcpListener) -> Self {
        Self::launch(listener, |authority| authority.server(params))
    }

    fn launch(
        listener: std::net::TcpListener,
        server: impl FnOnce(&Authority) -> ServerConfig,
    ) -> Self {
        let dashboard = Dashboard::start(&["h1"]);
        let folder = tempfile::tempdir().unwrap();
        let ours = Authority::new(folder.path(), "ours.pem");
        let other = Authority::new(folder.path(), "other.pem");
        let acceptor = TlsAcceptor::from(Arc::new(server(&ours)));
        let runtime = Runtime::new().unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let to = dashboard.port;
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            forward(listener, acceptor, to).await;
        });
        Self {
            dashboard,
            ours,
            other,
            port,
            folder,
            _runtime: runtime,
        }
    }

    /// An agent that comes to `wss://localhost`; of the authorities, the system trusts the other one.
    fn agent(&self, extra: Value) -> Agent {
        let mut config = extra;
        let default = json!(format!("wss://localhost:{}", self.port));
        config
            .as_object_mut()
            .unwrap()
            .entry("dashboard")
            .or_insert(default);
        let roots = vec![("SSL_CERT_FILE", self.other.pem.display().to_string())];
        Agent::launch_in(roots, self.port, "h1", &config)
    }
}

async fn forward(listener: TcpListener, acceptor: TlsAcceptor, to: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // An agent that does not trust us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut dashboard = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut dashboard).await;
        });
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// Waits until the agent said this twice: it goes on trying.
#[track_caller]
fn says_twice(agent: &mut Agent, words: &str) {
    agent.process.wait_to_say(words, 0);
    let said = agent.process.said();
    agent.process.wait_to_say(words, said);
}

#[test]
fn a_private_authority_in_ca_file_is_trusted_and_a_run_goes_through() {
    let proxied = Proxied::start(&named("localhost"));
    let switch = json!({"steps": [["seq", "1", "5000"]]});
    let mut agent =
        proxied.agent(json!({"ca_file": proxied.ours.pem, "commands": {"switch": switch}}));
    let url = format!("connected to wss://localhost:{}", proxied.port);
    agent.process.wait_to_say(&url, 0);
    let run = proxied.dashboard.command("h1", "switch");
    let run = proxied.dashboard.wait_done("h1", &run);
    assert_eq!(
        [&run["status"], &run["lines"]],
        [&json!("ok"), &json!(5000)]
    );
}

#[test]
fn a_root_of_the_system_is_trusted_beside_ca_file() {
    let proxied = Proxied::start(&named("localhost"));
    let roots = vec![("SSL_CERT_FILE", proxied.ours.pem.display().to_string())];
    let url = format!("wss://localhost:{}", proxied.port);
    let config = json!({"dashboard": url, "ca_file": proxied.other.pem});
    let mut agent = Agent::launch_in(roots, proxied.port, "h1", &config);
    agent.wait_for_reconnection(0);
}

#[test]
fn where_ca_file_alone_is_trusted_a_root_of_the_system_is_not() {
    let proxied = Proxied::start(&named("localhost"));
    let roots = || vec![("SSL_CERT_FILE", proxied.ours.pem.display().to_string())];
    let url = format!("wss://localhost:{}", proxied.port);
    let ca_file = proxied.folder.path().join("alone.pem");
    std::fs::copy(&proxied.other.pem, &ca_file).unwrap();
    let config = json!({"dashboard": url, "ca_file": ca_file, "system_roots": false});
    let mut agent = Agent::launch_in(roots(), proxied.port, "h1", &config);
    says_twice(
        &mut agent,
        "certificate is not trusted: no authority in ca_file",
    );
    assert_eq!(proxied.dashboard.host("h1")["online"], false);
    std::fs::copy(&proxied.ours.pem, &ca_file).unwrap();
    agent.wait_for_reconnection(0);
}

#[test]
fn an_authority_nobody_named_is_not_trusted_until_it_is() {
    let proxied = Proxied::start(&named("localhost"));
    let mut agent = proxied.agent(json!({}));
    says_twice(
        &mut agent,
        "certificate is not trusted: none of this system's roots signed it; set ca_file",
    );
    assert_eq!(proxied.dashboard.host("h1")["online"], false);

    // One that was made anew, and has the same name.
    let again = tempfile::tempdir().unwrap();
    let ca_file = Authority::new(again.path(), "ours.pem").pem;
    let mut agent = proxied.agent(json!({"ca_file": ca_file}));
    says_twice(&mut agent, "nor an authority in ca_file");
    std::fs::copy(&proxied.ours.pem, &ca_file).unwrap();
    agent.wait_for_reconnection(0);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let proxied = Proxied::start(&named("elsewhere.example.org"));
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(
        &mut agent,
        "certificate is not for localhost; correct `dashboard`",
    );
    assert_eq!(proxied.dashboard.host("h1")["online"], false);
}

#[test]
fn an_address_may_stand_in_the_certificate() {
    let proxied = Proxied::start(&named("127.0.0.1"));
    let url = format!("wss://127.0.0.1:{}", proxied.port);
    let mut agent = proxied.agent(json!({"dashboard": url, "ca_file": proxied.ours.pem}));
    agent.wait_for_reconnection(0);
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let mut params = named("localhost");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let proxied = Proxied::start(&params);
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(&mut agent, "not valid at the time of this host; renew it");
}

#[test]
fn a_certificate_without_names_says_what_to_have_made() {
    let mut params = CertificateParams::new([]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    let proxied = Proxied::start(&params);
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(
        &mut agent,
        "make a certificate with subjectAltName=DNS:localhost",
    );
}

#[test]
fn a_certificate_of_version_1_says_what_to_have_made() {
    let proxied = Proxied::start_with(&named("localhost"), as_version_1);
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(
        &mut agent,
        "has no extensions (X.509 version 1), so it names no host; make a certificate with subjectAltName=DNS:localhost",
    );
}

#[test]
fn a_certificate_that_is_not_made_for_servers_says_so() {
    let mut params = named("localhost");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let proxied = Proxied::start(&params);
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(&mut agent, "cannot be used: it is not made for servers");
}

#[test]
fn a_certificate_of_an_authority_is_no_servers() {
    let mut params = named("localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let proxied = Proxied::start(&params);
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(
        &mut agent,
        "is that of an authority and cannot be a server's",
    );
}

#[test]
fn a_certificate_for_other_names_says_which() {
    let proxied = Proxied::start(&named("elsewhere.example.org"));
    let mut agent = proxied.agent(json!({"ca_file": proxied.ours.pem}));
    says_twice(&mut agent, "elsewhere.example.org");
}

/// An agent of `h1` that says this twice while it has `token` in its file.
fn with_token(dashboard: &Dashboard, token: &str, words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, token).unwrap();
    let mut agent = Agent::launch(dashboard.port, "h1", &json!({"token_file": file}));
    agent.process.wait_to_say(words, 0);
    let line = agent.process.line_with(words);
    assert!(line.contains("a-file"), "{line}");
    assert_eq!(dashboard.host("h1")["online"], false);
}

#[test]
fn what_is_pasted_in_place_of_the_token_is_told_apart() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let token = Dashboard::token("h1");
    with_token(
        &dashboard,
        &format!("h1 {token}\n"),
        "contains two words, such as the host and its token",
    );
    with_token(&dashboard, &format!("sha256:{token}"), "contains a hash");
    with_token(
        &dashboard,
        &common::sha256_hex(&token),
        "this is the hash of a host's token",
    );
    with_token(
        &dashboard,
        &Dashboard::token("h2"),
        "two tokens may be swapped",
    );
    with_token(&dashboard, "a-wrong-token", "refused the token");
}

#[test]
fn addresses_that_refuse_are_named() {
    // On that port nobody listens.
    let mut agent = Agent::launch(1, "h1", &json!({}));
    let words = "cannot reach 127.0.0.1 port 1: 127.0.0.1: ";
    agent.process.wait_to_say(words, 0);
}

#[test]
fn a_dashboard_without_tls_is_told_from_one_that_is_not_there() {
    let dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours.pem");
    let config = json!({"dashboard": format!("wss://localhost:{}", dashboard.port), "ca_file": authority.pem});
    let mut agent = Agent::launch(dashboard.port, "h1", &config);
    says_twice(&mut agent, "does not speak TLS");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_named() {
    let proxied = Proxied::start(&named("localhost"));
    let ca_file = proxied.folder.path().join("ca.pem");
    std::fs::write(&ca_file, "no certificate").unwrap();
    let mut agent = proxied.agent(json!({"ca_file": ca_file}));
    says_twice(
        &mut agent,
        &format!("cannot use ca_file {}", ca_file.display()),
    );
    std::fs::remove_file(&ca_file).unwrap();
    says_twice(
        &mut agent,
        &format!("cannot use ca_file {}", ca_file.display()),
    );
}

/// A proxy that takes CONNECT to `fleet.example.org:443` from who names themselves, and leads to this port.
async fn connect_proxy(listener: TcpListener, to: u16) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert!(
                head.starts_with("CONNECT fleet.example.org:443 HTTP/1.1\r\n"),
                "{head}"
            );
            // "al:p@ss"
            if !head.contains("Proxy-Authorization: Basic YWw6cEBzcw==\r\n") {
                let _ = stream.write_all(b"HTTP/1.1 407 No\r\n\r\n").await;
                return;
            }
            let mut dashboard = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut dashboard).await;
        });
    }
}

#[test]
fn the_proxy_of_the_environment_is_used_unless_no_proxy_names_the_dashboard() {
    let proxied = Proxied::start(&named("fleet.example.org"));
    let runtime = &proxied._runtime;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let proxy = listener.local_addr().unwrap();
    runtime.spawn(connect_proxy(listener, proxied.port));
    let config = json!({"dashboard": "wss://fleet.example.org", "ca_file": proxied.ours.pem});
    let launch = |variables: &[(&'static str, String)]| {
        Agent::launch_in(variables.to_vec(), proxied.port, "h1", &config)
    };
    for name in ["https_proxy", "HTTPS_PROXY"] {
        let mut agent = launch(&[(name, format!("http://al:p%40ss@{proxy}"))]);
        agent.wait_for_reconnection(0);
    }
    let mut agent = launch(&[("HTTPS_PROXY", format!("http://al:secret@{proxy}"))]);
    says_twice(&mut agent, "requires a name and a password");
    assert_eq!(agent.process.times_said("secret"), 0);
    let mut agent = launch(&[
        ("https_proxy", format!("http://al:p%40ss@{proxy}")),
        ("no_proxy", "example.com, .example.org".into()),
    ]);
    // That name is nowhere.
    says_twice(&mut agent, "fleet.example.org");
    assert_eq!(agent.process.times_said("connected to "), 0);
}

/// Listens on one port of each of these addresses.
fn listen_on(addresses: [&str; 3]) -> [std::net::TcpListener; 3] {
    for _ in 0..100 {
        let first = std::net::TcpListener::bind((addresses[0], 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others = addresses[1..].iter();
        // Somebody else may have that port of another address.
        let others: Result<Vec<_>, _> = others
            .map(|address| std::net::TcpListener::bind((*address, port)))
            .collect();
        if let Ok(others) = others
            && let Ok([second, third]) = <[_; 2]>::try_from(others)
        {
            return [first, second, third];
        }
    }
    panic!("no port is free on all of {addresses:?}");
}

/// Does this where `/etc/hosts` is another file; `None` where this user may not mount.
fn with_hosts<T: Send>(hosts: &Path, work: impl FnOnce() -> T + Send) -> Option<T> {
    let mount = |arguments: &[&str]| {
        let done = Command::new("mount").args(arguments).output();
        done.is_ok_and(|done| done.status.success())
    };
    let hosts = hosts.to_str().unwrap();
    thread::scope(|scope| {
        // The mounts are seen by this thread, and by what it starts.
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).ok()?;
            let is_so = mount(&["--make-rprivate", "/"]) && mount(&["--bind", hosts, "/etc/hosts"]);
            is_so.then(work)
        });
        thread.join().unwrap()
    })
}

#[test]
fn addresses_that_take_a_connection_and_speak_no_tls_keep_nobody_from_the_good_one() {
    let [first, second, good] = listen_on(["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    for bad in [first, second] {
        // Each connection is hung up.
        thread::spawn(move || bad.incoming().for_each(drop));
    }
    let proxied = Proxied::start_at(&named("fleet.test"), good);
    let hosts = proxied.folder.path().join("hosts");
    let lines = "127.0.0.1 localhost fleet.test\n127.0.0.2 fleet.test\n127.0.0.3 fleet.test\n";
    std::fs::write(&hosts, lines).unwrap();
    let config = json!({
        "dashboard": format!("wss://fleet.test:{}", proxied.port),
        "ca_file": proxied.ours.pem,
    });
    let Some(mut agent) = with_hosts(&hosts, || proxied.agent(config)) else {
        return common::skip("names of one's own take the right to mount");
    };
    agent.wait_for_reconnection(0);
}
