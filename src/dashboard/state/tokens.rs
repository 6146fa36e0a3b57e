use super::{State, StateError};
use crate::dashboard::auth::{Enrolment, Issued, Ledger, Revoked, SecretHash, Trade};
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

    /// Remembers a token that was given for an enrolment secret, and forgets others.
    pub(crate) async fn save_trade(
        &self,
        token: SecretHash,
        Trade { issued, gone }: Trade,
    ) -> Result<(), StateError> {
        let issued = row(token, &issued);
        self.call(move |connection| {
            forget(connection, &gone)?;
            connection.execute(ISSUE, issued).map(drop)
        })
        .await
    }

    /// Remembers that a secret was used up for a token: both or neither.
    pub(crate) async fn save_enrolment(
        &self,
        token: SecretHash,
        enrolment: Enrolment,
    ) -> Result<(), StateError> {
        let (used, issued) = (
            row(enrolment.secret, &enrolment.used),
            row(token, &enrolment.issued),
        );
        self.call(move |connection| {
            forget(connection, &enrolment.gone)?;
            connection.execute(REVOKE, used)?;
            connection.execute(ISSUE, issued).map(drop)
        })
        .await
    }
}

fn forget(connection: &Connection, gone: &[SecretHash]) -> rusqlite::Result<()> {
    let mut forget = connection.prepare_cached("DELETE FROM issued WHERE hash = ?1")?;
    for hash in gone {
        forget.execute([hash.to_string()])?;
    }
    Ok(())
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
