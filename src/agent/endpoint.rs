//! Where the dashboard is.

use std::net::IpAddr;
use tokio_tungstenite::tungstenite::http::Uri;

/// The dashboard's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    configured: String,
    tls: bool,
    host: String,
    port: u16,
    url: String,
}

/// A text that is no address of a dashboard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidEndpoint {
    #[error("\"{0}\" is not a URL")]
    NoUrl(String),
    #[error("{0}:// is not the scheme of a WebSocket")]
    Scheme(String),
    #[error("it contains a user name, a query or a fragment, which have no meaning here")]
    Extra,
}

impl InvalidEndpoint {
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Scheme(_) => "begin it with wss://",
            Self::NoUrl(_) | Self::Extra => "write it as \"wss://fleet.example.org\"",
        }
    }
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let no_url = || InvalidEndpoint::NoUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| no_url())?;
        let scheme = uri.scheme_str().ok_or_else(no_url)?;
        let tls = match scheme {
            "wss" => true,
            "ws" => false,
            other => return Err(InvalidEndpoint::Scheme(other.to_owned())),
        };
        let authority = uri.authority().ok_or_else(no_url)?;
        if uri.query().is_some() || authority.as_str().contains('@') || text.contains('#') {
            return Err(InvalidEndpoint::Extra);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        if host.is_empty() {
            return Err(no_url());
        }
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/ws/agent").unwrap_or(path);
        Ok(Self {
            configured: text.to_owned(),
            tls,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            url: format!("{scheme}://{authority}{path}/ws/agent"),
        })
    }

    /// As the configuration has it.
    pub(super) fn configured(&self) -> &str {
        &self.configured
    }

    /// With the path of the agents.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A name, or an address without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether nothing leaves this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_path_is_added_once() {
        for (text, url) in [
            ("wss://a.example", "wss://a.example/ws/agent"),
            ("wss://a.example/", "wss://a.example/ws/agent"),
            ("wss://a.example/ws/agent", "wss://a.example/ws/agent"),
            ("ws://[::1]:8000/fleet/", "ws://[::1]:8000/fleet/ws/agent"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().url(), url);
        }
    }

    #[test]
    fn the_port_is_that_of_the_scheme_unless_given() {
        let port = |text| Endpoint::parse(text).unwrap().port();
        assert_eq!(
            (port("ws://a"), port("wss://a"), port("wss://a:9")),
            (80, 443, 9)
        );
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        for bad in [
            "",
            "fleet",
            "wss://",
            "http://a",
            "wss://u:p@a",
            "wss://a/?x=1",
            "wss://a/#x",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
