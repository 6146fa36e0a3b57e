use super::{State, StateError};
use crate::protocol::{Facts, HostId, Timestamp};
use serde::{Deserialize, Serialize};

/// What is remembered of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredHost {
    pub(crate) protocol: Option<u32>,
    #[serde(flatten)]
    pub(crate) facts: Facts,
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) clock_skew_ms: Option<i64>,
}

impl State {
    /// All hosts that ever registered.
    pub(crate) async fn hosts(&self) -> Result<Vec<(HostId, StoredHost)>, StateError> {
        self.call(|connection| {
            let mut all = connection.prepare_cached("SELECT host_id, record FROM hosts")?;
            let rows = all.query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(id, json)| {
                    Some((HostId::new(&id).ok()?, serde_json::from_str(&json).ok()?))
                })
                .collect())
        })
        .await
    }

    /// Remembers a host.
    pub(crate) async fn save_host(
        &self,
        host_id: &HostId,
        host: &StoredHost,
    ) -> Result<(), StateError> {
        let (id, json) = (
            host_id.to_string(),
            serde_json::to_string(host).unwrap_or_default(),
        );
        self.call(move |connection| {
            let mut save =
                connection.prepare_cached("INSERT OR REPLACE INTO hosts VALUES (?1, ?2)")?;
            save.execute((id, json)).map(drop)
        })
        .await
    }
}
