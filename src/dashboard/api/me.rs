//! `GET /api/me`: who asks, and what they may do.

use crate::dashboard::auth::{Identity, Role, Scope};
use crate::protocol::Timestamp;
use axum::Json;
use serde::Serialize;

/// As the dashboard knows them.
#[derive(Serialize)]
pub(crate) struct Me {
    name: String,
    role: Role,
    via: &'static str,
    hosts: Scope,
    expires: Option<Timestamp>,
}

pub(crate) async fn me(identity: Identity) -> Json<Me> {
    let via = identity.via.word();
    Json(Me {
        name: identity.name,
        role: identity.role,
        via,
        hosts: identity.scope,
        expires: identity.expires,
    })
}
