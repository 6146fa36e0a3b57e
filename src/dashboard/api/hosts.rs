//! `GET /api/hosts`, `GET /api/hosts/{id}`.

use super::listing;
use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::Ids;
use crate::dashboard::fleet::HostView;
use crate::dashboard::problem::Problem;
use crate::protocol::HostId;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

pub(crate) async fn hosts(State(app): State<Arc<App>>, identity: Identity) -> Response {
    let ids = app.core.fleet.host_ids();
    let hosts = ids
        .into_iter()
        .filter(move |id| identity.scope.has(id))
        .filter_map(move |id| app.core.fleet.host(&id));
    listing::from_iter("{\"hosts\":[", hosts, "]}")
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
