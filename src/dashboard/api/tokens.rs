//! `GET /api/tokens`, `POST /api/tokens` and `DELETE /api/tokens/{token}`. A token is told once, to whoever makes it;
//! afterwards its hash names it.

use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{
    ClientAddress, Grant, Identity, Issued, Revoked, SecretHash, TokenView, is_user_name, new_token,
};
use crate::dashboard::extract::{Body, Ids};
use crate::dashboard::problem::Problem;
use crate::dashboard::startup;
use crate::dashboard::state::StateError;
use crate::protocol::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Tokens {
    tokens: Vec<TokenView>,
    /// Since when uses are known.
    uses_since: Timestamp,
}

/// What is asked for: `{"kind": "agent", "host_id"}`, `{"kind": "api", "name", "role", "hosts"}` or
/// `{"kind": "enrolment", "hosts"}`, each with `expires` or without.
#[derive(Deserialize)]
pub(crate) struct Wish {
    #[serde(flatten)]
    grant: Grant,
    expires: Option<Timestamp>,
}

#[derive(Serialize)]
struct Made {
    id: SecretHash,
    token: String,
}

pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Tokens> {
    Json(Tokens {
        tokens: app.auth.credentials.tokens(&app.auth.uses),
        uses_since: app.auth.uses.since(),
    })
}

pub(crate) async fn issue(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    Body(wish): Body<Wish>,
) -> Result<impl IntoResponse, Problem> {
    if let Grant::Api { name, .. } = &wish.grant
        && !is_user_name(name)
    {
        return Err(Problem::bad_request(format!("{name:?} cannot name a user")));
    }
    if matches!(wish.grant, Grant::Agent { .. }) && wish.expires.is_some() {
        return Err(Problem::bad_request("the token of a host does not expire"));
    }
    let token = new_token().map_err(|error| Problem::internal(&error))?;
    let id = SecretHash::of(&token);
    let issued = Issued {
        grant: wish.grant,
        expires: wish.expires,
        created: Timestamp::now(),
        created_by: identity.name.clone(),
    };
    let what = issued.grant.to_string();
    app.auth.credentials.issue(id, issued.clone())?;
    not_stored(app.core.state.save_issued(id, issued).await)?;
    show_hosts(&app).await?;
    let note = Note::of(Some(&identity), address, Action::IssueToken);
    app.audit.done(note.detail(&what)).await;
    Ok((StatusCode::CREATED, Json(Made { id, token })))
}

pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    Ids(id): Ids<SecretHash>,
) -> Result<StatusCode, Problem> {
    let revoked = Revoked {
        time: Timestamp::now(),
        by: identity.name.clone(),
    };
    if !app.auth.credentials.revoke(id, revoked.clone()) {
        return Err(Problem::not_found("there is no such token, or no more"));
    }
    // It is out at once, whatever the disk says.
    not_stored(app.core.state.save_revoked(id, revoked).await)?;
    show_hosts(&app).await?;
    let note = Note::of(Some(&identity), address, Action::RevokeToken);
    app.audit.done(note.detail(&id.to_string())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A host exists while it may have a token.
pub(super) async fn show_hosts(app: &Arc<App>) -> Result<(), Problem> {
    not_stored(startup::show(&app.core, app.auth.credentials.hosts()).await)
}

pub(super) fn not_stored(result: Result<(), StateError>) -> Result<(), Problem> {
    result.map_err(|error| {
        tracing::error!(%error, "a token could not be stored");
        Problem::unavailable(
            "this holds until the dashboard is started anew: it could not be stored",
        )
    })
}
