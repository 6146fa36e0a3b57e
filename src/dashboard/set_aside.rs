//! Tells that the database is a new one: in the journal, in the audit log, and in `/health` until somebody looked.

use super::audit::{Action, Note};
use super::core::Core;
use super::health::{Topic, WarningEnds};
use super::state::Anew;
use std::sync::Arc;

impl Core {
    /// Tells it at start. Databases that were set aside earlier and still lie there are told again.
    pub(super) async fn tell_anew(self: &Arc<Self>, anew: Option<Anew>) {
        let aside = self.names_set_aside().await;
        let ends = if aside.is_empty() {
            WarningEnds::WithProcess
        } else {
            WarningEnds::WhenLooked
        };
        let Some(anew) = anew else {
            if let Some(look) = once_looked(&aside) {
                tracing::warn!("{look}");
                self.health.warn(Topic::Database, look, ends);
            }
            return;
        };
        tracing::error!("{anew}");
        let look = once_looked(&aside).map(|look| format!(". {look}"));
        let warning = format!("{anew}{}", look.unwrap_or_default());
        self.health.warn(Topic::Database, warning, ends);
        let note = Note::of_dashboard(Action::DatabaseAnew);
        self.audit.done(note.detail(&anew.to_string())).await;
    }

    /// Ends the warning once what was set aside is gone: then somebody has looked.
    pub(super) async fn look_aside(self: &Arc<Self>) {
        if self.health.warning_ends_when_looked(Topic::Database)
            && self.names_set_aside().await.is_empty()
        {
            tracing::info!("the damaged databases were removed from the data folder");
            self.health.end_warning(Topic::Database);
        }
    }

    async fn names_set_aside(self: &Arc<Self>) -> Vec<String> {
        let state = self.state.clone();
        let listed = tokio::task::spawn_blocking(move || state.set_aside()).await;
        match listed {
            Ok(Ok(names)) => names,
            // What cannot be looked at is left as it was said to be.
            _ => vec!["(names not readable)".to_owned()],
        }
    }
}

fn once_looked(aside: &[String]) -> Option<String> {
    let newest = aside.last()?;
    Some(match aside.len() {
        1 => format!(
            "The data folder contains a damaged database, {newest}: see the journal of that time for its losses. Then move it away or delete it"
        ),
        count => format!(
            "The data folder contains {count} damaged databases, the newest is {newest}: see the journal for their losses, and find the cause (the disk or the memory of the machine). Then move them away or delete them"
        ),
    })
}
