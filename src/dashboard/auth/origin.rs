//! Which names the dashboard answers to, and which pages may speak to it.

use crate::dashboard::config::PublicUrl;
use axum::http::{HeaderMap, HeaderName, header};
use std::net::Ipv4Addr;

/// The rules that follow from `public_url`.
#[derive(Clone, Debug)]
pub(super) struct OriginRules {
    public: Option<PublicUrl>,
}

/// What tells that a proxy of somebody else's stands in front.
const FORWARDING: [&str; 2] = ["forwarded", "via"];

impl OriginRules {
    pub(super) fn new(public: Option<PublicUrl>) -> Self {
        Self { public }
    }

    /// Whether browsers reach us through TLS.
    pub(super) fn is_https(&self) -> bool {
        self.public.as_ref().is_some_and(PublicUrl::is_https)
    }

    /// The address of the page, where browsers keep no sign-in there: it is `http://` and not on this machine.
    pub(super) fn without_sign_in(&self) -> Option<String> {
        let public = self.public.as_ref()?;
        let keeps = public.is_https() || is_trusted_without_tls(name(public.authority()));
        (!keeps).then(|| public.origin())
    }

    /// Whether the request was sent to a name of ours, whatever the port.
    pub(super) fn accepts_host(&self, headers: &HeaderMap) -> bool {
        host(headers).is_some_and(|host| {
            let name = name(&host);
            is_loopback(name)
                || self
                    .public
                    .as_ref()
                    .is_some_and(|public| self::name(public.authority()) == name)
        })
    }

    /// Whether the request comes from a page of ours: that of `public_url`, or of the very host it was sent to.
    /// What the world sees through TLS is never ours without it.
    pub(super) fn accepts_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = single(headers, &header::ORIGIN) else {
            return false;
        };
        let ours = self
            .public
            .as_ref()
            .is_some_and(|public| public.origin() == origin);
        let own = origin.strip_prefix("http://");
        let host = host(headers);
        ours || (own.is_some()
            && self.accepts_host(headers)
            && !host.as_deref().is_some_and(|host| self.is_behind_tls(host))
            && own == host.as_deref().map(without_default_port))
    }

    fn is_behind_tls(&self, host: &str) -> bool {
        self.public
            .as_ref()
            .is_some_and(|public| public.is_https() && self::name(public.authority()) == name(host))
    }
}

/// The name of a cookie of ours. Browsers send a cookie to every port of its host: the port in the name keeps two
/// dashboards on one host apart.
pub(super) fn cookie_name(name: &str, headers: &HeaderMap) -> String {
    match port(headers) {
        Some(port) => format!("{name}-{port}"),
        None => name.to_owned(),
    }
}

/// Whether cookies may travel through TLS alone: always but where the page itself is on loopback.
pub(super) fn secure_cookies(headers: &HeaderMap) -> bool {
    let page = match single(headers, &header::ORIGIN) {
        Some(origin) => origin.split_once("://").map(|(_, page)| page.to_owned()),
        None => host(headers),
    };
    !page.is_some_and(|page| is_loopback(name(&page)))
}

/// The address of the page that sent this, where browsers keep no cookie that must travel through TLS.
pub(super) fn insecure_page(headers: &HeaderMap) -> Option<&str> {
    let origin = single(headers, &header::ORIGIN)?;
    let page = origin.strip_prefix("http://")?;
    (!is_trusted_without_tls(name(page))).then_some(origin)
}

/// Whether browsers take a page at this name for secure without TLS: it cannot have come over a network
/// (<https://www.w3.org/TR/secure-contexts/#is-origin-trustworthy>).
fn is_trusted_without_tls(name: &str) -> bool {
    let is_own = |address: Ipv4Addr| address.is_loopback();
    is_loopback(name) || name.ends_with(".localhost") || name.parse().is_ok_and(is_own)
}

/// Whether the request was sent to this machine by a name that only this machine has.
pub(super) fn is_at_loopback(headers: &HeaderMap) -> bool {
    host(headers).is_some_and(|host| is_loopback(name(&host)))
}

/// Whether some proxy passed the request on.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        FORWARDING.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-")
    })
}

fn is_loopback(name: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

/// Host and port that the request was sent to, in lower case; none where that is not clear.
fn host(headers: &HeaderMap) -> Option<String> {
    let host = single(headers, &header::HOST)?.to_ascii_lowercase();
    let port = host[name(&host).len()..].strip_prefix(':');
    let good = match port {
        None => host.len() == name(&host).len(),
        Some(port) => port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit()),
    };
    (good && !host.contains('@')).then_some(host)
}

/// The port that the request was sent to, where it is named.
pub(super) fn port(headers: &HeaderMap) -> Option<u16> {
    let host = host(headers)?;
    host[name(&host).len()..].strip_prefix(':')?.parse().ok()
}

/// The host without its port.
fn name(authority: &str) -> &str {
    let end = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket + 1,
        _ => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

fn without_default_port(authority: &str) -> &str {
    authority.strip_suffix(":80").unwrap_or(authority)
}

/// The text of a header that is there exactly once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    fn public(url: &str) -> OriginRules {
        OriginRules::new(Some(PublicUrl::parse(url).unwrap()))
    }

    #[test]
    fn only_our_own_names_are_answered_to() {
        let rules = public("https://fleet.example.org");
        for good in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:1",
            "[::1]:8000",
            "[::1]",
            "fleet.example.org",
            "Fleet.Example.org:8443",
        ] {
            assert!(rules.accepts_host(&headers(&[("host", good)])), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "fleet.example.org.evil.example",
            "localhost.",
            "127.0.0.1.evil.example",
            "localhost:8000:x",
            "localhost:+80",
            "x@localhost",
            "[::1]x",
            "::1",
            "127.0.0.2",
        ] {
            assert!(!rules.accepts_host(&headers(&[("host", bad)])), "{bad}");
        }
        assert!(!rules.accepts_host(&headers(&[])));
        let two = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert!(!rules.accepts_host(&two));
        let none = OriginRules::new(None);
        assert!(!none.accepts_host(&headers(&[("host", "fleet.example.org")])));
    }

    #[test]
    fn an_origin_is_that_of_the_public_url_or_of_the_request() {
        let rules = public("https://fleet.example.org");
        let asks =
            |host, origin| rules.accepts_origin(&headers(&[("host", host), ("origin", origin)]));
        assert!(asks("fleet.example.org", "https://fleet.example.org"));
        assert!(asks("127.0.0.1:8000", "http://127.0.0.1:8000"));
        assert!(asks("localhost:80", "http://localhost"));
        assert!(!asks("localhost:8000", "http://localhost:8001"));
        assert!(!asks("localhost:8000", "http://127.0.0.1:8000"));
        assert!(!asks("localhost:8000", "https://localhost:8000"));
        assert!(!asks("localhost:8000", "null"));
        assert!(!asks("fleet.example.org", "https://fleet.example.org:444"));
        assert!(!asks("fleet.example.org", "http://fleet.example.org"));
        assert!(!asks("evil.example", "http://evil.example"));
        assert!(!rules.accepts_origin(&headers(&[("host", "localhost")])));
    }

    #[test]
    fn what_a_proxy_adds_is_recognised() {
        for name in [
            "forwarded",
            "via",
            "x-forwarded-for",
            "X-Forwarded-Anything",
        ] {
            assert!(is_forwarded(&headers(&[(name, "x")])), "{name}");
        }
        assert!(!is_forwarded(&headers(&[("host", "localhost")])));
    }

    #[test]
    fn browsers_keep_no_sign_in_of_a_page_that_came_over_a_network_without_tls() {
        let asks = |origin| insecure_page(&headers(&[("origin", origin)])).is_some();
        for bad in [
            "http://fleet.example.org",
            "http://fleet:8000",
            "http://192.0.2.7:8000",
            "http://[2001:db8::7]:8000",
            "http://localhost.example.org",
        ] {
            assert!(asks(bad), "{bad}");
            let address = public(bad).without_sign_in();
            assert_eq!(address.as_deref(), Some(bad));
        }
        for good in [
            "https://fleet.example.org",
            "http://localhost:8000",
            "http://fleet.localhost",
            "http://127.0.0.1:8000",
            "http://127.0.0.2",
            "http://[::1]:8000",
        ] {
            assert!(!asks(good), "{good}");
            assert_eq!(public(good).without_sign_in(), None);
        }
        assert!(insecure_page(&headers(&[])).is_none());
        assert_eq!(OriginRules::new(None).without_sign_in(), None);
    }

    #[test]
    fn cookies_are_secure_except_on_loopback() {
        let asks = |host, origin| secure_cookies(&headers(&[("host", host), ("origin", origin)]));
        assert!(asks("fleet.example.org", "https://fleet.example.org"));
        assert!(asks("127.0.0.1:8000", "https://fleet.example.org"));
        assert!(!asks("localhost:8000", "http://localhost:8000"));
        assert!(!secure_cookies(&headers(&[("host", "[::1]:8000")])));
        assert!(secure_cookies(&headers(&[])));
    }
}
