//! What came of an attack. One that is refused before it reaches what it is meant for shows nothing, so every answer is
//! counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Counts a connection that ended without a word,
pub(crate) const CLOSED: u16 = 0;
/// a write that nobody took for a while,
pub(crate) const HELD_UP: u16 = 1;
/// messages that were answered,
pub(crate) const HEARD: u16 = 2;
/// and frames that were sent without a wait.
pub(crate) const WRITTEN: u16 = 3;

/// Counts what came of attacks: by their names, and by the status of an answer, the code with which a WebSocket was
/// closed, [`CLOSED`], [`HELD_UP`], [`HEARD`] or [`WRITTEN`].
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<(&'static str, u16), u64>>>);

impl Tally {
    pub(crate) fn add(&self, name: &'static str, what: u16, count: u64) {
        if count > 0 {
            *self.0.lock().unwrap().entry((name, what)).or_default() += count;
        }
    }

    pub(crate) fn of(&self, name: &'static str, what: u16) -> u64 {
        let counts = self.0.lock().unwrap();
        counts.get(&(name, what)).copied().unwrap_or(0)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for ((name, what), count) in &*self.0.lock().unwrap() {
            let what = match *what {
                CLOSED => "closed".to_owned(),
                HELD_UP => "held up".to_owned(),
                HEARD => "heard".to_owned(),
                WRITTEN => "written".to_owned(),
                status => status.to_string(),
            };
            write!(f, " {name} {what}: {count},")?;
        }
        Ok(())
    }
}
