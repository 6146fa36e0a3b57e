//! The way to the dashboard through a proxy of the environment: `https_proxy` and `no_proxy`, by CONNECT (RFC 9110,
//! section 9.3.6). The names are read in lower case first, then in upper case, as curl reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

/// Most bytes of an answer to CONNECT that are read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// The port of a proxy whose address names none.
const DEFAULT_PORT: u16 = 80;

/// A proxy that takes CONNECT.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HttpProxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The variable of the environment that names it.
    pub(super) variable: String,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

/// Why the proxy is of no use. The address of a proxy may hold a password, so it is never told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error(
        "{0} is not the address of an HTTP proxy; write it as http://proxy.example.org:3128, or remove it from the agent's environment"
    )]
    Address(String),
    #[error(
        "the proxy {proxy} requires a name and a password; write them in {variable} as http://NAME:PASSWORD@HOST:PORT"
    )]
    Unauthorized { proxy: String, variable: String },
    #[error(
        "the proxy {proxy} answered {status} to CONNECT {target}; allow it on the proxy, or add the dashboard to no_proxy"
    )]
    Refused {
        proxy: String,
        target: String,
        status: u16,
    },
    #[error("the proxy {0} did not answer CONNECT with HTTP; check that it is an HTTP proxy")]
    NoAnswer(String),
    #[error("the connection to the proxy {proxy} broke: {source}")]
    Broken { proxy: String, source: io::Error },
}

impl HttpProxy {
    /// The proxy through which the environment says that `host` is to be reached; none where directly.
    ///
    /// # Errors
    /// When the address of the proxy cannot be read.
    pub(super) fn of_environment(host: &str, port: u16) -> Result<Option<Self>, ProxyError> {
        Self::of_variables(host, port, |name| std::env::var(name).ok())
    }

    /// The same of any variables.
    fn of_variables(
        host: &str,
        port: u16,
        value: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ProxyError> {
        let variable = |name: &str| {
            let names = [name.to_owned(), name.to_uppercase()];
            names.into_iter().find_map(|name| {
                let value = value(&name)?.trim().to_owned();
                (!value.is_empty()).then_some((name, value))
            })
        };
        // `all_proxy` is for every protocol and often names a SOCKS proxy, which is for others.
        let of_all = || variable("all_proxy").filter(|(_, address)| is_http(address));
        let Some((name, address)) = variable("https_proxy").or_else(of_all) else {
            return Ok(None);
        };
        let no_proxy = variable("no_proxy").map_or_else(String::new, |(_, value)| value);
        if is_excepted(host, port, &no_proxy) {
            return Ok(None);
        }
        Self::parse(&name, &address).map(Some)
    }

    /// Reads `http://NAME:PASSWORD@HOST:PORT` of a variable; only the host is needed.
    fn parse(variable: &str, address: &str) -> Result<Self, ProxyError> {
        let invalid = || ProxyError::Address(variable.to_owned());
        let full = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let uri: Uri = full.parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        if !is_http(&full) || authority.host().is_empty() {
            return Err(invalid());
        }
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let authorization = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let pair = [&decoded(name)[..], b":", &decoded(password)].concat();
            format!("Basic {}", STANDARD.encode(pair))
        });
        let host = authority.host().trim_matches(['[', ']']);
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(DEFAULT_PORT),
            variable: variable.to_owned(),
            authorization,
        })
    }

    /// Asks the proxy at the other end of `stream` for a connection to a host.
    pub(super) async fn tunnel(
        &self,
        stream: &mut TcpStream,
        host: &str,
        port: u16,
    ) -> Result<(), ProxyError> {
        let proxy = format!("{}:{}", self.host, self.port);
        let target = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        let asked = async {
            stream.write_all(request.as_bytes()).await?;
            read_head(stream).await
        };
        let head = asked.await.map_err(|source| ProxyError::Broken {
            proxy: proxy.clone(),
            source,
        })?;
        match head.as_deref().and_then(status) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(ProxyError::Unauthorized {
                proxy,
                variable: self.variable.clone(),
            }),
            Some(status) => Err(ProxyError::Refused {
                proxy,
                target,
                status,
            }),
            None => Err(ProxyError::NoAnswer(proxy)),
        }
    }
}

/// Whether the address of a proxy is that of an HTTP proxy, which needs no scheme.
fn is_http(address: &str) -> bool {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case("http"))
}

/// The head of an answer; none where it is too long. Read byte by byte, as what follows it is the dashboard's.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while head.len() < MAX_ANSWER_BYTES {
        head.push(stream.read_u8().await?);
        if head.ends_with(b"\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// The status in `HTTP/1.1 200 OK`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}

/// Whether `no_proxy` names a host: itself, a domain that it is in, its address, a network, or `*`. This machine is
/// always reached directly.
fn is_excepted(host: &str, port: u16, no_proxy: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let mut entries = no_proxy.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" {
            return true;
        }
        if let Some(address) = address {
            let entry = entry.trim_matches(['[', ']']);
            return entry.parse() == Ok(address) || is_in_network(address, entry);
        }
        let (name, of_port) = entry.rsplit_once(':').unwrap_or((&entry, ""));
        let domain = name.trim_start_matches("*.").trim_start_matches('.');
        let is_in_domain = host
            .strip_suffix(domain)
            .is_some_and(|rest| rest.ends_with('.'));
        (host == domain || is_in_domain && !domain.is_empty())
            && (of_port.is_empty() || of_port.parse() == Ok(port))
    })
}

/// Whether an address is in a network such as `10.0.0.0/8`.
fn is_in_network(address: IpAddr, network: &str) -> bool {
    let Some((of, bits)) = network.split_once('/') else {
        return false;
    };
    let (Ok(of), Ok(bits)) = (of.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let (a, b, width) = match (address, of) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (a ^ b).checked_shr(width - bits).unwrap_or(0) == 0
}

/// Resolves `%40` and the like.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_proxy_may_have_a_scheme_a_port_and_a_password() {
        let parse = |address| HttpProxy::parse("https_proxy", address).ok();
        let plain = parse("proxy").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("proxy", 80));
        assert!(plain.authorization.is_none());
        let full = parse("http://al:p%40ss%3a@[2001:db8::1]:3128/").unwrap();
        assert_eq!((full.host.as_str(), full.port), ("2001:db8::1", 3128));
        let expected = format!("Basic {}", STANDARD.encode("al:p@ss:"));
        assert_eq!(full.authorization, Some(expected));
        for bad in ["socks5://proxy:1080", "https://proxy", "http://", "a b"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    fn of(variables: &[(&str, &str)]) -> Result<Option<HttpProxy>, ProxyError> {
        HttpProxy::of_variables("fleet.example.org", 443, |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn an_all_proxy_of_another_scheme_is_passed_over() {
        for variables in [
            &[("all_proxy", "socks5://127.0.0.1:1080")][..],
            &[("ALL_PROXY", "socks5h://127.0.0.1:1080")],
            &[("https_proxy", ""), ("all_proxy", "socks4://x")],
            &[],
        ] {
            assert!(
                of(variables).is_ok_and(|proxy| proxy.is_none()),
                "{variables:?}"
            );
        }
        let both = [
            ("all_proxy", "socks5://x"),
            ("HTTPS_PROXY", "http://p:3128"),
        ];
        let proxy = of(&both).ok().flatten().unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("p", 3128));
        let empty = [("https_proxy", " "), ("HTTPS_PROXY", "p:3128")];
        assert_eq!(of(&empty).ok().flatten().unwrap().variable, "HTTPS_PROXY");
    }

    #[test]
    fn the_variable_that_was_read_is_named() {
        for (variables, name) in [
            ([("https_proxy", "socks5://x")], "https_proxy is not"),
            ([("HTTPS_PROXY", "https://x")], "HTTPS_PROXY is not"),
            ([("all_proxy", "a b")], "all_proxy is not"),
        ] {
            let error = of(&variables).err().unwrap().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn no_proxy_names_hosts_domains_addresses_and_networks() {
        for (host, no_proxy) in [
            ("localhost", ""),
            ("127.0.0.2", ""),
            ("::1", ""),
            ("fleet.example.org", "a, fleet.example.org"),
            ("Fleet.Example.org", ".example.org"),
            ("fleet.example.org", "example.org"),
            ("fleet.example.org", "*.example.org"),
            ("fleet.example.org", "example.org:443"),
            ("fleet.example.org", "*"),
            ("10.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("2001:db8::7", "2001:db8::/32"),
            ("10.1.2.3", "0.0.0.0/0"),
        ] {
            assert!(is_excepted(host, 443, no_proxy), "{host} in {no_proxy}");
        }
        for (host, no_proxy) in [
            ("fleet.example.org", ""),
            ("fleet.example.org", "ample.org"),
            ("fleet.example.org", "example.org:8443"),
            ("fleet.example.org", "example.com,10.0.0.0/8"),
            ("11.1.2.3", "10.0.0.0/8,10.0.0.0/99,x/y"),
        ] {
            assert!(
                !is_excepted(host, 443, no_proxy),
                "{host} not in {no_proxy}"
            );
        }
    }

    #[test]
    fn the_status_of_an_answer_is_found() {
        assert_eq!(
            status(b"HTTP/1.1 200 Connection established\r\n\r\n"),
            Some(200)
        );
        assert_eq!(status(b"HTTP/1.0 407 \r\nX: y\r\n\r\n"), Some(407));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
    }
}
