//! `GET /api/tokens`, `POST /api/tokens` and `DELETE /api/tokens/{token}`. A token is told once, to whoever makes it;
//! afterwards its hash names it.

use super::token_wish::{Wanted, Wish};
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{
    Again, ClientAddress, Grant, Identity, Issued, Maker, Revoked, SecretHash, TokenView, Via,
    new_token,
};
use crate::dashboard::extract::{Body, Ids, MaybeBody, Nothing};
use crate::dashboard::problem::Problem;
use crate::dashboard::startup;
use crate::dashboard::state::StateError;
use crate::protocol::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Tokens {
    tokens: Vec<TokenView>,
    /// Since when uses are known.
    uses_since: Timestamp,
}

#[derive(Serialize)]
struct Made {
    id: SecretHash,
    token: String,
    expires: Option<Timestamp>,
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
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Result<impl IntoResponse, Problem> {
    let now = Timestamp::now();
    let Wanted {
        grant,
        expires,
        again,
    } = wish.wanted(now)?;
    let note = Note::of(Some(&identity), address, Action::IssueToken);
    if let Err(problem) = may_make(&app, &identity, &grant, again, address, &headers).await {
        let why = problem.detail().to_owned();
        app.audit
            .refused(note.detail(&grant.to_string()), why)
            .await;
        return Err(problem);
    }
    let token = new_token().map_err(|error| Problem::internal(&error))?;
    let id = SecretHash::of(&token);
    let issued = Issued {
        grant,
        expires,
        created: now,
        created_by: identity.name.clone(),
        maker: Some(Maker::of(&identity)),
        traded_for: None,
    };
    let what = issued.grant.to_string();
    app.auth.credentials.issue(id, issued.clone())?;
    // It opens from now on, whatever the disk says, so that is written down first.
    app.audit.done(note.detail(&what)).await;
    not_stored(app.core.state.save_issued(id, issued).await)?;
    show_hosts(&app).await?;
    let made = Made { id, token, expires };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Refuses with 403 an API token that would make another, which could then outlive it, and who does not show again
/// who they are.
async fn may_make(
    app: &App,
    identity: &Identity,
    grant: &Grant,
    again: Again,
    address: ClientAddress,
    headers: &HeaderMap,
) -> Result<(), Problem> {
    if matches!(identity.via, Via::Token(_)) && matches!(grant, Grant::Api { .. }) {
        return Err(Problem::forbidden(
            "an API token cannot create another one: sign in to the page with a password and create it there",
        ));
    }
    Ok(app.auth.confirm(identity, again, address, headers).await?)
}

pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    Ids(id): Ids<SecretHash>,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Result<StatusCode, Problem> {
    let revoked = Revoked {
        time: Timestamp::now(),
        by: identity.name.clone(),
    };
    if !app.auth.credentials.revoke(id, revoked.clone()) {
        return Err(Problem::not_found("token not found, or already revoked"));
    }
    // It is out at once, whatever the disk says.
    let note = Note::of(Some(&identity), address, Action::RevokeToken);
    app.audit.done(note.detail(&id.to_string())).await;
    not_stored(app.core.state.save_revoked(id, revoked).await)?;
    show_hosts(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A host exists while it may have a token.
pub(super) async fn show_hosts(app: &Arc<App>) -> Result<(), Problem> {
    not_stored(startup::show(&app.core, || app.auth.credentials.hosts()).await)
}

pub(super) fn not_stored(result: Result<(), StateError>) -> Result<(), Problem> {
    result.map_err(|error| {
        tracing::error!(%error, "a token could not be stored");
        Problem::unavailable(
            "the change is in effect, but it could not be stored and is lost at the next restart of the dashboard: make room on its disk, then repeat the change",
        )
    })
}
