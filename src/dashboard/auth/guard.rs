//! Stands before every route: host, proxies, origin, and who it is.

use super::identity::Identity;
use super::origin::is_forwarded;
use super::{Auth, bearer, cookie};
use crate::dashboard::app::App;
use crate::dashboard::assets;
use crate::dashboard::problem::Problem;
use crate::protocol::Timestamp;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Lets a request pass with its [`Identity`], or answers in its place.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked {
        method: request.method(),
        path: request.uri().path(),
        headers: request.headers(),
    };
    let mut response = match app.auth.admit(&asked, Timestamp::now()) {
        Ok(identity) => {
            if let Some(identity) = identity {
                request.extensions_mut().insert(identity);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    assets::secure(response.headers_mut());
    response
}

/// What of a request decides whether it may pass.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
}

impl Auth {
    /// Who asks, where that matters or is known; or why they may not.
    fn admit(&self, asked: &Asked<'_>, now: Timestamp) -> Result<Option<Identity>, Problem> {
        let open = self.credentials.is_open();
        if open && is_forwarded(asked.headers) {
            return Err(Problem::forbidden(
                "a proxy passed this on, and without users_file only this machine may come in",
            ));
        }
        let token = bearer(asked.headers);
        let by_token = token.and_then(|hash| self.credentials.user(hash));
        let is_agent = token.is_some_and(|hash| self.credentials.agent(hash).is_some());
        let trusted = by_token.is_some() || is_agent || asked.path == "/health";
        if !trusted && !self.origins.accepts_host(asked.headers) {
            return Err(Problem::misdirected());
        }
        if by_token.is_some() {
            return Ok(by_token);
        }
        let cookie = cookie(asked.headers);
        if asked.needs_origin(cookie.is_some() || open)
            && !self.origins.accepts_origin(asked.headers)
        {
            return Err(Problem::forbidden(
                "`Origin` is not that of this dashboard: send it, or a token",
            ));
        }
        let identity = if open {
            Some(Identity::open())
        } else {
            cookie.and_then(|id| self.in_session(id, now))
        };
        if identity.is_none() && asked.needs_identity() {
            return Err(Problem::unauthorized());
        }
        Ok(identity)
    }
}

impl Asked<'_> {
    /// Another site's page can send what changes something, and open WebSockets, with the visitor's cookie.
    fn needs_origin(&self, has_rights: bool) -> bool {
        let safe = matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        !safe || (has_rights && self.path == "/ws/browser")
    }

    /// `/ws/agent` looks at its token itself.
    fn needs_identity(&self) -> bool {
        let closed = self.path.starts_with("/api/")
            || matches!(self.path, "/api" | "/metrics" | "/ws/browser");
        closed && self.path != "/api/login"
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
