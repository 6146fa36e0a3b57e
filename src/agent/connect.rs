//! Opens the connection to the dashboard.

use super::config::Config;
use super::tls::{self, TlsError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use crate::protocol::MAX_FRAME_BYTES;

/// For the whole of an attempt, and for one of several addresses.
const LIMIT: Duration = Duration::from_secs(10);
const ADDRESS_LIMIT: Duration = Duration::from_secs(4);

/// A connection to the dashboard.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot read the token file {}: {source}; create it, or correct token_file", path.display())]
    Token { path: PathBuf, source: io::Error },
    #[error("the token file {} holds no token; write one there, as made by `switchyard token`", .0.display())]
    NoToken(PathBuf),
    #[error(
        "there is neither a token in {} nor a secret in {} to get one with; make one with `switchyard admin new-enrolment` on the dashboard's machine",
        token.display(), secret.display()
    )]
    NoSecret { token: PathBuf, secret: PathBuf },
    #[error("cannot find the address of {host}: {source}")]
    Lookup { host: String, source: io::Error },
    #[error("cannot reach {host} port {port}: {source}")]
    Unreachable {
        host: String,
        port: u16,
        source: io::Error,
    },
    #[error("no answer within {} s", LIMIT.as_secs())]
    Timeout,
    #[error(
        "the dashboard refuses the token in {}: it is wrong, or its hash is not in the dashboard's agents file; make a new one with `switchyard token`",
        .0.display()
    )]
    Unauthorized(PathBuf),
    #[error(
        "the dashboard refuses the enrolment secret in {}: it is wrong, used, or expired; make another with `switchyard admin new-enrolment`",
        .0.display()
    )]
    NotEnrolled(PathBuf),
    #[error(
        "the dashboard answers {0}; is there a Switchyard dashboard at that address, and does a proxy before it pass WebSockets on?"
    )]
    Refused(StatusCode),
    #[error("{0}")]
    Handshake(#[source] Box<tungstenite::Error>),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl ConnectError {
    /// Whether the dashboard does not want this agent, so that there is no hurry.
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::NotEnrolled(_))
            || matches!(self, Self::Refused(status) if *status == StatusCode::FORBIDDEN)
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

/// Connects and authenticates. The token is read anew each time.
pub(super) async fn dial(config: &Config) -> Result<Socket, ConnectError> {
    timeout(LIMIT, attempt(config))
        .await
        .map_err(|_| ConnectError::Timeout)?
}

async fn attempt(config: &Config) -> Result<Socket, ConnectError> {
    let key = Key::of(config);
    let request = request(config, &key)?;
    let connector = if config.dashboard.is_tls() {
        Connector::Rustls(Arc::new(tls::client_config(config.ca_file.as_deref())?))
    } else {
        Connector::Plain
    };
    let stream = reach(config.dashboard.host(), config.dashboard.port()).await?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    match client_async_tls_with_config(request, stream, Some(limits), Some(connector)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response))
            if response.status() == StatusCode::UNAUTHORIZED =>
        {
            Err(key.refused())
        }
        Err(tungstenite::Error::Io(error)) => {
            let (host, ca_file) = (config.dashboard.host(), config.ca_file.as_deref());
            Err(match TlsError::of(&error, host, ca_file) {
                Some(tls) => tls.into(),
                None => tungstenite::Error::Io(error).into(),
            })
        }
        Err(error) => Err(error.into()),
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

    /// Its text.
    fn read(&self) -> Result<String, ConnectError> {
        let (Self::Token(path) | Self::Enrolment { secret: path, .. }) = self;
        match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => Err(self.missing()),
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_secret() => {
                Err(self.missing())
            }
            Err(source) => {
                let path = (*path).to_owned();
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

    fn refused(&self) -> ConnectError {
        match *self {
            Self::Token(path) => ConnectError::Unauthorized(path.to_owned()),
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

/// The first of the host's addresses that answers.
async fn reach(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = lookup_host((host, port))
        .await
        .map_err(|source| ConnectError::Lookup {
            host: host.to_owned(),
            source,
        })?;
    let mut source = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(ADDRESS_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Lines are sent when they are there; a socket without it would hold small ones back.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::warn!("cannot set TCP_NODELAY: {error}");
                }
                return Ok(stream);
            }
            Ok(Err(error)) => source = error,
            Err(_) => source = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(ConnectError::Unreachable {
        host: host.to_owned(),
        port,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_hurry_only_after_401_and_403() {
        assert!(ConnectError::Unauthorized(PathBuf::new()).is_unwanted());
        assert!(ConnectError::NotEnrolled(PathBuf::new()).is_unwanted());
        assert!(ConnectError::Refused(StatusCode::FORBIDDEN).is_unwanted());
        assert!(!ConnectError::Refused(StatusCode::BAD_GATEWAY).is_unwanted());
        assert!(!ConnectError::Timeout.is_unwanted());
    }
}
