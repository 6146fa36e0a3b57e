//! Whether the dashboard can store what it is sent.

use std::sync::{Mutex, PoisonError};

/// Shared by all that store, and by `/health`.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<String>>);

impl Health {
    /// Something could not be stored, for this reason.
    pub(crate) fn fault(&self, reason: String) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.as_ref() != Some(&reason) {
            tracing::error!(%reason, "cannot store");
        }
        *state = Some(reason);
    }

    /// Everything can be stored again.
    pub(crate) fn well(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.take().is_some() {
            tracing::info!("storing again");
        }
    }

    /// Why it cannot store; `None` while it can.
    pub(crate) fn reason(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
