//! `GET /ws/agent` and `GET /ws/browser`.

use super::enrol;
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{ClientAddress, Identity, Via};
use crate::dashboard::live::Visitor;
use crate::dashboard::problem::Problem;
use crate::dashboard::serve::Connection;
use crate::dashboard::{intake, live};
use crate::protocol::{MAX_FRAME_BYTES, Timestamp, close};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether somebody may still be here, besides at each change.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How much is read at once, in bytes, of what was read ahead from the socket. Each connection holds so much for ever,
/// and clears it for each read; a heartbeat fits.
const READ_BYTES: usize = 1024;

/// The most that waits to be sent, in bytes. Without a limit a peer that pings and takes no answer has them pile up.
const MAX_UNSENT_BYTES: usize = 4 * MAX_FRAME_BYTES;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(crate) async fn agent(
    State(app): State<Arc<App>>,
    connection: Option<Extension<Connection>>,
    address: ClientAddress,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let (host_id, token) = match app.auth.agent_host(&headers) {
        Ok(found) => found,
        Err(_) if let Some(secret) = app.auth.enrolment(&headers, Timestamp::now()) => {
            let enrolling = async move |socket| enrol::serve(app, secret, address, socket).await;
            return Ok(limited(upgrade)?.on_upgrade(enrolling));
        }
        Err(problem) => {
            let note = Note::of(None, address, Action::Request);
            let why = "an agent came with a token that opens nothing";
            app.audit.refused(note, why.to_owned()).await;
            return Err(problem);
        }
    };
    if let Some(Extension(connection)) = &connection {
        connection.vouch_for_host(&host_id)?;
    }
    enrol::take_up(&app, token).await?;
    Ok(limited(upgrade)?.on_upgrade(async move |socket| {
        let _counted = (connection, app.auth.uses.connect(token));
        let mut changed = app.auth.changes();
        let welcome = async {
            while app.auth.holds_agent(&host_id, token) {
                changed.next().await;
            }
        };
        let serving = intake::serve(Arc::clone(&app.core), host_id.clone(), address.0, socket);
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => {}
            () = welcome => {
                tracing::warn!(host = %host_id, "the token of a connected agent is no longer valid");
                app.core.fleet.close(std::slice::from_ref(&host_id), close::FORBIDDEN);
                serving.await;
            }
        }
    }))
}

pub(crate) async fn browser(
    State(app): State<Arc<App>>,
    connection: Option<Extension<Connection>>,
    identity: Identity,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let Some(visit) = app.visits.begin(&identity.name) else {
        return Err(Problem::too_many(Duration::from_secs(10)));
    };
    Ok(limited(upgrade)?.on_upgrade(async move |socket| {
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
            scope: identity.scope.clone(),
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
            () = live::serve(Arc::clone(&app.core), socket, visitor) => {}
            () = watching => {}
        }
    }))
}

fn limited(upgrade: Upgrade) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(upgrade
        .read_buffer_size(READ_BYTES)
        .max_write_buffer_size(MAX_UNSENT_BYTES)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES))
}
