use super::{State, StateError, unread};
use crate::dashboard::auth::{SecretHash, Session};
use std::sync::Arc;

const SAVE: &str = "INSERT OR REPLACE INTO sessions VALUES (?1, ?2)";

impl State {
    /// Who was signed in.
    pub(crate) async fn sessions(&self) -> Result<Vec<(SecretHash, Session)>, StateError> {
        let counts = Arc::clone(&self.unread_rows);
        self.read(move |connection| {
            let mut all = connection.prepare("SELECT id, record FROM sessions")?;
            let mut rows = all.query([])?;
            let (mut parsed, mut unread) = (Vec::new(), unread::Rows::of("sessions"));
            while let Some(row) = rows.next()? {
                let id: String = row.get(0).unwrap_or_default();
                let json: String = row.get(1).unwrap_or_default();
                match SecretHash::parse(&id).zip(serde_json::from_str(&json).ok()) {
                    Some(session) => parsed.push(session),
                    // Its id is a hash, and is told to nobody all the same.
                    None => unread.count("not told"),
                }
            }
            unread.tell(&counts);
            Ok(parsed)
        })
        .await
    }

    /// Remembers a session.
    pub(crate) async fn save_session(
        &self,
        id: SecretHash,
        session: Session,
    ) -> Result<(), StateError> {
        self.call(move |connection| connection.execute(SAVE, row(id, &session)).map(drop))
            .await
    }

    /// Forgets a session.
    pub(crate) async fn remove_session(&self, id: SecretHash) -> Result<(), StateError> {
        self.call(move |connection| {
            let remove = "DELETE FROM sessions WHERE id = ?1";
            connection.execute(remove, [id.to_string()]).map(drop)
        })
        .await
    }

    /// Remembers these sessions and no others. They are asked for when their turn comes, so that one which ends
    /// meanwhile is not stored again.
    pub(crate) async fn replace_sessions(
        &self,
        sessions: impl FnOnce() -> Vec<(SecretHash, Session)> + Send + 'static,
    ) -> Result<(), StateError> {
        self.call(move |connection| {
            connection.execute("DELETE FROM sessions", [])?;
            let mut save = connection.prepare_cached(SAVE)?;
            for (id, session) in &sessions() {
                save.execute(row(*id, session))?;
            }
            Ok(())
        })
        .await
    }
}

fn row(id: SecretHash, session: &Session) -> (String, String) {
    let json = serde_json::to_string(session).unwrap_or_default();
    (id.to_string(), json)
}
