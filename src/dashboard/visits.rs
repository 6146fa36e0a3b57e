//! How much of something each user has at a time: pages that are open, answers under way, searches. Each costs
//! memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts them.
#[derive(Clone, Debug)]
pub(crate) struct Visits {
    most: usize,
    all: Arc<Mutex<HashMap<String, usize>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    all: Visits,
    user: String,
}

impl Visits {
    /// At most so many for each user.
    pub(crate) fn at_most(most: usize) -> Self {
        let all = Arc::default();
        Self { most, all }
    }

    /// One more, unless there are too many.
    pub(crate) fn begin(&self, user: &str) -> Option<Visit> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(user.to_owned()).or_default();
        if *count >= self.most {
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
        let mut all = self.all.all.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn a_user_has_so_many_and_others_have_theirs() {
        let visits = Visits::at_most(200);
        let mut open: Vec<_> = (0..200).map(|_| visits.begin("alice").unwrap()).collect();
        assert!(visits.begin("alice").is_none() && visits.begin("bob").is_some());
        open.pop();
        assert!(visits.begin("alice").is_some());
        drop(open);
        assert!(visits.all.lock().unwrap().is_empty());
    }
}
