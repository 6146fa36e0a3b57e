//! `POST /api/hosts/{id}/command`, `POST /api/commands`.

use super::hosts::no_such_host;
use crate::dashboard::app::App;
use crate::dashboard::audit::{Action, Note};
use crate::dashboard::auth::{ClientAddress, Identity};
use crate::dashboard::core::{CommandError, Order};
use crate::dashboard::extract::{Body, Ids, LongBody};
use crate::dashboard::fleet::Refusal;
use crate::dashboard::many::for_hosts;
use crate::dashboard::problem::Problem;
use crate::dashboard::state::StopWish;
use crate::protocol::{CommandName, HostId, InvalidHostId, Run, RunId, Status, Timestamp};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long a command waits for its host where nobody says, in seconds, and at most (30 days).
const EXPIRES: u64 = 3_600;
const MAX_EXPIRES: u64 = 30 * 24 * 3_600;
/// More hosts than one dashboard is made for,
const MAX_HOSTS: usize = 10_000;
/// and the bytes that name them.
pub(crate) const MAX_BULK_BYTES: usize = 1 << 20;
const STOP: &str = "stop";
/// It may be forced as well.
const REBOOT: &str = "reboot";
/// How many runs are asked to stop at a time: their ends are stored together.
const STOPS_AT_ONCE: usize = 64;
/// As much is told of what cannot name a host, in bytes; a name that can is shorter.
const MAX_TOLD_BYTES: usize = 128;
/// So many ids of hosts take as much of the audit log as a record without them.
const HOSTS_A_RECORD: u32 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    command: String,
    then: Option<String>,
    expires: Option<u64>,
    force: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkWish {
    hosts: BulkHosts,
    command: String,
    then: Option<String>,
    expires: Option<u64>,
    force: Option<bool>,
}

/// The hosts of a bulk. Of too many none is kept, so that they cost what it takes to count them.
enum BulkHosts {
    Named(Vec<String>),
    TooMany(usize),
}

impl<'de> Deserialize<'de> for BulkHosts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(BulkHostsVisitor)
    }
}

struct BulkHostsVisitor;

impl<'de> Visitor<'de> for BulkHostsVisitor {
    type Value = BulkHosts;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of hosts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<BulkHosts, A::Error> {
        let mut hosts = Vec::new();
        while hosts.len() < MAX_HOSTS {
            match list.next_element()? {
                Some(host) => hosts.push(host),
                None => return Ok(BulkHosts::Named(hosts)),
            }
        }
        let mut count = hosts.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(if count > MAX_HOSTS {
            BulkHosts::TooMany(count)
        } else {
            BulkHosts::Named(hosts)
        })
    }
}

#[derive(Serialize)]
struct Taken {
    run_id: RunId,
    host_id: HostId,
    command: CommandName,
    status: Status,
}

#[derive(Serialize)]
struct BulkResults {
    results: Vec<BulkResult>,
}

#[derive(Serialize)]
struct BulkResult {
    host_id: String,
    status: u16,
    run_id: Option<RunId>,
    detail: Option<String>,
}

pub(crate) async fn command(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    Ids(id): Ids<HostId>,
    Body(wish): Body<Wish>,
) -> Result<impl IntoResponse, Problem> {
    if !app.core.fleet.has(&id) {
        return Err(no_such_host(&id));
    }
    let run = if wish.command == STOP {
        no_then(wish.then.as_deref())?;
        app.core.stop(&id, stop_wish(&identity, wish.force)).await
    } else {
        no_force(&wish.command, wish.force)?;
        let order = order(&identity, &wish.command, wish.then.as_deref(), wish.expires)?;
        let hosts = std::slice::from_ref(&id);
        let mut runs = app.core.enqueue(hosts, order).await;
        runs.pop()
            .unwrap_or_else(|| Err(CommandError::NotStored("no answer".into())))
            .map(|run| *run)
    };
    let commands = (wish.command.as_str(), wish.then.as_deref());
    note(&app, &identity, address, &id, commands, run.as_ref()).await;
    Ok((StatusCode::ACCEPTED, Json(Taken::from(run?))))
}

pub(crate) async fn bulk(
    State(app): State<Arc<App>>,
    identity: Identity,
    address: ClientAddress,
    LongBody { value: wish, place }: LongBody<BulkWish>,
) -> Result<Response, Problem> {
    let hosts = match &wish.hosts {
        BulkHosts::Named(hosts) => hosts,
        BulkHosts::TooMany(count) => {
            let detail = format!(
                "`hosts` names {count} hosts; at most {MAX_HOSTS} are allowed in one request"
            );
            return Err(Problem::bad_request(detail));
        }
    };
    // A host out of sight does not exist.
    let named = |id: &str| {
        let id = HostId::new(id).map_err(|_| no_host_id(id))?;
        if identity.scope.has(&id) {
            Ok(id)
        } else {
            Err(format!("unknown host \"{id}\""))
        }
    };
    let valid: Vec<HostId> = for_hosts(hosts.len(), || {
        hosts.iter().flat_map(|id| named(id)).collect()
    })
    .await;
    // Also those that are none: looking at a name costs the same.
    charge_bulk(&app, &identity, hosts.len())?;
    let runs: Vec<_> = if wish.command == STOP {
        no_then(wish.then.as_deref())?;
        let stops = valid.clone().into_iter().map(|id| {
            let (app, wish) = (&app, stop_wish(&identity, wish.force));
            async move { app.core.stop(&id, wish).await.map(Box::new) }
        });
        stream::iter(stops).buffered(STOPS_AT_ONCE).collect().await
    } else {
        no_force(&wish.command, wish.force)?;
        let order = order(&identity, &wish.command, wish.then.as_deref(), wish.expires)?;
        app.core.enqueue(&valid, order).await
    };
    let commands = (wish.command.as_str(), wish.then.as_deref());
    note_bulk(&app, &identity, address, commands, &valid, &runs).await;
    let mut runs = runs.into_iter();
    let results = hosts.iter().map(|id| match named(id) {
        Ok(_) => runs
            .next()
            .map_or_else(|| unanswered(id), |run| BulkResult::of(id, run)),
        Err(detail) => BulkResult {
            host_id: id.clone(),
            status: 404,
            run_id: None,
            detail: Some(detail),
        },
    });
    // It is written here, not only when it is sent.
    Ok(for_hosts(hosts.len(), || {
        let results = results.collect();
        let answer = Json(BulkResults { results });
        (StatusCode::MULTI_STATUS, place.map(Extension), answer).into_response()
    })
    .await)
}

/// Writes down who asked what of which host, and what came of it.
async fn note(
    app: &App,
    identity: &Identity,
    address: ClientAddress,
    host: &HostId,
    (command, then): (&str, Option<&str>),
    run: Result<&Run, &CommandError>,
) {
    let note = note_of(identity, address, command).host(host);
    let then = then.map(|then| note_of(identity, address, then).host(host));
    match run {
        Ok(run) => {
            let done = note.command(&run.command).run(&run.run_id);
            app.audit.done(done).await;
            if let Some(then) = then {
                let after = format!("once {} is ok", run.run_id);
                app.audit.done(then.detail(&after)).await;
            }
        }
        Err(error) => {
            app.audit.refused(note, error.to_string()).await;
            if let Some(then) = then {
                app.audit.refused(then, error.to_string()).await;
            }
        }
    }
}

/// Writes down one record for a request for several hosts: for which of them it was taken, and how many refused it.
async fn note_bulk(
    app: &App,
    identity: &Identity,
    address: ClientAddress,
    (command, then): (&str, Option<&str>),
    hosts: &[HostId],
    runs: &[Result<Box<Run>, CommandError>],
) {
    if let ([host], [run]) = (hosts, runs) {
        return note(
            app,
            identity,
            address,
            host,
            (command, then),
            run.as_deref(),
        )
        .await;
    }
    let taken: Vec<&Run> = runs.iter().flatten().map(Box::as_ref).collect();
    let mut refusals = hosts
        .iter()
        .zip(runs)
        .filter_map(|(host, run)| Some((host, run.as_ref().err()?)));
    let first = refusals
        .next()
        .map(|(host, error)| format!("{host}: {error}"));
    let note = note_of(identity, address, command);
    let why = first.map(|first| match refusals.count() {
        0 => format!("refused for 1 host: {first}"),
        more => format!("refused for {} hosts, the first: {first}", more + 1),
    });
    if taken.is_empty() {
        let why = why.unwrap_or_else(|| "`hosts` is empty".to_owned());
        return app.audit.refused(note, why).await;
    }
    let hosts: Vec<HostId> = taken.iter().map(|run| run.host_id.clone()).collect();
    let then = then.map(|then| note_of(identity, address, then).hosts(hosts.clone()));
    let mut note = note.hosts(hosts);
    // The runs of one request nearly always have one id.
    if taken.iter().all(|run| run.run_id == taken[0].run_id) {
        note = note.run(&taken[0].run_id);
    }
    if let Some(why) = why {
        note = note.detail(&why);
    }
    app.audit.done(note).await;
    if let Some(then) = then {
        let after = format!("once {command} is ok");
        app.audit.done(then.detail(&after)).await;
    }
}

fn note_of(identity: &Identity, address: ClientAddress, command: &str) -> Note {
    let action = if command == STOP {
        Action::Stop
    } else {
        Action::Command
    };
    let note = Note::of(Some(identity), address, action);
    match CommandName::new(command) {
        Ok(command) => note.command(&command),
        Err(_) => note,
    }
}

/// Takes what the hosts of a bulk add to the audit log from the user's share of it, before anything is done.
fn charge_bulk(app: &App, identity: &Identity, hosts: usize) -> Result<(), Problem> {
    let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    app.charge_deeds(identity, hosts / HOSTS_A_RECORD)
}

/// Says what is wrong with a name, of which a long one is not told whole a second time.
fn no_host_id(name: &str) -> String {
    let end = name.floor_char_boundary(MAX_TOLD_BYTES);
    InvalidHostId(name[..end].to_owned()).to_string()
}

fn unanswered(id: &str) -> BulkResult {
    BulkResult {
        host_id: id.to_owned(),
        status: 503,
        run_id: None,
        detail: None,
    }
}

fn stop_wish(identity: &Identity, force: Option<bool>) -> StopWish {
    StopWish {
        requested_by: identity.name.clone(),
        force: force.unwrap_or(false),
        at: Timestamp::now(),
    }
}

fn order(
    identity: &Identity,
    command: &str,
    then: Option<&str>,
    expires: Option<u64>,
) -> Result<Order, Problem> {
    Ok(Order {
        command: command_name(command)?,
        then: then.map(command_name).transpose()?,
        requested_by: identity.name.clone(),
        expires: expiry(expires)?,
    })
}

/// Nothing follows a stop.
fn no_then(then: Option<&str>) -> Result<(), Problem> {
    match then {
        Some(_) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "`then` goes with a command, not with `stop`: leave it out".to_owned(),
        )),
        None => Ok(()),
    }
}

/// Nothing else is forced: whoever sends it expects something by it.
fn no_force(command: &str, force: Option<bool>) -> Result<(), Problem> {
    if force == Some(true) && command != REBOOT {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!(
                "`force` goes with `{STOP}` and `{REBOOT}`, not with {command:?}: leave it out"
            ),
        ));
    }
    Ok(())
}

fn command_name(name: &str) -> Result<CommandName, Problem> {
    CommandName::new(name)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

fn expiry(seconds: Option<u64>) -> Result<Duration, Problem> {
    match seconds.unwrap_or(EXPIRES) {
        seconds @ 1..=MAX_EXPIRES => Ok(Duration::from_secs(seconds)),
        seconds => Err(Problem::bad_request(format!(
            "`expires` is {seconds}; give 1 to {MAX_EXPIRES} seconds"
        ))),
    }
}

impl From<Run> for Taken {
    fn from(run: Run) -> Self {
        Self {
            run_id: run.run_id,
            host_id: run.host_id,
            command: run.command,
            status: run.status,
        }
    }
}

impl BulkResult {
    fn of(host_id: &str, run: Result<Box<Run>, CommandError>) -> Self {
        let host_id = host_id.to_owned();
        match run {
            Ok(run) => Self {
                host_id,
                status: 202,
                run_id: Some(run.run_id),
                detail: None,
            },
            Err(error) => Self {
                host_id,
                status: status(&error).as_u16(),
                run_id: None,
                detail: Some(error.to_string()),
            },
        }
    }
}

fn status(error: &CommandError) -> StatusCode {
    match error {
        CommandError::Refused(Refusal::NoHost(_)) => StatusCode::NOT_FOUND,
        CommandError::Refused(Refusal::NotOffered { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
        CommandError::Refused(
            Refusal::Busy { .. }
            | Refusal::Reserved(_)
            | Refusal::Conflict(_)
            | Refusal::NothingToStop(_)
            | Refusal::Activating(_),
        ) => StatusCode::CONFLICT,
        CommandError::NotStored(_) | CommandError::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        Self::new(status(&error), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_hosts_none_is_kept() {
        let list = |count: usize| serde_json::to_string(&vec!["h1"; count]).unwrap();
        let parsed = |count| serde_json::from_str(&list(count)).unwrap();
        assert!(matches!(parsed(MAX_HOSTS), BulkHosts::Named(hosts) if hosts.len() == MAX_HOSTS));
        assert!(
            matches!(parsed(MAX_HOSTS + 1), BulkHosts::TooMany(count) if count == MAX_HOSTS + 1)
        );
        assert!(serde_json::from_str::<BulkHosts>(r#"["h1", 2]"#).is_err());
        assert!(serde_json::from_str::<BulkHosts>("{}").is_err());
    }
}
