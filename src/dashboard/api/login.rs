//! `POST /api/login` and `POST /api/logout`.

use crate::dashboard::app::App;
use crate::dashboard::auth::{Identity, Via};
use crate::dashboard::extract::Body;
use crate::dashboard::problem::Problem;
use crate::dashboard::state::StateError;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Who signs in.
#[derive(Deserialize)]
pub(crate) struct Login {
    user: String,
    password: String,
}

/// The address at the other end; none where the server was not told.
pub(crate) struct Address(Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map(|ConnectInfo(peer)| peer.ip().to_canonical())))
    }
}

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Address(address): Address,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<impl IntoResponse, Problem> {
    let (cookie, id) = app
        .auth
        .sign_in(&login.user, login.password, address, &headers)
        .await?;
    if let Some(session) = app.auth.sessions.get(id) {
        stored(app.core.state.save_session(id, session).await);
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    identity: Identity,
    headers: HeaderMap,
) -> impl IntoResponse {
    let cookie = app.auth.sign_out(&identity, &headers);
    if let Via::Session(id) = identity.via {
        stored(app.core.state.remove_session(id).await);
    }
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)])
}

/// Without the database a session works as well, until the dashboard is started anew.
fn stored(result: Result<(), StateError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a session could not be stored");
    }
}
