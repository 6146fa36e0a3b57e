//! Who is at the other end of a connection, and whom a trusted proxy names.

use super::origin::single;
use crate::dashboard::config::ProxyConfig;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Over the network.
    Address(IpAddr),
    /// Over the socket in the data folder.
    Socket,
}

/// Where a request came from in the first place; none where that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// The network around one of these, which may be all of the same person.
pub(crate) fn wider(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

/// The 56 bits of IPv6 that providers give to a home; none of IPv4, where a home has one address.
pub(crate) fn home(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(IpAddr::from([a, b, c, d & 0xff00, 0, 0, 0, 0]))
        }
    }
}

/// The proxies whose words count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    trusted: Vec<IpAddr>,
    user_header: Option<HeaderName>,
    /// Whether somebody was told of a proxy that is not believed.
    warned: Arc<AtomicBool>,
    /// Whether somebody was told of a proxy whose clients have no address.
    warned_of_nameless: Arc<AtomicBool>,
}

impl Proxies {
    pub(super) fn new(config: &ProxyConfig) -> Self {
        Self {
            trusted: config.trusted.iter().map(IpAddr::to_canonical).collect(),
            user_header: config.user_header.clone(),
            warned: Arc::default(),
            warned_of_nameless: Arc::default(),
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.contains(&address)
    }

    /// The network of a client that has not shown who it is; none where many share the address, because it is
    /// that of a proxy or of this machine.
    pub(super) fn network(&self, ClientAddress(address): ClientAddress) -> Option<IpAddr> {
        address
            .filter(|address| !address.is_loopback() && !self.trusts(*address))
            .map(network)
    }

    /// The newest address in `X-Forwarded-For` that is no proxy of ours, if the request comes through one.
    pub(super) fn client(&self, peer: Option<Peer>, headers: &HeaderMap) -> ClientAddress {
        let Some(Peer::Address(address)) = peer else {
            return ClientAddress(None);
        };
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        if !lines.is_empty() && address.is_loopback() && !self.trusts(address) {
            self.warn_of_untrusted(address);
        }
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        let mut client = address;
        for hop in hops {
            if !self.trusts(client) {
                break;
            }
            let Some(before) = hop_address(hop) else {
                self.warn_of_nameless(client, hop);
                break;
            };
            client = before.to_canonical();
        }
        ClientAddress(Some(client))
    }

    /// Says once that a proxy on this machine is not believed: everybody behind it counts as one then.
    fn warn_of_untrusted(&self, address: IpAddr) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %address,
                "a proxy on this machine names its clients, but it is not trusted: all of them count as one address; set `proxy.trusted` in the configuration"
            );
        }
    }

    /// Says once that a proxy does not name its clients: everybody behind it counts as one then.
    fn warn_of_nameless(&self, proxy: IpAddr, hop: &str) {
        if !self.warned_of_nameless.swap(true, Ordering::Relaxed) {
            let hop: String = hop.chars().take(MAX_HOP_CHARS).collect();
            tracing::warn!(
                %proxy,
                ?hop,
                "a trusted proxy sends an `X-Forwarded-For` that is not an IP address: all of its clients count as one address; configure it to send the address of its client"
            );
        }
    }

    /// Whom the proxy says it is.
    ///
    /// # Errors
    /// When somebody says so who is no proxy of ours, or it is not clear whom.
    pub(super) fn user<'a>(
        &self,
        peer: Option<Peer>,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a str>, NotOurProxy> {
        let Some(name) = &self.user_header else {
            return Ok(None);
        };
        if !headers.contains_key(name) {
            return Ok(None);
        }
        match peer {
            Some(Peer::Address(address)) if self.trusts(address) => {
                single(headers, name).map(Some).ok_or(NotOurProxy)
            }
            _ => Err(NotOurProxy),
        }
    }
}

/// What of an unreadable hop is told.
const MAX_HOP_CHARS: usize = 64;

/// An address as proxies write it: alone, in brackets, or with the port of its connection.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"');
    let alone = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    alone.parse().ok().or_else(with_port)
}

/// Somebody named a user who may not.
#[derive(Debug)]
pub(super) struct NotOurProxy;

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(&ProxyConfig {
            trusted: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
            user_header: Some(HeaderName::from_static("x-remote-user")),
        })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn peer(address: &str) -> Option<Peer> {
        Some(Peer::Address(address.parse().unwrap()))
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        let client = |from: &str, lines: &[&str]| {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| ("x-forwarded-for", *line))
                .collect();
            let ClientAddress(address) = proxies().client(peer(from), &headers(&lines));
            address.unwrap().to_string()
        };
        assert_eq!(client("198.51.100.9", &["10.0.0.1"]), "198.51.100.9");
        assert_eq!(client("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(
            client("192.0.2.1", &["1.1.1.1, 10.0.0.1, 192.0.2.2"]),
            "10.0.0.1"
        );
        assert_eq!(client("192.0.2.1", &["1.1.1.1", "10.0.0.1"]), "10.0.0.1");
        assert_eq!(client("192.0.2.1", &["nonsense"]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["::ffff:10.0.0.1"]), "10.0.0.1");
    }

    #[test]
    fn proxies_may_write_a_port_and_brackets() {
        for (hop, address) in [
            ("198.51.100.7:50111", "198.51.100.7"),
            ("[2001:db8::1]:50111", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
        ] {
            assert_eq!(hop_address(hop), address.parse().ok(), "{hop}");
        }
        for hop in [
            "",
            "unknown",
            "_hidden",
            "198.51.100.7:",
            "198.51.100.7:port",
        ] {
            assert_eq!(hop_address(hop), None, "{hop}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_proxies_and_loopback_are_none() {
        let network = |text: &str| proxies().network(ClientAddress(Some(text.parse().unwrap())));
        let of = |text: &str| Some(text.parse().unwrap());
        assert_eq!(network("198.51.100.9"), of("198.51.100.9"));
        assert_eq!(network("2001:db8::1:2:3:4"), of("2001:db8::"));
        for many in ["127.0.0.1", "::1", "192.0.2.1"] {
            assert_eq!(network(many), None, "{many}");
        }
        assert_eq!(proxies().network(ClientAddress(None)), None);
    }

    #[test]
    fn only_a_trusted_proxy_names_the_user_and_only_one() {
        let one = headers(&[("x-remote-user", "alice")]);
        let two = headers(&[("x-remote-user", "alice"), ("x-remote-user", "bob")]);
        let none = headers(&[]);
        assert_eq!(
            proxies().user(peer("192.0.2.1"), &one).unwrap(),
            Some("alice")
        );
        assert!(proxies().user(peer("192.0.2.1"), &two).is_err());
        assert!(proxies().user(peer("198.51.100.9"), &one).is_err());
        assert!(proxies().user(None, &one).is_err());
        assert_eq!(proxies().user(peer("198.51.100.9"), &none).unwrap(), None);
        let unset = Proxies::default();
        assert_eq!(unset.user(peer("192.0.2.1"), &one).unwrap(), None);
    }
}
