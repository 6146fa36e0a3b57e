//! `GET /ws/agent` and `GET /ws/browser`.

use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::problem::Problem;
use crate::dashboard::{intake, live};
use crate::protocol::{MAX_FRAME_BYTES, Timestamp, close};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::watch;

/// How much is read from a socket at once. Each connection holds so much, and clears it for each read: more
/// makes small frames dear, less makes large ones so.
const READ_BYTES: usize = 16 * 1024;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(crate) async fn agent(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let (host_id, token) = app.auth.agent_host(&headers)?;
    Ok(limited(upgrade)?.on_upgrade(async move |socket| {
        let mut changed = app.auth.changes();
        let welcome = async {
            while app.auth.holds_agent(&host_id, token) {
                changed.next().await;
            }
        };
        let serving = intake::serve(Arc::clone(&app.core), host_id.clone(), socket);
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
    identity: Identity,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    Ok(limited(upgrade)?.on_upgrade(async move |socket| {
        let (allowed, welcome) = watch::channel(true);
        let mut changed = app.auth.changes();
        let watching = async {
            while app.auth.holds(&identity, Timestamp::now()) {
                // Sessions also end by the clock.
                let _ =
                    tokio::time::timeout(std::time::Duration::from_secs(60), changed.next()).await;
            }
            allowed.send_replace(false);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = live::serve(Arc::clone(&app.core), socket, welcome) => {}
            () = watching => {}
        }
    }))
}

fn limited(upgrade: Upgrade) -> Result<WebSocketUpgrade, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(upgrade
        .read_buffer_size(READ_BYTES)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES))
}
