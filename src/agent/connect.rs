//! Opens the connection to the dashboard.

use super::addresses::FailedAddresses;
use super::config::Config;
use super::endpoint::Endpoint;
use super::http_proxy::{HttpProxy, ProxyError};
use super::owner;
use super::reach::{Tried, reach};
use super::tls::{self, TlsError};
use super::token::{self, Form};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use crate::protocol::MAX_FRAME_BYTES;

/// How long a proxy may take to let the connection through.
const PROXY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the TLS handshake may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the dashboard may take to answer the request for a WebSocket.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the dashboard.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open connection, and the address to which it leads: the dashboard's, or that of the proxy before it.
pub(super) struct Dialed {
    pub(super) socket: Socket,
    pub(super) address: SocketAddr,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot read the token file {}: {source}{}; create it, or correct token_file", path.display(), owner::hint(path, source))]
    Token { path: PathBuf, source: io::Error },
    #[error("the token file {} {form}", path.display())]
    Form { path: PathBuf, form: Form },
    #[error("the token file {} is empty; write a token into it, made with `switchyard token`", .0.display())]
    NoToken(PathBuf),
    #[error(
        "there is no token in {} and no enrolment secret in {}; make a secret with `switchyard admin new-enrolment` on the dashboard's machine",
        token.display(), secret.display()
    )]
    NoSecret { token: PathBuf, secret: PathBuf },
    #[error("cannot find the address of {host}: {source}")]
    Lookup { host: String, source: io::Error },
    #[error("cannot reach {host} port {port}: {tried}")]
    Unreachable {
        host: String,
        port: u16,
        tried: Tried,
    },
    #[error(
        "the proxy {proxy} did not answer CONNECT within {} s; correct {variable}, or add the dashboard to no_proxy",
        PROXY_TIMEOUT.as_secs()
    )]
    NoTunnel { proxy: String, variable: String },
    #[error(
        "{server} accepted the connection, but did not complete a TLS handshake within {} s; correct the address or the port in `dashboard`",
        TLS_TIMEOUT.as_secs()
    )]
    NoHandshake { server: String },
    #[error(
        "{server} accepted the connection, but did not answer the WebSocket request within {} s",
        UPGRADE_TIMEOUT.as_secs()
    )]
    NoAnswer { server: String },
    #[error(
        "the dashboard refused the token in {}: it is wrong, or its hash is not in the dashboard's agents file; make a new one with `switchyard token`{}",
        path.display(), said.as_ref().map_or_else(String::new, |said| format!(". It says: {said}"))
    )]
    Unauthorized { path: PathBuf, said: Option<String> },
    #[error(
        "the dashboard answered 421: {host} is not its host name, and the token in {} is unknown to it; make the proxy in front of it forward the header Host, set public_url of the dashboard to that name, and check the token",
        path.display()
    )]
    OtherName { host: String, path: PathBuf },
    #[error(
        "the dashboard refused the enrolment secret in {}: it is wrong, used or expired; make a new one with `switchyard admin new-enrolment`",
        .0.display()
    )]
    NotEnrolled(PathBuf),
    #[error(
        "the dashboard answered {0}; check that a Switchyard dashboard is at that address, and that a proxy in front of it forwards WebSockets"
    )]
    Refused(StatusCode),
    #[error("{0}")]
    Handshake(#[source] Box<tungstenite::Error>),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl ConnectError {
    /// Whether the dashboard does not want this agent, so that there is no hurry.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized { .. } | Self::NotEnrolled(_) | Self::Form { .. }
        ) || matches!(self, Self::Refused(status) if *status == StatusCode::FORBIDDEN)
    }
}

impl From<tungstenite::Error> for ConnectError {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(response) => Self::Refused(response.status()),
            other => Self::Handshake(Box::new(other)),
        }
    }
}

/// Connects and authenticates. The token is read anew each time. Each step has its own limit. An address that takes the
/// connection and then does not lead to the dashboard is noted in `failed`, and the next dial tries the others first.
pub(super) async fn dial(
    config: &Config,
    failed: &mut FailedAddresses,
) -> Result<Dialed, ConnectError> {
    let key = Key::of(config);
    let request = request(config, &key)?;
    let endpoint = &config.dashboard;
    let tls = match endpoint.is_tls() {
        true => Some(tls::client_config(config.trust())?),
        false => None,
    };
    let proxy = proxy_of(endpoint)?;
    let (host, port) = match &proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => (endpoint.host(), endpoint.port()),
    };
    let (stream, address) = reach(host, port, failed).await?;
    let server = address.to_string();
    let opened = async {
        let stream = match &proxy {
            Some(proxy) => tunnelled(proxy, stream, endpoint).await?,
            None => stream,
        };
        let stream = match tls {
            Some(tls) => MaybeTlsStream::Rustls(secure(config, tls, stream, &server).await?),
            None => MaybeTlsStream::Plain(stream),
        };
        upgraded(config, &key, request, stream, server).await
    };
    match opened.await {
        Ok(socket) => Ok(Dialed { socket, address }),
        Err(error) => {
            if !error.is_unwanted() {
                failed.add(address);
            }
            Err(error)
        }
    }
}

/// Asks for a WebSocket.
async fn upgraded(
    config: &Config,
    key: &Key<'_>,
    request: Request<()>,
    stream: MaybeTlsStream<TcpStream>,
    server: String,
) -> Result<Socket, ConnectError> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let upgrade = client_async_with_config(request, stream, Some(limits));
    match timeout(UPGRADE_TIMEOUT, upgrade).await {
        Err(_) => Err(ConnectError::NoAnswer { server }),
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => Err(refusal(config, key, &response)),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// The proxy of the environment where it names one. What is not encrypted stays on this machine or in its network: no
/// proxy is to see the token.
fn proxy_of(endpoint: &Endpoint) -> Result<Option<HttpProxy>, ConnectError> {
    match endpoint.is_tls() {
        true => Ok(HttpProxy::of_environment(endpoint.host(), endpoint.port())?),
        false => Ok(None),
    }
}

/// Has the proxy at the other end of `stream` connect it to the dashboard.
async fn tunnelled(
    proxy: &HttpProxy,
    mut stream: TcpStream,
    endpoint: &Endpoint,
) -> Result<TcpStream, ConnectError> {
    let tunnel = proxy.tunnel(&mut stream, endpoint.host(), endpoint.port());
    match timeout(PROXY_TIMEOUT, tunnel).await {
        Ok(tunnelled) => tunnelled?,
        Err(_) => {
            return Err(ConnectError::NoTunnel {
                proxy: proxy.host.clone(),
                variable: proxy.variable.clone(),
            });
        }
    }
    Ok(stream)
}

/// The file that holds what the dashboard is to know this host by, and whether that is a secret to enrol with.
pub(super) fn credential(config: &Config) -> (PathBuf, bool) {
    let key = Key::of(config);
    (key.path().to_owned(), key.is_secret())
}

/// Makes sure that it is the dashboard, and that nobody else listens.
async fn secure(
    config: &Config,
    tls: ClientConfig,
    stream: TcpStream,
    server: &str,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let host = config.dashboard.host();
    let name = ServerName::try_from(host.to_owned()).map_err(TlsError::Name)?;
    let handshake = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    match timeout(TLS_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let tls = TlsError::of(&error, host, config.trust());
            Err(tls.map_or_else(|| tungstenite::Error::Io(error).into(), Into::into))
        }
        Err(_) => Err(ConnectError::NoHandshake {
            server: server.to_owned(),
        }),
    }
}

/// Why the dashboard does not want a WebSocket.
fn refusal(config: &Config, key: &Key<'_>, response: &Response<Option<Vec<u8>>>) -> ConnectError {
    match response.status() {
        StatusCode::UNAUTHORIZED => key.refused(token::detail(response.body().as_deref())),
        StatusCode::MISDIRECTED_REQUEST => ConnectError::OtherName {
            host: config.dashboard.host().to_owned(),
            path: key.path().to_owned(),
        },
        status => ConnectError::Refused(status),
    }
}

/// What opens the dashboard's door.
enum Key<'a> {
    /// The host's token.
    Token(&'a Path),
    /// A secret with which it gets its token.
    Enrolment { secret: &'a Path, token: &'a Path },
}

impl<'a> Key<'a> {
    fn of(config: &'a Config) -> Self {
        let token = &config.token_file;
        match &config.enrolment_file {
            Some(secret) if !token.exists() => Self::Enrolment { secret, token },
            _ => Self::Token(token),
        }
    }

    /// The file that holds it.
    fn path(&self) -> &Path {
        let (Self::Token(path) | Self::Enrolment { secret: path, .. }) = self;
        path
    }

    /// Its text.
    fn read(&self) -> Result<String, ConnectError> {
        let path = self.path();
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(self.missing()),
            Ok(text) => match token::check(text.trim()) {
                Ok(()) => Ok(text.trim().to_owned()),
                Err(form) => Err(ConnectError::Form {
                    path: path.to_owned(),
                    form,
                }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_secret() => {
                Err(self.missing())
            }
            Err(source) => {
                let path = path.to_owned();
                Err(ConnectError::Token { path, source })
            }
        }
    }

    fn is_secret(&self) -> bool {
        matches!(self, Self::Enrolment { .. })
    }

    /// There is nothing in its file that could be one.
    fn missing(&self) -> ConnectError {
        match *self {
            Self::Token(path) => ConnectError::NoToken(path.to_owned()),
            Self::Enrolment { secret, token } => ConnectError::NoSecret {
                token: token.to_owned(),
                secret: secret.to_owned(),
            },
        }
    }

    /// The dashboard does not take it, and may have said why.
    fn refused(&self, said: Option<String>) -> ConnectError {
        match *self {
            Self::Token(path) => ConnectError::Unauthorized {
                path: path.to_owned(),
                said,
            },
            Self::Enrolment { secret, .. } => ConnectError::NotEnrolled(secret.to_owned()),
        }
    }
}

fn request(config: &Config, key: &Key<'_>) -> Result<Request<()>, ConnectError> {
    let token = key.read()?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| key.missing())?;
    value.set_sensitive(true);
    let mut request = config.dashboard.url().into_client_request()?;
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_hurry_only_after_401_and_403() {
        let unauthorized = ConnectError::Unauthorized {
            path: PathBuf::new(),
            said: None,
        };
        assert!(unauthorized.is_unwanted());
        assert!(ConnectError::NotEnrolled(PathBuf::new()).is_unwanted());
        assert!(ConnectError::Refused(StatusCode::FORBIDDEN).is_unwanted());
        assert!(!ConnectError::Refused(StatusCode::BAD_GATEWAY).is_unwanted());
        let server = "192.0.2.1:443".to_owned();
        assert!(!ConnectError::NoAnswer { server }.is_unwanted());
    }
}
