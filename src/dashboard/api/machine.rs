//! `POST /api/hosts/{id}/machine`: which of two living machines with one token a host is.

use super::hosts::no_such_host;
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{ClientAddress, Identity};
use crate::dashboard::extract::{Body, Ids};
use crate::dashboard::problem::Problem;
use crate::protocol::HostId;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    boot_id: String,
    /// Of two agents on that machine.
    #[serde(default)]
    installation_id: Option<String>,
}

pub(crate) async fn choose(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    Ids(id): Ids<HostId>,
    Body(choice): Body<Choice>,
) -> Result<StatusCode, Problem> {
    if !app.core.fleet.has(&id) {
        return Err(no_such_host(&id));
    }
    let note = Note::of(Some(&identity), address, Action::ChooseMachine);
    let note = note.host(&id).detail(&choice.boot_id);
    let installation = choice.installation_id.as_deref();
    if app
        .core
        .fleet
        .choose_machine(&id, &choice.boot_id, installation)
    {
        app.core.save_machines().await;
        app.audit.done(note).await;
        return Ok(StatusCode::NO_CONTENT);
    }
    let why = format!(
        "no machine of {id} can be chosen by this boot id: either there is no conflict with it, or two agents have it. See `conflict` of the host, and send `installation_id` too"
    );
    app.audit.refused(note, why.clone()).await;
    Err(Problem::new(StatusCode::CONFLICT, why))
}
