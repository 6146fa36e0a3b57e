//! The address of a repository.

use core::net::IpAddr;

/// Schemes under which everybody on the way can read and change what is fetched.
const PLAINTEXT: [&str; 4] = ["http", "git", "ftp", "git+http"];

/// Schemes of which git asks for user and password itself, through credential helpers.
const WEB: [&str; 4] = ["http", "https", "ftp", "ftps"];

/// An address that git can fetch from, taken apart as far as we need.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// As the configuration has it, without what identifies the user.
    bare: String,
    scheme: Option<String>,
    host: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

/// A text that is no address of a repository.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Nothing, or what git would take for an option.
    #[error("this is not an address")]
    NoAddress,
    /// What no line of git's protocols can hold.
    #[error("it contains a line break or another control character")]
    Control,
}

impl Address {
    /// Reads an address: a URL, `user@host:path`, or a path.
    ///
    /// # Errors
    /// When git could not take it as an argument.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        if text.is_empty() || text.starts_with('-') {
            return Err(InvalidAddress::NoAddress);
        }
        if text.contains(char::is_control) {
            return Err(InvalidAddress::Control);
        }
        let plain = |bare: &str| Self {
            bare: bare.to_owned(),
            scheme: None,
            host: None,
            user: None,
            password: None,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(plain(text));
        };
        // `NAME::ADDRESS` names a program of git's that fetches; `http::…` is that of http.
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let (identity, server) = match authority.rsplit_once('@') {
            Some((identity, server)) => (Some(identity), server),
            None => (None, authority),
        };
        let (user, password) = match identity.map(|text| text.split_once(':').ok_or(text)) {
            Some(Ok((user, password))) => (Some(decode(user)), Some(decode(password))),
            Some(Err(user)) => (Some(decode(user)), None),
            None => (None, None),
        };
        let is_web = WEB.contains(&scheme.as_str());
        let bare = match identity {
            Some(_) if is_web => format!("{scheme}://{server}{path}"),
            _ => text.to_owned(),
        };
        Ok(Self {
            bare,
            host: Some(host_of(server).to_owned()),
            scheme: Some(scheme),
            user: user.filter(|_| is_web),
            password: password.filter(|_| is_web),
        })
    }

    /// The address, without user and password where git asks for these by itself: the user of such an address may be
    /// a token.
    pub fn bare(&self) -> &str {
        &self.bare
    }

    /// The scheme, where it is one that encrypts nothing and leads to another machine.
    pub fn plaintext(&self) -> Option<&str> {
        let scheme = self.scheme.as_deref()?;
        let is_plain = |name: &str| PLAINTEXT.contains(&name);
        let is_plain = scheme.split("::").any(is_plain);
        (is_plain && !self.is_loopback()).then_some(scheme)
    }

    /// Whether it is on this very machine, or one of its ports.
    pub fn is_loopback(&self) -> bool {
        let Some(host) = &self.host else {
            return false;
        };
        let is_loopback = |address: IpAddr| address.is_loopback();
        host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
    }

    /// Whether git reaches it over ssh.
    pub(super) fn is_ssh(&self) -> bool {
        match &self.scheme {
            Some(scheme) => matches!(scheme.as_str(), "ssh" | "git+ssh" | "ssh+git"),
            // `HOST:PATH`, but not a path that holds a colon.
            None => {
                let host = self.bare.split(':').next().unwrap_or_default();
                host.len() < self.bare.len() && !host.contains('/')
            }
        }
    }

    /// User and password, where the address holds both.
    pub(super) fn credentials(&self) -> Option<(&str, &str)> {
        self.user.as_deref().zip(self.password.as_deref())
    }

    /// The user, where the address holds no password beside it.
    pub(super) fn user_alone(&self) -> Option<&str> {
        let user = self.user.as_deref();
        user.filter(|user| self.password.is_none() && !user.is_empty())
    }

    /// Scheme, host and port: that for which git asks for credentials.
    pub(super) fn server(&self) -> &str {
        let begin = self.bare.find("://").map_or(0, |at| at + 3);
        let end = self.bare[begin..].find('/');
        end.map_or(&self.bare, |end| &self.bare[..begin + end])
    }
}

/// Never shows the password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.bare).finish()
    }
}

/// Without the port, and without the brackets of IPv6.
fn host_of(server: &str) -> &str {
    match server
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, _)) => host,
        None => server.split_once(':').map_or(server, |(host, _)| host),
    }
}

/// Resolves `%41`; what is no such escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_password_is_no_part_of_the_address_that_git_is_given() {
        let given = address("https://me:p%40ss@git.example.org:8443/a/b.git");
        assert_eq!(given.bare(), "https://git.example.org:8443/a/b.git");
        assert_eq!(given.credentials(), Some(("me", "p@ss")));
        assert_eq!(given.server(), "https://git.example.org:8443");
        assert!(!format!("{given:?}").contains("ss@"), "{given:?}");
        let token = address("https://token:@git.example.org/a");
        assert_eq!(token.credentials(), Some(("token", "")));
        let old = address("ftps://me:pass@git.example.org/a");
        assert_eq!(old.bare(), "ftps://git.example.org/a");
        assert_eq!(old.credentials(), Some(("me", "pass")));
        for unchanged in [
            "git@git.example.org:a/b.git",
            "ssh://git@git.example.org/a",
            "/srv/a@b:c",
            "file:///srv/a",
        ] {
            assert_eq!(address(unchanged).bare(), unchanged);
            assert_eq!(address(unchanged).credentials(), None);
            assert_eq!(address(unchanged).user_alone(), None);
        }
    }

    #[test]
    fn a_user_without_a_password_may_be_a_token_and_is_no_part_of_it_either() {
        let given = address("https://ghp_0123%41@git.example.org/a/b.git");
        assert_eq!(given.bare(), "https://git.example.org/a/b.git");
        assert_eq!(given.user_alone(), Some("ghp_0123A"));
        assert_eq!(given.credentials(), None);
        assert!(!format!("{given:?}").contains("ghp"), "{given:?}");
        assert_eq!(address("https://@git.example.org/a").user_alone(), None);
        assert_eq!(address("https://me:x@git.example.org/a").user_alone(), None);
    }

    #[test]
    fn what_is_not_encrypted_and_leaves_the_machine_is_plaintext() {
        for (text, scheme) in [
            ("http://git.example.org/a", Some("http")),
            ("HTTP://git.example.org/a", Some("http")),
            ("http://me:x@git.example.org/a", Some("http")),
            ("git://git.example.org/a", Some("git")),
            ("ftp://git.example.org/a", Some("ftp")),
            ("http::http://git.example.org/a", Some("http::http")),
            ("http://localhost.example.org/a", Some("http")),
            ("http://127.0.0.1@git.example.org/a", Some("http")),
            ("http://127.0.0.1:3000/a", None),
            ("http://localhost/a", None),
            ("http://[::1]:3000/a", None),
            ("https://git.example.org/a", None),
            ("ssh://git.example.org/a", None),
            ("git@git.example.org:a", None),
            ("file:///srv/a", None),
            ("/srv/a", None),
        ] {
            assert_eq!(address(text).plaintext(), scheme, "{text}");
        }
    }

    #[test]
    fn an_address_with_a_host_and_without_a_scheme_is_that_of_ssh() {
        for ssh in ["git@git.example.org:a", "host:a", "ssh://git.example.org/a"] {
            assert!(address(ssh).is_ssh(), "{ssh}");
        }
        for other in ["/srv/a:b", "./a:b", "https://a/b", "file:///a", "/srv/a"] {
            assert!(!address(other).is_ssh(), "{other}");
        }
    }

    #[test]
    fn what_git_would_misread_is_no_address() {
        assert_eq!(Address::parse(""), Err(InvalidAddress::NoAddress));
        assert_eq!(
            Address::parse("--upload-pack=x"),
            Err(InvalidAddress::NoAddress)
        );
        assert_eq!(
            Address::parse("https://a/\nb"),
            Err(InvalidAddress::Control)
        );
    }
}
