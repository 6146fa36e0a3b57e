//! `GET /api/sessions`, `DELETE /api/sessions?user=` and `DELETE /api/sessions/{session}`.

use super::login::{Ended, store_all, stored};
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{Again, ClientAddress, Identity, SecretHash, SessionView, Via};
use crate::dashboard::extract::{Ids, MaybeBody, Nothing, Params};
use crate::dashboard::problem::Problem;
use crate::protocol::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Sessions {
    sessions: Vec<SessionView>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    user: Option<String>,
}

/// Asked for where the sessions of everybody are to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    password: Option<String>,
    code: Option<String>,
}

pub(crate) async fn list(State(app): State<Arc<App>>, identity: Identity) -> Json<Sessions> {
    let own = match identity.via {
        Via::Session(id) => Some(id),
        _ => None,
    };
    Json(Sessions {
        sessions: app.auth.sessions.list(Timestamp::now(), own),
    })
}

/// Ends every session, or every one of a user.
pub(crate) async fn end_all(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    headers: HeaderMap,
    Params(whose): Params<Whose>,
    MaybeBody(Confirmation { password, code }): MaybeBody<Confirmation>,
) -> Result<Json<Ended>, Problem> {
    if whose.user.is_none() {
        let again = Again { password, code };
        let confirmed = app.auth.confirm(&identity, again, address, &headers).await;
        if let Err(error) = confirmed {
            let note = Note::of(Some(&identity), address, Action::EndSession);
            app.audit.refused(note, error.to_string()).await;
            return Err(error.into());
        }
    }
    let ended = app.auth.sessions.remove_all(whose.user.as_deref());
    store_all(&app).await;
    let whose = whose.user.as_deref().unwrap_or("everybody");
    let note = Note::of(Some(&identity), address, Action::EndSession);
    let detail = format!("{ended} sessions of {whose}");
    app.audit.done(note.detail(&detail)).await;
    Ok(Json(Ended { ended }))
}

pub(crate) async fn end(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    Ids(id): Ids<SecretHash>,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Result<StatusCode, Problem> {
    let user = app.auth.sessions.remove(id);
    let user = user.ok_or_else(|| Problem::not_found("session not found, or already ended"))?;
    stored(app.core.state.remove_session(id).await);
    let note = Note::of(Some(&identity), address, Action::EndSession);
    app.audit.done(note.detail(&format!("of {user}"))).await;
    Ok(StatusCode::NO_CONTENT)
}
