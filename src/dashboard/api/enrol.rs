//! A host that comes to `/ws/agent` with an enrolment secret: it registers, gets its token, and comes again with it.

use super::tokens::{not_stored, show_hosts};
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{ClientAddress, SecretHash, new_token};
use crate::dashboard::intake;
use crate::dashboard::problem::Problem;
use crate::dashboard::rates::Who;
use crate::dashboard::websocket::{Message, Socket};
use crate::protocol::{Enrolled, HostId, Register, Timestamp, close};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long the host may take to say who it is, and to take the answer.
const WITHIN: Duration = Duration::from_secs(10);

/// Serves one host.
pub(super) async fn serve(
    app: Arc<App>,
    secret: SecretHash,
    address: ClientAddress,
    mut socket: Socket,
) {
    socket.limit_long_messages(Arc::clone(&app.long_enrolments));
    let who = Who::Enrolment(secret);
    let charge = |requests| app.rates.spend(&who, requests, Instant::now());
    let first = timeout(WITHIN, intake::first(&mut socket, charge)).await;
    let Ok(Ok(register)) = first else {
        return;
    };
    let host = register.host_id.clone();
    let note = Note::of(None, address, Action::Enrol).host(&host);
    // The end of the dashboard waits until what is done is written down.
    let deed = app.core.deeds.enter();
    let (code, reason) = match enrol(&app, secret, *register).await {
        Ok(token) => {
            app.audit.done(note).await;
            drop(deed);
            let host_id = host;
            let enrolled = serde_json::to_string(&Enrolled { host_id, token });
            let text = Message::Text(enrolled.unwrap_or_default().into());
            let _ = timeout(WITHIN, socket.send(text)).await;
            (
                close::GOING_AWAY,
                "connect again with your token".to_owned(),
            )
        }
        Err(problem) => {
            let why = problem.detail().to_owned();
            app.audit.refused(note, why.clone()).await;
            (close::FORBIDDEN, why)
        }
    };
    let _ = timeout(WITHIN, socket.close(code, &reason)).await;
}

/// Makes the host's token. The secret is used up when the host comes with it.
async fn enrol(app: &Arc<App>, secret: SecretHash, register: Register) -> Result<String, Problem> {
    let host_id: HostId = register.host_id;
    let token = new_token().map_err(|error| Problem::internal(&error))?;
    let id = SecretHash::of(&token);
    let credentials = &app.auth.credentials;
    let trade = credentials.enrol(secret, &host_id, id, Timestamp::now())?;
    not_stored(app.core.state.save_trade(id, trade).await)?;
    Ok(token)
}

/// Uses up the secret of a host that comes with the token that it got for it, and shows the host.
pub(super) async fn take_up(app: &Arc<App>, token: SecretHash) -> Result<(), Problem> {
    let Some(enrolment) = app.auth.credentials.take_up(token, Timestamp::now()) else {
        return Ok(());
    };
    not_stored(app.core.state.save_enrolment(token, enrolment).await)?;
    show_hosts(app).await
}
