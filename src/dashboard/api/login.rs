//! `POST /api/login`, `POST /api/logout` and `POST /api/logout/all`.

use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{Attempt, ClientAddress, Identity, Via};
use crate::dashboard::extract::{Body, MaybeBody, Nothing};
use crate::dashboard::problem::Problem;
use crate::dashboard::state::StateError;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Who signs in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    user: String,
    password: String,
    /// A one-time code, for those who have such.
    code: Option<String>,
}

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<impl IntoResponse, Problem> {
    app.auth.keeps_session(&headers)?;
    let attempt = Attempt {
        user: &login.user,
        password: login.password,
        code: login.code.as_deref(),
        address: address.0,
        headers: &headers,
    };
    let note = Note::of(None, address, Action::Login);
    // A password in the place of the name, which happens to everybody, must not stay in clear anywhere.
    let is_name = app.auth.credentials.has_person(&login.user);
    let note = if is_name {
        note.called(&login.user)
    } else {
        note
    };
    // Before the password is looked at, which is what costs.
    if is_name && let Err(problem) = app.charge_sign_in(&login.user) {
        app.audit.refused(note, problem.detail().to_owned()).await;
        return Err(problem);
    }
    let signed_in = match app.auth.sign_in(attempt).await {
        Ok(signed_in) => signed_in,
        Err(error) => {
            if is_name {
                app.give_back_sign_in(&login.user);
            }
            let why = if is_name {
                error.to_string()
            } else {
                format!(
                    "{error}; the user name is unknown and not recorded, because it may be a password typed by mistake"
                )
            };
            app.audit.refused(note, why).await;
            return Err(error.into());
        }
    };
    if let Some(before) = signed_in.before {
        stored(app.core.state.remove_session(before).await);
    }
    if let Some(session) = app.auth.sessions.get(signed_in.id) {
        stored(app.core.state.save_session(signed_in.id, session).await);
    }
    app.audit.done(note).await;
    let cookies = signed_in.cookies.map(|cookie| (header::SET_COOKIE, cookie));
    Ok((StatusCode::NO_CONTENT, AppendHeaders(cookies)))
}

pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    headers: HeaderMap,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> impl IntoResponse {
    let cookie = app.auth.sign_out(&identity, &headers);
    if let Via::Session(id) = identity.via {
        stored(app.core.state.remove_session(id).await);
        let note = Note::of(Some(&identity), address, Action::Logout);
        app.audit.done(note).await;
    }
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)])
}

/// How many sessions were ended.
#[derive(Serialize)]
pub(crate) struct Ended {
    pub(super) ended: usize,
}

/// Ends every session of whoever asks.
pub(crate) async fn logout_all(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    headers: HeaderMap,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> impl IntoResponse {
    let ended = app.auth.sessions.remove_all(Some(&identity.name));
    if ended > 0 {
        store_all(&app).await;
    }
    // Where no session was ended nothing was done: with a token somebody may ask for that again and again, and their
    // records would push out those of others.
    if ended > 0 {
        let note = Note::of(Some(&identity), address, Action::LogoutAll);
        let note = note.detail(&format!("{ended} sessions"));
        app.audit.done(note).await;
    }
    let cookie = app.auth.sign_out(&identity, &headers);
    ([(header::SET_COOKIE, cookie)], Json(Ended { ended }))
}

/// Stores which sessions there are.
pub(super) async fn store_all(app: &Arc<App>) {
    let held = Arc::clone(app);
    let living = move || held.auth.sessions.all(crate::protocol::Timestamp::now());
    stored(app.core.state.replace_sessions(living).await);
}

/// Without the database a session works as well, until the dashboard is started anew.
pub(super) fn stored(result: Result<(), StateError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a session could not be stored");
    }
}
