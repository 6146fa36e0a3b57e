//! Damage that is met while the database is in use.

use super::{StateError, schema};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How long a look at the whole database that found nothing is believed, whatever single queries say.
const RECHECK_INTERVAL: Duration = Duration::from_secs(600);

/// Rung by queries that meet damage.
#[derive(Debug, Default)]
pub(super) struct Alarm(watch::Sender<Option<String>>);

impl Alarm {
    /// A query met damage.
    pub(super) fn ring(&self, what: &str) {
        self.0.send_if_modified(|last| {
            let is_new = last.is_none();
            *last = Some(what.to_owned());
            is_new
        });
    }

    /// Waits until damage was met that a look at all of the database finds, too. A query that failed alone is told
    /// and ends nothing: the next start would find the database whole.
    pub(super) async fn confirmed(&self, database: &Path) -> StateError {
        let mut rung = self.0.subscribe();
        loop {
            // The sender lives in `self`, so waiting cannot fail.
            let _ = rung.wait_for(Option::is_some).await;
            let what = self.0.send_replace(None).unwrap_or_default();
            tracing::error!(%what, "a query found damage in the database: checking all of it");
            let path = database.to_owned();
            match spawn_blocking(move || schema::verify(&path)).await {
                Ok(Err(error @ StateError::Damaged { .. })) => return error,
                Ok(Err(error)) => tracing::error!(%error, "the database cannot be checked"),
                Ok(Ok(())) => {
                    tracing::error!(%what, "SQLite finds no damage in the database: check the disk and the memory of the machine");
                }
                Err(_) => return StateError::Closed,
            }
            sleep(RECHECK_INTERVAL).await;
        }
    }
}
