use super::{State, StateError};
use crate::dashboard::auth::{Issued, Ledger, Revoked, SecretHash};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

impl State {
    /// Every token that the dashboard made, and every one that was taken back.
    pub(crate) async fn ledger(&self) -> Result<Ledger, StateError> {
        self.call(|connection| {
            Ok(Ledger {
                issued: rows(connection, "SELECT hash, record FROM issued")?,
                revoked: rows(connection, "SELECT hash, record FROM revoked")?,
            })
        })
        .await
    }

    /// Remembers a token by its hash.
    pub(crate) async fn save_issued(
        &self,
        hash: SecretHash,
        record: Issued,
    ) -> Result<(), StateError> {
        self.save(
            hash,
            &record,
            "INSERT OR REPLACE INTO issued VALUES (?1, ?2)",
        )
        .await
    }

    /// Remembers that a token was taken back.
    pub(crate) async fn save_revoked(
        &self,
        hash: SecretHash,
        record: Revoked,
    ) -> Result<(), StateError> {
        self.save(
            hash,
            &record,
            "INSERT OR REPLACE INTO revoked VALUES (?1, ?2)",
        )
        .await
    }

    async fn save(
        &self,
        hash: SecretHash,
        record: &impl Serialize,
        into: &'static str,
    ) -> Result<(), StateError> {
        let json = serde_json::to_string(record).unwrap_or_default();
        let row = (hash.to_string(), json);
        self.call(move |connection| connection.execute(into, row).map(drop))
            .await
    }
}

fn rows<T: DeserializeOwned>(
    connection: &Connection,
    query: &str,
) -> rusqlite::Result<HashMap<SecretHash, T>> {
    let mut all = connection.prepare(query)?;
    let rows = all.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let parsed = rows.iter().filter_map(|(hash, json)| {
        Some((SecretHash::parse(hash)?, serde_json::from_str(json).ok()?))
    });
    Ok(parsed.collect())
}
