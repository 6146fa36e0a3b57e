//! Requests that become WebSockets (RFC 6455, section 4.2).

use super::Socket;
use crate::dashboard::problem::Problem;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request for a WebSocket.
pub(crate) struct Upgrade {
    accept: HeaderValue,
    upgrading: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.method != Method::GET {
            return Err(bad("a WebSocket must be requested with GET"));
        }
        let headers = &parts.headers;
        if !has_word(headers, header::CONNECTION, "upgrade")
            || !has_word(headers, header::UPGRADE, "websocket")
        {
            return Err(bad(
                "this path is a WebSocket: the request needs `Connection: Upgrade` and `Upgrade: websocket`, and a proxy must forward both",
            ));
        }
        if !has_word(headers, header::SEC_WEBSOCKET_VERSION, "13") {
            return Err(bad("`Sec-WebSocket-Version` is not 13"));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.ok_or_else(|| bad("`Sec-WebSocket-Key` is missing"))?;
        let accept = derive_accept_key(key.as_bytes());
        let accept = HeaderValue::try_from(accept).map_err(|error| Problem::internal(&error))?;
        let upgrading = parts.extensions.remove::<OnUpgrade>();
        let upgrading = upgrading.ok_or_else(|| bad("this connection cannot be upgraded"))?;
        Ok(Self { accept, upgrading })
    }
}

fn bad(detail: &str) -> Problem {
    Problem::bad_request(detail)
}

/// Whether a word is in the list that a header is.
fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(word))
}

impl Upgrade {
    /// Answers that the connection becomes a WebSocket, which is then served in a task of its own.
    pub(crate) fn serve<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { accept, upgrading } = self;
        tokio::spawn(async move {
            // Without one the client is gone.
            if let Ok(upgraded) = upgrading.await {
                let socket = Socket::open(upgraded).await;
                // This task would keep the memory of the upgrade for as long as the socket is open.
                tokio::spawn(serve(socket));
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn asked(headers: &[(&str, &str)]) -> String {
        let mut request = Request::get("/ws/agent");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        match Upgrade::from_request_parts(&mut parts, &()).await {
            Ok(_) => String::new(),
            Err(problem) => problem.detail().to_owned(),
        }
    }

    #[tokio::test]
    async fn a_request_that_asks_for_no_websocket_is_told_what_it_lacks() {
        let whole = [
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        // It comes over no connection.
        assert!(asked(&whole).await.contains("cannot be upgraded"));
        for lacking in 0..whole.len() {
            let mut headers = whole.to_vec();
            let (name, _) = headers.remove(lacking);
            let told = asked(&headers).await;
            assert!(told.contains(&format!("`{name}")), "{name}: {told}");
        }
    }
}
