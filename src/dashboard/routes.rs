//! Every path, and who may use it: the one list of which the router is made, the guard decides, and the tests go.

use super::api::{
    audit, commands, download, health, hosts, lines, login, machine, me, metrics, runs, search,
    sessions, sockets, tokens,
};
use super::app::App;
use super::assets;
use super::auth::{Identity, Role};
use super::problem::{Problem, no_such_path};
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, any, delete, get, post};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Who may use a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Everybody who comes from a page of ours.
    OurPage,
    /// Hosts.
    Agent,
    /// Who has at least this role; of a path with a host in it, for that host.
    Role(Role),
    /// Who has at least this role for every host.
    EveryHost(Role),
}

/// A path with its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST` or `DELETE`; `*` for any.
    pub method: &'static str,
    /// With `{id}` where something is filled in.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// What may follow the `?` where something is changed; anything else is refused there.
    pub params: &'static [&'static str],
}

impl Route {
    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        !matches!(self.method, "GET" | "*")
    }
}

impl Access {
    pub(crate) fn needs_identity(self) -> bool {
        matches!(self, Self::Role(_) | Self::EveryHost(_))
    }

    /// Refuses with 403 who may not.
    pub(crate) fn allows(self, identity: &Identity) -> Result<(), Problem> {
        match self {
            Self::Public | Self::OurPage | Self::Agent => Ok(()),
            Self::Role(role) => identity.require(role),
            Self::EveryHost(role) => {
                identity.require(role)?;
                identity.require_every_host()
            }
        }
    }
}

type Handler = MethodRouter<Arc<App>>;

/// The list, with where each path leads.
pub(super) fn list() -> Vec<(Route, Handler)> {
    let at = |access, method, path, handler| {
        let route = Route {
            method,
            path,
            access,
            params: match (method, path) {
                ("DELETE", "/api/sessions") => &["user"],
                _ => &[],
            },
        };
        (route, handler)
    };
    let (anybody, our_page) = (Access::Public, Access::OurPage);
    let viewer = Access::Role(Role::Viewer);
    let operator = Access::Role(Role::Operator);
    let fleet = Access::EveryHost(Role::Viewer);
    let admin = Access::EveryHost(Role::Admin);
    let bulk = post(commands::bulk).layer(DefaultBodyLimit::max(commands::MAX_BULK_BYTES));
    vec![
        at(anybody, "GET", "/", get(assets::page)),
        at(anybody, "GET", "/hosts/{*place}", get(assets::page)),
        at(anybody, "GET", "/access", get(assets::page)),
        at(anybody, "GET", "/health", get(health::health)),
        at(our_page, "POST", "/api/login", post(login::login)),
        at(viewer, "POST", "/api/logout", post(login::logout)),
        at(viewer, "POST", "/api/logout/all", post(login::logout_all)),
        at(viewer, "GET", "/api/me", get(me::me)),
        at(fleet, "GET", "/metrics", get(metrics::metrics)),
        at(Access::Agent, "GET", "/ws/agent", get(sockets::agent)),
        at(viewer, "GET", "/ws/browser", get(sockets::browser)),
        at(viewer, "GET", "/api/hosts", get(hosts::hosts)),
        at(viewer, "GET", "/api/hosts/{id}", get(hosts::host)),
        at(
            operator,
            "POST",
            "/api/hosts/{id}/command",
            post(commands::command),
        ),
        at(operator, "POST", "/api/commands", bulk),
        at(
            Access::Role(Role::Admin),
            "POST",
            "/api/hosts/{id}/machine",
            post(machine::choose),
        ),
        at(viewer, "GET", "/api/hosts/{id}/runs", get(runs::runs)),
        at(viewer, "GET", "/api/hosts/{id}/runs/{run}", get(runs::run)),
        at(
            viewer,
            "GET",
            "/api/hosts/{id}/runs/{run}/lines",
            get(lines::lines),
        ),
        at(
            viewer,
            "GET",
            "/api/hosts/{id}/runs/{run}/search",
            get(search::search),
        ),
        at(
            viewer,
            "GET",
            "/api/hosts/{id}/logs/download",
            get(download::download),
        ),
        at(admin, "GET", "/api/audit", get(audit::audit)),
        at(admin, "GET", "/api/sessions", get(sessions::list)),
        at(admin, "DELETE", "/api/sessions", delete(sessions::end_all)),
        at(
            admin,
            "DELETE",
            "/api/sessions/{session}",
            delete(sessions::end),
        ),
        at(admin, "GET", "/api/tokens", get(tokens::list)),
        at(admin, "POST", "/api/tokens", post(tokens::issue)),
        at(
            admin,
            "DELETE",
            "/api/tokens/{token}",
            delete(tokens::revoke),
        ),
        at(viewer, "*", "/api", any(no_such_path)),
        at(viewer, "*", "/api/{*rest}", any(no_such_path)),
        at(viewer, "*", "/ws/{*rest}", any(no_such_path)),
    ]
}

/// Every path that is no file of the page.
pub fn routes() -> Vec<Route> {
    list().into_iter().map(|(route, _)| route).collect()
}

/// Who may use a path of the list; the files of the page, which are not in it, are everybody's. A method that the
/// path does not have is answered to whom may use the path.
pub(crate) fn access(method: &Method, path: &str) -> Access {
    let Some(routes) = by_path(path) else {
        return if path.starts_with("/api/") || path.starts_with("/ws/") {
            Access::Role(Role::Viewer)
        } else {
            Access::Public
        };
    };
    // axum serves HEAD where there is GET.
    let method = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let exact = routes.iter().find(|route| route.method == method);
    exact.unwrap_or(&routes[0]).access
}

/// Refuses with 400 what nobody would look at behind the `?` of a request that changes something: whoever wrote it
/// meant something by it.
pub(crate) fn known_params(method: &Method, path: &str, uri: &Uri) -> Result<(), Problem> {
    let routes = by_path(path).into_iter().flatten();
    let mut exact = routes.filter(|route| route.method == method.as_str() && route.changes());
    let (Some(route), Some(_)) = (exact.next(), uri.query()) else {
        return Ok(());
    };
    let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(uri)?;
    let unknown = given
        .iter()
        .find(|(name, _)| !route.params.contains(&name.as_str()));
    let Some((name, _)) = unknown else {
        return Ok(());
    };
    Err(Problem::bad_request(match route.params {
        [] => format!("unknown parameter {name:?}: this path takes no parameters"),
        known => format!(
            "unknown parameter {name:?}: this path takes `{}`",
            known.join("`, `")
        ),
    }))
}

fn by_path(path: &str) -> Option<&'static Vec<Route>> {
    static BY_PATH: LazyLock<HashMap<&'static str, Vec<Route>>> = LazyLock::new(|| {
        let mut by_path: HashMap<_, Vec<Route>> = HashMap::new();
        for route in routes() {
            by_path.entry(route.path).or_default().push(route);
        }
        by_path
    });
    BY_PATH.get(path)
}
