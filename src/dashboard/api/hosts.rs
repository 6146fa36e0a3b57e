//! `GET /api/hosts`, `GET /api/hosts/{id}`.

use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::Ids;
use crate::dashboard::fleet::HostView;
use crate::dashboard::problem::Problem;
use crate::protocol::HostId;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Hosts {
    hosts: Vec<HostView>,
}

pub(crate) async fn hosts(State(app): State<Arc<App>>, identity: Identity) -> Json<Hosts> {
    let mut hosts = app.core.fleet.hosts().0;
    hosts.retain(|host| identity.scope.has(host.id()));
    Json(Hosts { hosts })
}

pub(crate) async fn host(
    State(app): State<Arc<App>>,
    _: Identity,
    Ids(id): Ids<HostId>,
) -> Result<Json<HostView>, Problem> {
    app.core
        .fleet
        .host(&id)
        .map(Json)
        .ok_or_else(|| no_such_host(&id))
}

pub(super) fn no_such_host(id: &HostId) -> Problem {
    Problem::no_such_host(id.as_str())
}
