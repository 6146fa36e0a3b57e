use super::runs::RunRecord;
use super::{Lane, State, StateError, unread};
use crate::protocol::{Deployment, Facts, HostId, RunId, Timestamp};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is remembered of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredHost {
    pub(crate) protocol: Option<u32>,
    #[serde(flatten)]
    pub(crate) facts: Facts,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) clock_skew_ms: Option<i64>,
    #[serde(default)]
    pub(crate) deployed: Option<Deployed>,
    /// The machines that have its token, as the fleet has them. Only in what is stored.
    #[serde(default)]
    pub(crate) machines: Option<serde_json::Value>,
}

/// The last run that activated a system or set the boot default. Kept beside the runs, as retention may take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deployed {
    /// The run's place among all runs, as [`RunRecord::rank`] has it.
    rank: (u64, i64, RunId),
    pub(crate) deployment: Deployment,
}

impl StoredHost {
    /// Takes in that a run ended, unless it is no deployment or an older one than is known.
    pub(crate) fn note_deployment(&mut self, record: &RunRecord) {
        let rank = record.rank();
        let is_newer =
            |known: &Deployed| known.deployment.run_id == record.run.run_id || known.rank < rank;
        if let Some(deployment) = Deployment::of(&record.run)
            && self.deployed.as_ref().is_none_or(is_newer)
        {
            self.deployed = Some(Deployed { rank, deployment });
        }
    }

    /// Whether this run is the deployment.
    pub(crate) fn is_deployed_by(&self, run_id: &RunId) -> bool {
        let deployed = self.deployed.as_ref();
        deployed.is_some_and(|deployed| deployed.deployment.run_id == *run_id)
    }
}

impl State {
    /// All hosts that ever registered.
    pub(crate) async fn hosts(&self) -> Result<Vec<(HostId, StoredHost)>, StateError> {
        let counts = Arc::clone(&self.unread_rows);
        self.read(move |connection| {
            let mut all = connection.prepare_cached("SELECT host_id, record FROM hosts")?;
            let mut rows = all.query([])?;
            let (mut parsed, mut unread) = (Vec::new(), unread::Rows::of("hosts"));
            while let Some(row) = rows.next()? {
                let id: String = row.get(0).unwrap_or_default();
                let json: String = row.get(1).unwrap_or_default();
                match HostId::new(&id).ok().zip(serde_json::from_str(&json).ok()) {
                    Some(host) => parsed.push(host),
                    None => unread.count(&id),
                }
            }
            unread.tell(&counts);
            Ok(parsed)
        })
        .await
    }

    /// Remembers what `latest` gives of a host at the moment of writing, so that no older state can overtake a newer
    /// one.
    pub(crate) async fn save_host(
        &self,
        host_id: &HostId,
        latest: impl FnOnce() -> Option<StoredHost> + Send + 'static,
    ) -> Result<(), StateError> {
        let host_id = host_id.clone();
        self.write(Lane::Host, move |connection| match latest() {
            Some(host) => write(connection, &host_id, &host),
            None => Ok(()),
        })
        .await
    }
}

pub(super) fn write(
    connection: &Connection,
    host_id: &HostId,
    host: &StoredHost,
) -> rusqlite::Result<()> {
    let json = serde_json::to_string(host).unwrap_or_default();
    let mut save = connection.prepare_cached("INSERT OR REPLACE INTO hosts VALUES (?1, ?2)")?;
    save.execute((host_id.as_str(), json)).map(drop)
}
