//! `GET /ws/agent` and `GET /ws/browser`.

use super::enrol;
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{ClientAddress, Identity, SecretHash, Via};
use crate::dashboard::extract::Params;
use crate::dashboard::fleet::Form;
use crate::dashboard::live::Visitor;
use crate::dashboard::problem::Problem;
use crate::dashboard::serve::Connection;
use crate::dashboard::visits::Visit;
use crate::dashboard::websocket::{Socket, Upgrade};
use crate::dashboard::{intake, live};
use crate::protocol::{HostId, Timestamp, close};
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether somebody may still be here, besides at each change.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn agent(
    State(app): State<Arc<App>>,
    connection: Option<Extension<Connection>>,
    address: ClientAddress,
    headers: HeaderMap,
    upgrade: Result<Upgrade, Problem>,
) -> Result<Response, Problem> {
    let (host_id, token) = match app.auth.agent_host(&headers) {
        Ok(found) => found,
        Err(_) if let Some(secret) = app.auth.enrolment(&headers, Timestamp::now()) => {
            app.can_be_written_down()?;
            let enrolling = move |socket| enrol::serve(app, secret, address, socket);
            return Ok(upgrade?.serve(enrolling));
        }
        Err(problem) => {
            let note = Note::of(None, address, Action::Request);
            let why = "an agent used an unknown or revoked token";
            app.audit.refused(note, why.to_owned()).await;
            return Err(problem);
        }
    };
    if let Some(Extension(connection)) = &connection {
        connection.vouch_for_host(&host_id)?;
    }
    enrol::take_up(&app, token).await?;
    let connection = connection.map(|Extension(connection)| connection);
    let serving = move |socket| serve_agent(app, connection, address, host_id, token, socket);
    Ok(upgrade?.serve(serving))
}

async fn serve_agent(
    app: Arc<App>,
    connection: Option<Connection>,
    address: ClientAddress,
    host_id: HostId,
    token: SecretHash,
    socket: Socket,
) {
    let _counted = (connection, app.auth.uses.connect(token));
    let mut changed = app.auth.token_changes();
    let welcome = async {
        while app.auth.holds_agent(&host_id, token) {
            changed.next().await;
        }
    };
    let mut serving = pin!(intake::serve(
        &app.core, &host_id, address.0, &app.rates, socket
    ));
    tokio::select! {
        () = &mut serving => {}
        () = welcome => {
            tracing::warn!(host = %host_id, "the token of a connected agent is no longer valid");
            app.core.fleet.close(std::slice::from_ref(&host_id), close::FORBIDDEN);
            serving.await;
        }
    }
}

/// What a page or program says of itself as it connects.
#[derive(Debug, Deserialize)]
pub(crate) struct Wish {
    /// `changes`: a `host_update` need not have what did not change.
    updates: Option<String>,
}

pub(crate) async fn browser(
    State(app): State<Arc<App>>,
    connection: Option<Extension<Connection>>,
    identity: Identity,
    Params(Wish { updates }): Params<Wish>,
    upgrade: Result<Upgrade, Problem>,
) -> Result<Response, Problem> {
    let form = match updates.as_deref() {
        Some("changes") => Form::Changes,
        _ => Form::Whole,
    };
    let Some(visit) = app.visits.begin(&identity.name) else {
        return Err(Problem::too_many(Duration::from_secs(10)));
    };
    let connection = connection.map(|Extension(connection)| connection);
    let serving = move |socket| serve_browser(app, connection, identity, form, visit, socket);
    Ok(upgrade?.serve(serving))
}

async fn serve_browser(
    app: Arc<App>,
    connection: Option<Connection>,
    identity: Identity,
    form: Form,
    visit: Visit,
    socket: Socket,
) {
    let used = match identity.via {
        Via::Token(token) => Some(app.auth.uses.connect(token)),
        _ => None,
    };
    let _counted = (connection, visit, used);
    let (allowed, welcome) = watch::channel(true);
    let active = Arc::new(AtomicBool::new(true));
    let visitor = Visitor {
        welcome,
        name: identity.name.clone(),
        rates: Arc::clone(&app.rates),
        share: app.shares.of(&identity.name),
        scope: identity.scope.clone(),
        form,
        active: Arc::clone(&active),
    };
    let mut changed = app.auth.changes();
    let watching = async {
        while app.auth.holds(
            &identity,
            active.swap(false, Ordering::Relaxed),
            Timestamp::now(),
        ) {
            // Sessions and tokens also end by the clock.
            let _ = tokio::time::timeout(LOOK_EVERY, changed.next()).await;
        }
        allowed.send_replace(false);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // In a box, so that what it is made of has no place beside it.
        () = Box::pin(live::serve(Arc::clone(&app.core), socket, visitor)) => {}
        () = watching => {}
    }
}
