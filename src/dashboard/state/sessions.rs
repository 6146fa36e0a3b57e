use super::{State, StateError};
use crate::dashboard::auth::{SecretHash, Session};

impl State {
    /// Who was signed in.
    pub(crate) async fn sessions(&self) -> Result<Vec<(SecretHash, Session)>, StateError> {
        let rows: Vec<(String, String)> = self
            .call(|connection| {
                let mut all = connection.prepare_cached("SELECT id, record FROM sessions")?;
                all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .await?;
        let read = |(id, json): (String, String)| {
            Some((
                SecretHash::try_from(id).ok()?,
                serde_json::from_str(&json).ok()?,
            ))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Replaces what is remembered of who is signed in.
    pub(crate) async fn save_sessions(
        &self,
        sessions: Vec<(SecretHash, Session)>,
    ) -> Result<(), StateError> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM sessions", [])?;
            for (id, session) in &sessions {
                let json = serde_json::to_string(session).unwrap_or_default();
                transaction
                    .prepare_cached("INSERT INTO sessions VALUES (?1, ?2)")?
                    .execute((id.to_string(), json))?;
            }
            transaction.commit()
        })
        .await
    }
}
