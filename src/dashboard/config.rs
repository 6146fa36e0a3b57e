//! What the dashboard is told by its file and its command line.

use crate::config_file::{self, ConfigError, ConfigSource, Remedies};
use axum::http::HeaderName;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Smallest size that the audit log may be limited to, in bytes.
const MIN_AUDIT_BYTES: u64 = 1 << 20;

/// What to do where a value has another type than its key, or a form that nobody can read.
const REMEDIES: Remedies = &[
    (
        "listen",
        "write an IP address and a port in quotes, as \"127.0.0.1:8000\" or \"[::1]:8000\"",
    ),
    (
        "proxy.trusted",
        "write IP addresses in a list, as [\"127.0.0.1\", \"::1\"]",
    ),
    (
        "retention.days",
        "write a number of days without quotes; 0 means no limit",
    ),
    (
        "retention.max_bytes",
        "write a number of bytes without quotes; 0 means no limit",
    ),
    ("sessions.*", "write seconds, at least 1, without quotes"),
    (
        "limits.people",
        "write a number of connections, 0 or more, without quotes",
    ),
    (
        "limits.*",
        "write a number of connections, at least 1, without quotes",
    ),
    (
        "audit.max_bytes",
        "write a number of bytes, at least 1048576, without quotes",
    ),
];

/// The dashboard's configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Holds logs and database.
    pub data_dir: PathBuf,
    /// The hosts and the hashes of their tokens; without it no agent may connect.
    pub agents_file: Option<PathBuf>,
    /// The people and the hashes of their passwords; without it every visitor is an admin.
    pub users_file: Option<PathBuf>,
    /// What the world sees in front of it.
    pub public_url: Option<PublicUrl>,
    /// How long logs are kept.
    pub retention: Retention,
    /// How long people stay signed in.
    pub sessions: SessionLimits,
    /// Whose words about others count.
    pub proxy: ProxyConfig,
    /// How much of everything there may be.
    pub limits: Limits,
    /// How large the audit log may be.
    pub audit: AuditLimits,
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionLimits {
    /// Without anything done, in seconds.
    pub idle: u64,
    /// In any case, in seconds.
    pub lifetime: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle: 12 * 3_600,
            lifetime: 7 * 24 * 3_600,
        }
    }
}

/// The proxies in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// What they say in `X-Forwarded-For` is believed.
    pub trusted: Vec<IpAddr>,
    /// Where they name the user, who is then signed in.
    pub user_header: Option<HeaderName>,
}

/// How many connections there may be. Beyond a limit a new one is closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// In all.
    pub connections: usize,
    /// Of those who have not shown who they are, from one address, or one IPv6 network of 64 bits. Loopback and trusted
    /// proxies speak for many, and have no such limit.
    pub connections_per_address: usize,
    /// Of those who have not shown who they are, in all.
    pub strangers: usize,
    /// Kept for people, beside those of strangers: hosts take all others.
    pub people: usize,
}

impl Limits {
    /// Most connections of hosts; at least half of all.
    pub(super) fn hosts(&self) -> usize {
        let kept = self.strangers.saturating_add(self.people);
        self.connections
            .saturating_sub(kept)
            .max(self.connections / 2)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8_192,
            connections_per_address: 256,
            strangers: 1_024,
            people: 512,
        }
    }
}

/// How large the audit log may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditLimits {
    /// All its files together, in bytes, at least 1 MiB; the oldest go first.
    pub max_bytes: u64,
}

impl Default for AuditLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 30 }
    }
}

/// How long logs are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// The oldest age of a run, in days; 0: no limit.
    #[serde(default)]
    pub days: u64,
    /// The largest size of all logs together on disk, in bytes; 0: no limit. Whole blocks count, and 1 KiB for what
    /// else a run takes. Beyond it the oldest of the host that takes most go, all but its newest.
    #[serde(default)]
    pub max_bytes: u64,
}

/// An origin: scheme and authority, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    https: bool,
    authority: String,
}

/// What the command line says in place of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    agents_file: Option<PathBuf>,
    users_file: Option<PathBuf>,
    public_url: Option<String>,
    #[serde(default)]
    retention: Retention,
    #[serde(default)]
    sessions: SessionLimits,
    #[serde(default)]
    proxy: ProxyTable,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    audit: AuditLimits,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProxyTable {
    trusted: Vec<IpAddr>,
    user_header: Option<String>,
}

impl Config {
    /// Reads `file`, or takes the defaults, and checks it. Opens no file that `file` names.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let (file, source) = match file {
            Some(path) => config_file::load::<File>(path, REMEDIES)?,
            None => (File::default(), ConfigSource::defaults()),
        };
        let config = Self {
            listen: overrides
                .listen
                .or(file.listen)
                .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 8000).into()),
            data_dir: overrides
                .data_dir
                .or(file.data_dir)
                .unwrap_or_else(|| "/var/lib/switchyard".into()),
            agents_file: file.agents_file,
            users_file: file.users_file,
            public_url: match file.public_url.as_deref().map(PublicUrl::parse) {
                None => None,
                Some(Ok(url)) => Some(url),
                Some(Err(problem)) => {
                    return Err(source.invalid(
                        "public_url",
                        problem,
                        "write it as \"https://fleet.example.org\"",
                    ));
                }
            },
            retention: file.retention,
            sessions: file.sessions,
            proxy: proxy(file.proxy, &source)?,
            limits: file.limits,
            audit: file.audit,
        };
        config.check(&source)?;
        Ok(config)
    }

    /// Without users everybody is an admin, which only this machine may be.
    fn check(&self, source: &ConfigSource) -> Result<(), ConfigError> {
        let positive = [
            (
                "sessions.idle",
                self.sessions.idle,
                "0 would end every session at once",
            ),
            (
                "sessions.lifetime",
                self.sessions.lifetime,
                "0 would end every session at once",
            ),
            (
                "limits.connections",
                self.limits.connections as u64,
                "0 would refuse every connection",
            ),
            (
                "limits.connections_per_address",
                self.limits.connections_per_address as u64,
                "0 would refuse every connection that does not come from this machine or a trusted proxy",
            ),
            (
                "limits.strangers",
                self.limits.strangers as u64,
                "0 would refuse every connection that does not come from a trusted proxy",
            ),
        ];
        if let Some((key, _, problem)) = positive.into_iter().find(|(_, value, _)| *value == 0) {
            return Err(source.invalid(key, problem, "give at least 1"));
        }
        if self.audit.max_bytes < MIN_AUDIT_BYTES {
            let problem = format!(
                "{} bytes are too few for an audit log",
                self.audit.max_bytes
            );
            let remedy = format!("give at least {MIN_AUDIT_BYTES}");
            return Err(source.invalid("audit.max_bytes", problem, remedy));
        }
        if self.users_file.is_some() {
            return Ok(());
        }
        const REMEDY: &str = "add `users_file = …` with the people who may sign in";
        if !self.listen.ip().to_canonical().is_loopback() {
            return Err(source.invalid(
                "listen",
                format!(
                    "{} is not a loopback address, and without users_file every visitor would be an admin",
                    self.listen
                ),
                format!("{REMEDY}, or listen on 127.0.0.1"),
            ));
        }
        if self.public_url.is_some() {
            return Err(source.invalid(
                "public_url",
                "it is set, but without users_file every visitor would be an admin",
                format!("{REMEDY}, or remove it"),
            ));
        }
        Ok(())
    }
}

fn proxy(table: ProxyTable, source: &ConfigSource) -> Result<ProxyConfig, ConfigError> {
    let user_header = match table.user_header {
        None => None,
        Some(name) => Some(name.parse().map_err(|_| {
            let problem = format!("{name:?} is not a valid header name");
            source.invalid(
                "proxy.user_header",
                problem,
                "write it as \"X-Remote-User\"",
            )
        })?),
    };
    if user_header.is_some() && table.trusted.is_empty() {
        return Err(source.invalid(
            "proxy.user_header",
            "it has no effect, because `proxy.trusted` is empty",
            "add `trusted = [\"ADDRESS\"]`, or remove it",
        ));
    }
    Ok(ProxyConfig {
        trusted: table.trusted,
        user_header,
    })
}

/// Refuses what no browser ever sends as the host of a page, so that nobody could sign in.
fn can_match(authority: &str) -> Result<(), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| {
        let number = port.parse::<u16>().unwrap_or(0);
        number > 0 && number.to_string() == port
    };
    if !port.is_none_or(is_port) {
        return Err("its port is not a number from 1 to 65535, without leading zeros".into());
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return match address.parse::<Ipv6Addr>() {
            Ok(parsed) if parsed.to_string() == address => Ok(()),
            Ok(parsed) => Err(format!(
                "browsers write this address as [{parsed}]: write it the same way"
            )),
            Err(_) => Err("there is no IPv6 address between its brackets".to_owned()),
        };
    }
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if host.ends_with('.') {
        return Err("its host name ends with a dot: leave it out".to_owned());
    }
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("its host name has characters other than letters, digits, '-' and '.': write an international name in its ASCII form, which begins with xn--".to_owned());
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    if is_number
        && !host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.to_string() == host)
    {
        return Err(
            "its host ends with a number, but is not an IPv4 address of four parts".to_owned(),
        );
    }
    Ok(())
}

impl PublicUrl {
    /// Reads `https://fleet.example.org` or `http://fleet.example.org:8080`, with at most a `/` behind it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let uri: axum::http::Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("it does not begin with https:// or http://".to_owned()),
        };
        let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
        if authority.is_empty() || authority.contains('@') {
            return Err("it must contain a host name, and no user name before it".to_owned());
        }
        if uri
            .path_and_query()
            .is_some_and(|rest| rest.as_str() != "/")
        {
            return Err(
                "it has a path, but the page is served at the root: remove the path".to_owned(),
            );
        }
        can_match(&authority.to_ascii_lowercase())?;
        let default_port = if https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default_port).unwrap_or(authority);
        Ok(Self {
            https,
            authority: authority.to_ascii_lowercase(),
        })
    }

    /// Whether browsers reach it through TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host and, unless it is the scheme's own, port; in lower case.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// As browsers write it in `Origin`.
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, overrides: Overrides) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), overrides).map_err(|error| {
            error
                .to_string()
                .replace(&path.display().to_string(), "x.toml")
        })
    }

    #[test]
    fn without_a_file_it_listens_on_loopback() {
        let config = Config::load(None, Overrides::default()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.data_dir, Path::new("/var/lib/switchyard"));
        assert_eq!(config.retention, Retention::default());
    }

    #[test]
    fn a_whole_file_is_read_and_the_command_line_goes_before_it() {
        let text = "listen = \"0.0.0.0:80\"\ndata_dir = \"/d\"\nagents_file = \"/a\"\nusers_file = \"/u\"\n\
                    public_url = \"https://Fleet.example.org:443/\"\n[retention]\ndays = 90\nmax_bytes = 1\n";
        let overrides = Overrides {
            listen: Some("[::1]:0".parse().unwrap()),
            data_dir: Some("/e".into()),
        };
        let config = load(text, overrides).unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:0");
        assert_eq!(config.data_dir, Path::new("/e"));
        assert_eq!(
            config.public_url.unwrap().origin(),
            "https://fleet.example.org"
        );
        assert_eq!(
            config.retention,
            Retention {
                days: 90,
                max_bytes: 1
            }
        );
    }

    #[test]
    fn without_users_nobody_but_this_machine_may_come_in() {
        let error = load("\nlisten = \"0.0.0.0:80\"\n", Overrides::default()).unwrap_err();
        assert!(
            error.starts_with("x.toml:2: listen: 0.0.0.0:80 is not a loopback address"),
            "{error}"
        );
        let error = load("public_url = \"http://x\"\n", Overrides::default()).unwrap_err();
        assert!(
            error.starts_with("x.toml:1: public_url: it is set"),
            "{error}"
        );
        let overridden = Overrides {
            listen: Some("192.0.2.1:80".parse().unwrap()),
            data_dir: None,
        };
        assert!(load("", overridden).is_err());
        assert!(load("listen = \"[::1]:80\"\n", Overrides::default()).is_ok());
    }

    #[test]
    fn a_public_url_has_scheme_and_authority_and_no_more() {
        for (url, origin) in [
            ("http://a:8080", "http://a:8080"),
            ("http://a:80/", "http://a"),
            ("https://192.0.2.7", "https://192.0.2.7"),
            (
                "https://My_Fleet-1.example.ORG:443",
                "https://my_fleet-1.example.org",
            ),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(PublicUrl::parse(url).unwrap().origin(), origin);
        }
        for bad in [
            "",
            "fleet",
            "ftp://a",
            "https://a/b",
            "https://a/?q",
            "https://u@a",
            "https://",
            "https://a.",
            "https://a..b",
            "https://a:0",
            "https://a:08443",
            "https://a:",
            "https://a:65536",
            "https://[::0001]",
            "https://[::1",
            "https://127.1",
            "https://0x7f.0.0.1",
            "https://1.2.3.4.5",
            "https://*.example.org",
            "https://%61.example.org",
            "https://bücher.example",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_lets_nobody_in_or_anybody_is_refused() {
        let load = |text: &str| load(text, Overrides::default());
        assert!(
            load("[limits]\nstrangers = 0\n")
                .unwrap_err()
                .starts_with("x.toml:2: limits.strangers: 0")
        );
        let error = load("[sessions]\nidle = 0\n").unwrap_err();
        assert!(error.starts_with("x.toml:2: sessions.idle: 0 would end every session"));
        let error = load("[audit]\nmax_bytes = 1000\n").unwrap_err();
        assert!(error.starts_with("x.toml:2: audit.max_bytes: 1000 bytes"));
        let error = load("[proxy]\nuser_header = \"X-User\"\n").unwrap_err();
        assert!(
            error.starts_with("x.toml:2: proxy.user_header: it has no effect"),
            "{error}"
        );
        assert!(load("[proxy]\nuser_header = \"x y\"\ntrusted = [\"::1\"]\n").is_err());
        let good = load("[proxy]\nuser_header = \"X-User\"\ntrusted = [\"::1\"]\n").unwrap();
        assert_eq!(good.proxy.user_header.unwrap().as_str(), "x-user");
    }
}
