//! How many pages each user has open; each costs memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most that one user may have open.
const MOST: usize = 200;

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visits(Arc<Mutex<HashMap<String, usize>>>);

/// One page, until it is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    all: Visits,
    user: String,
}

impl Visits {
    /// One more, unless there are too many.
    pub(crate) fn begin(&self, user: &str) -> Option<Visit> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(user.to_owned()).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Visit {
            all: self.clone(),
            user: user.to_owned(),
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_pages_and_others_have_theirs() {
        let visits = Visits::default();
        let mut open: Vec<_> = (0..MOST).map(|_| visits.begin("alice").unwrap()).collect();
        assert!(visits.begin("alice").is_none() && visits.begin("bob").is_some());
        open.pop();
        assert!(visits.begin("alice").is_some());
        drop(open);
        assert!(visits.0.lock().unwrap().is_empty());
    }
}
