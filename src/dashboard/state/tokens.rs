use super::revocations::{Revocations, read_revoked};
use super::{State, StateError, unread};
use crate::dashboard::auth::{Enrolment, Issued, Ledger, Revoked, SecretHash, Trade};
use rusqlite::Connection;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

impl State {
    /// Every token that the dashboard made, and every one that was taken back, by the database or by the list beside
    /// it, which then has them all.
    pub(crate) async fn ledger(&self) -> Result<Ledger, StateError> {
        let counts = Arc::clone(&self.unread_rows);
        let mut ledger = self
            .read(move |connection| {
                let issued = |json: &str| serde_json::from_str(json).ok();
                let revoked = |json: &str| Some(read_revoked(json));
                Ok(Ledger {
                    issued: rows(connection, "issued", issued, &counts)?,
                    revoked: rows(connection, "revoked", revoked, &counts)?,
                })
            })
            .await?;
        ledger.revoked = self.list_revoked(ledger.revoked).await?;
        Ok(ledger)
    }

    /// Writes down beside the database what was revoked; gives all that ever was.
    async fn list_revoked(
        &self,
        revoked: impl IntoIterator<Item = (SecretHash, Revoked)> + Send + 'static,
    ) -> Result<HashMap<SecretHash, Revoked>, StateError> {
        let list: Arc<Revocations> = Arc::clone(&self.revocations);
        let added = tokio::task::spawn_blocking(move || list.add(revoked)).await;
        added.map_err(|_| StateError::Closed)?
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
        let listed = self.list_revoked([(hash, record)]).await;
        self.call(move |connection| connection.execute(REVOKE, row).map(drop))
            .await?;
        listed.map(drop)
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
        let listed = self
            .list_revoked([(enrolment.secret, enrolment.used.clone())])
            .await;
        self.call(move |connection| {
            forget(connection, &enrolment.gone)?;
            connection.execute(REVOKE, used)?;
            connection.execute(ISSUE, issued).map(drop)
        })
        .await?;
        listed.map(drop)
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

/// All rows of a table of hashes. Those that cannot be read are left out and told.
fn rows<T>(
    connection: &Connection,
    table: &'static str,
    read: impl Fn(&str) -> Option<T>,
    counts: &unread::Counts,
) -> rusqlite::Result<HashMap<SecretHash, T>> {
    let mut all = connection.prepare(&format!("SELECT hash, record FROM {table}"))?;
    let mut rows = all.query([])?;
    let (mut parsed, mut unread) = (HashMap::new(), unread::Rows::of(table));
    while let Some(row) = rows.next()? {
        // What is no text counts as a text that says nothing.
        let hash: String = row.get(0).unwrap_or_default();
        let json: String = row.get(1).unwrap_or_default();
        match SecretHash::parse(&hash).zip(read(&json)) {
            Some((hash, record)) => drop(parsed.insert(hash, record)),
            None => unread.count(&hash),
        }
    }
    unread.tell(counts);
    Ok(parsed)
}
