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
    /// What it counts as besides, for as long as it lasts.
    within: Option<Box<Visit>>,
}

impl Visit {
    /// Counts as that one, too.
    pub(crate) fn within(mut self, wider: Self) -> Self {
        self.within = Some(Box::new(wider));
        self
    }
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
            within: None,
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
    fn what_counts_twice_goes_from_both() {
        let (near, all) = (Visits::at_most(2), Visits::at_most(3));
        let begin = |user| Some(near.begin(user)?.within(all.begin("")?));
        let mut open: Vec<_> = ["a", "a", "b"].map(|user| begin(user).unwrap()).into();
        assert!(begin("b").is_none() && near.begin("b").is_some());
        open.pop();
        assert!(begin("b").is_some());
        drop(open);
        assert!(near.all.lock().unwrap().is_empty() && all.all.lock().unwrap().is_empty());
    }

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
