//! A core on a folder of its own, for unit tests.

use super::audit::Audit;
use super::core::Core;
use super::health::Health;
use super::starting::Starting;
use super::state::State;
use super::syncer::Syncer;
use super::{core, startup};
use crate::lifecycle::Shutdown;
use crate::protocol::{CommandName, HostId, RunId};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn host(id: &str) -> HostId {
    HostId::new(id).unwrap()
}

pub(crate) fn run_id(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

pub(crate) fn switch() -> CommandName {
    CommandName::new("switch").unwrap()
}

/// A core as the dashboard starts it on `dir`, with the host `h1`.
pub(crate) async fn open(dir: &Path) -> Arc<Core> {
    std::fs::create_dir_all(dir.join("logs")).unwrap();
    let health = Arc::new(Health::default());
    let state = State::open(&dir.join("switchyard.sqlite")).unwrap();
    let syncer = Syncer::start(&dir.join("logs"), Arc::clone(&health)).unwrap();
    let core = core::Core::new(
        state,
        dir.join("logs"),
        syncer,
        Arc::clone(&health),
        Arc::new(Audit::open(dir, 1 << 30, health).unwrap()),
        Shutdown::new(),
        Arc::default(),
    );
    let core = Arc::new(core);
    startup::load(&core, [host("h1")].into(), &Starting::default())
        .await
        .unwrap();
    core
}

/// What alice asks for.
pub(crate) fn order() -> core::Order {
    core::Order {
        command: switch(),
        then: None,
        requested_by: "alice".into(),
        expires: Duration::from_secs(3600),
    }
}

/// Asks for a run of `switch` on `h1`.
pub(crate) async fn ask(core: &Arc<Core>) -> RunId {
    let mut runs = core.enqueue(&[host("h1")], order()).await;
    runs.pop().unwrap().unwrap().run_id
}

/// The messages, as JSON.
pub(crate) fn parsed(messages: &[String]) -> Vec<Value> {
    messages
        .iter()
        .map(|json| serde_json::from_str(json).unwrap())
        .collect()
}
