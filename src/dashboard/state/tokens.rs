use super::{State, StateError};
use crate::dashboard::auth::{Enrolment, Issued, Ledger, Revoked, SecretHash};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

impl State {
    /// Every token that the dashboard made, and every one that was taken back.
    pub(crate) async fn ledger(&self) -> Result<Ledger, StateError> {
        self.read(|connection| {
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
        let row = row(hash, &record);
        self.call(move |connection| connection.execute(ISSUE, row).map(drop))
            .await
    }

    /// Remembers that a token was taken back.
    pub(crate) async fn save_revoked(
        &self,
        hash: SecretHash,
        record: Revoked,
    ) -> Result<(), StateError> {
        let row = row(hash, &record);
        self.call(move |connection| connection.execute(REVOKE, row).map(drop))
            .await
    }

    /// Remembers that a secret was used up for a token: both or neither.
    pub(crate) async fn save_enrolment(
        &self,
        secret: SecretHash,
        token: SecretHash,
        Enrolment { used, issued }: Enrolment,
    ) -> Result<(), StateError> {
        let (used, issued) = (row(secret, &used), row(token, &issued));
        self.call(move |connection| {
            connection.execute(REVOKE, used)?;
            connection.execute(ISSUE, issued).map(drop)
        })
        .await
    }
}

const ISSUE: &str = "INSERT OR REPLACE INTO issued VALUES (?1, ?2)";
const REVOKE: &str = "INSERT OR REPLACE INTO revoked VALUES (?1, ?2)";

fn row(hash: SecretHash, record: &impl Serialize) -> (String, String) {
    let json = serde_json::to_string(record).unwrap_or_default();
    (hash.to_string(), json)
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
