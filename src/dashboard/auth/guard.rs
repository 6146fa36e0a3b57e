//! Stands before every route: host, proxies, origin, who it is, and whether they may do that there.

use super::identity::{Identity, Via};
use super::origin::is_forwarded;
use super::{Auth, ClientAddress, Peer, bearer, cookie};
use crate::dashboard::answer::{self, Reader};
use crate::dashboard::app::App;
use crate::dashboard::assets;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::problem::Problem;
use crate::dashboard::rates::{FILE, REQUEST, Who};
use crate::dashboard::routes::{self, Access};
use crate::dashboard::serve::Connection;
use crate::dashboard::visits::Visit;
use crate::protocol::{HostId, Timestamp};
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BROWSERS: &str = "/ws/browser";
const AGENTS: &str = "/ws/agent";
const HEALTH: &str = "/health";

/// As much of a method that may be made up is written down, in bytes,
const MAX_METHOD_BYTES: usize = 16;
/// and of a path that is not in the list of routes.
const MAX_UNKNOWN_PATH_BYTES: usize = 64;

/// Said to a token that is not known, where only one that is known may use another host name.
const UNKNOWN_TOKEN_ELSEWHERE: &str = "this token is not known here: it is wrong, expired or revoked. Without a valid token, requests must use the host name in `public_url`, or `localhost`";
/// The same where every visitor of this machine is an admin, and needs no token but the right origin.
const UNKNOWN_TOKEN_HERE: &str = "this token is not known here: it is wrong, expired or revoked. Send a valid token, or none and the header Origin with this dashboard's address";

/// Lets a request pass with its [`Identity`], or answers in its place.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match checked(&app, &mut parts).await {
        Ok(visit) => {
            let identity = parts.extensions.get::<Identity>().cloned();
            let response = next.run(Request::from_parts(parts, body)).await;
            let reader = identity.map(|identity| Reader {
                app: Arc::clone(&app),
                identity,
            });
            answer::under_way(response, visit, reader)
        }
        Err(problem) => problem.into_response(),
    };
    assets::secure(response.headers_mut(), app.auth.is_behind_tls());
    response
}

/// Puts what is found out into the request's extensions; gives the place that the answer takes.
async fn checked(app: &App, parts: &mut Parts) -> Result<Option<Visit>, Problem> {
    let place = parts.extensions.get::<MatchedPath>().cloned();
    let path = place.as_ref().map_or(parts.uri.path(), MatchedPath::as_str);
    let asked = Asked {
        method: &parts.method,
        path,
        access: routes::access(&parts.method, path),
        headers: &parts.headers,
        peer: parts.extensions.get().copied(),
    };
    let address = app.auth.proxies.client(asked.peer, asked.headers);
    let changes = asked.changes_something() || asked.path == BROWSERS || asked.path == AGENTS;
    let (identity, problem) = match app.auth.admit(&asked, Timestamp::now()) {
        Ok(identity) => {
            let may = match &identity {
                Some(identity) => asked.access.allows(identity),
                None => Ok(()),
            };
            let known = || routes::known_params(asked.method, asked.path, &parts.uri);
            (identity, may.and_then(|()| known()).err())
        }
        Err(problem) => (None, Some(problem)),
    };
    if let Some(who) = app.auth.who(&asked, identity.as_ref(), address)
        && let Err(wait) = app.rates.ask(&who, asked.counts_for(), Instant::now())
    {
        return Err(Problem::too_many(wait).because("too many requests: wait, then try again"));
    }
    if asked.path == AGENTS
        && let Some(secret) = app.auth.enrolment(asked.headers, Timestamp::now())
        && let Err(wait) = app
            .rates
            .ask(&Who::Enrolment(secret), REQUEST, Instant::now())
    {
        return Err(Problem::too_many(wait)
            .because("this enrolment secret was used too often: wait, then try again"));
    }
    if let Some(problem) = problem {
        if changes {
            let asked_for = wanted(&parts.method, path, place.is_some());
            let detail = format!("{asked_for}: {}", problem.detail());
            app.audit
                .refused(
                    Note::of(identity.as_ref(), address, Action::Request),
                    detail,
                )
                .await;
        }
        return Err(problem);
    }
    parts.extensions.insert(address);
    if asked.changes_something() {
        app.can_be_written_down()?;
    }
    let mut visit = None;
    if identity.is_none() && asked.changes_something() {
        let Some(place) = app.stranger_begins(app.auth.proxies.network(address)) else {
            let problem = Problem::too_many(Duration::from_secs(1));
            return Err(problem.because(
                "too many requests from your network are in progress: wait, then try again",
            ));
        };
        visit = Some(place);
    }
    if let Some(identity) = identity {
        if asked.changes_something() {
            app.charge_deeds(&identity, 1)?;
        }
        if identity.via != Via::Socket {
            let Some(begun) = app.answers.begin(&identity.name) else {
                let problem = Problem::too_many(Duration::from_secs(1));
                return Err(problem.because("too many answers are still being sent to you: read those first, then try again"));
            };
            visit = Some(begun);
        }
        // Before the handler, whatever it asks of the path: a host out of sight does not exist.
        if !identity.scope.is_every()
            && let Ok(params) = RawPathParams::from_request_parts(parts, &()).await
            && let Some((_, id)) = params.iter().find(|(name, _)| *name == "id")
            && HostId::new(id).is_ok_and(|id| !identity.scope.has(&id))
        {
            return Err(Problem::no_such_host(id));
        }
        if let Some(connection) = parts.extensions.get::<Connection>() {
            connection.vouch_for_user(&identity.name);
        }
        parts.extensions.insert(identity);
    }
    Ok(visit)
}

/// What a request wanted, as the audit log has it: whole where it is in the list of routes, and else only the beginning
/// of what somebody made up.
fn wanted(method: &Method, path: &str, is_route: bool) -> String {
    let method = method.as_str();
    let method = &method[..method.floor_char_boundary(MAX_METHOD_BYTES)];
    if is_route {
        return format!("{method} {path}");
    }
    let end = path.floor_char_boundary(MAX_UNKNOWN_PATH_BYTES);
    format!(
        "{method} of an unknown path that begins with {}",
        &path[..end]
    )
}

/// What of a request decides whether it may pass.
struct Asked<'a> {
    method: &'a Method,
    /// As the list of routes has it.
    path: &'a str,
    access: Access,
    headers: &'a HeaderMap,
    peer: Option<Peer>,
}

impl Auth {
    /// Whose requests are counted; nobody's are of whom the data folder is, nor of strangers who share an address
    /// with many.
    fn who(
        &self,
        asked: &Asked<'_>,
        identity: Option<&Identity>,
        address: ClientAddress,
    ) -> Option<Who> {
        let host = bearer(asked.headers).and_then(|hash| self.credentials.agent(hash));
        if let (Some(identity), None) = (identity, &host) {
            return (identity.via != Via::Socket).then(|| Who::User(identity.name.clone()));
        }
        let stranger = || self.proxies.network(address).map(Who::Network);
        host.map(Who::Host).or_else(stranger)
    }

    /// Who asks, where that matters or is known; or why they may not.
    fn admit(&self, asked: &Asked<'_>, now: Timestamp) -> Result<Option<Identity>, Problem> {
        let now = self.sessions.clock.not_before(now);
        if asked.peer == Some(Peer::Socket) {
            return Ok(Some(Identity::socket()));
        }
        let open = self.credentials.is_open();
        if open && is_forwarded(asked.headers) {
            return Err(Problem::forbidden(
                "this request came through a proxy; without users_file only requests from this machine are allowed: set users_file",
            ));
        }
        let token = bearer(asked.headers);
        let by_token = token.and_then(|hash| self.credentials.user(hash, now));
        let is_agent = token.is_some_and(|hash| {
            self.credentials.agent(hash).is_some() || self.credentials.enrols(hash, now)
        });
        let trusted = by_token.is_some() || is_agent || asked.path == HEALTH;
        if !trusted && !self.origins.accepts_host(asked.headers) {
            let problem = Problem::misdirected();
            return Err(match token {
                Some(_) => problem.because(UNKNOWN_TOKEN_ELSEWHERE),
                None => problem,
            });
        }
        if by_token.is_some() {
            token.inspect(|hash| self.uses.used(*hash, now));
            return Ok(by_token);
        }
        if asked.path == HEALTH && !self.origins.accepts_host(asked.headers) {
            // A page of another site can ask by a name of its own that leads here (DNS rebinding): it is a stranger,
            // also where every visitor is an admin.
            return Ok(None);
        }
        let named = self.proxies.user(asked.peer, asked.headers);
        let named = named.map_err(|_| {
            Problem::forbidden("this request names a user in the header of `proxy.user_header`, but does not come from a proxy in `proxy.trusted`, or names more than one")
        })?;
        let cookie = cookie(asked.headers);
        let has_rights = cookie.is_some() || named.is_some() || open;
        if asked.needs_origin(has_rights) && !self.origins.accepts_origin(asked.headers) {
            if !has_rights && asked.is_program() && asked.access.needs_identity() {
                return Err(Problem::unauthorized());
            }
            if open && asked.is_program() {
                return Err(Problem::forbidden(UNKNOWN_TOKEN_HERE));
            }
            return Err(Problem::forbidden(
                "the header `Origin` is missing or not this dashboard's address: send the right one, or an API token",
            ));
        }
        let identity = if asked.path == AGENTS {
            // Hosts alone come here, and are no users, also where every visitor is one.
            None
        } else if open {
            Some(Identity::open())
        } else if let Some(name) = named {
            self.credentials.proxied(name, now)
        } else {
            cookie.and_then(|id| self.in_session(id, true, now))
        };
        debug_assert!(identity.as_ref().is_none_or(|found| found.via.is_ambient()));
        if identity.is_none() && asked.access.needs_identity() {
            return Err(Problem::unauthorized());
        }
        Ok(identity)
    }
}

impl Asked<'_> {
    fn counts_for(&self) -> u32 {
        if self.access == Access::Public && self.path != HEALTH {
            FILE
        } else {
            REQUEST
        }
    }

    fn changes_something(&self) -> bool {
        !matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// Whether a program sent this, with a token as it meant: pages send their origin with all that changes something.
    fn is_program(&self) -> bool {
        self.headers.contains_key(header::AUTHORIZATION)
            && !self.headers.contains_key(header::ORIGIN)
    }

    /// Another site's page can send what changes something, and open WebSockets, with the visitor's cookie.
    fn needs_origin(&self, has_rights: bool) -> bool {
        self.changes_something() || (has_rights && self.path == BROWSERS)
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
