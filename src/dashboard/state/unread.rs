//! Rows that cannot be read, of all tables but that of runs: counted, and told once with table and key.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many there were in each table at the last look.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<&'static str, usize>>);

impl Counts {
    /// Whether the count of a table is another one than before.
    fn set(&self, table: &'static str, count: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert(table, count).unwrap_or(0) != count
    }

    /// Those of tables that have some.
    pub(super) fn all(&self) -> BTreeMap<&'static str, usize> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let with_some = counts.iter().filter(|(_, count)| **count > 0);
        with_some.map(|(table, count)| (*table, *count)).collect()
    }
}

/// Those of one table, or of one file.
#[derive(Debug)]
pub(super) struct Rows {
    table: &'static str,
    count: usize,
    first_key: String,
}

/// Longest key that is told, in bytes.
const MAX_KEY_BYTES: usize = 200;

impl Rows {
    pub(super) fn of(table: &'static str) -> Self {
        Self {
            table,
            count: 0,
            first_key: String::new(),
        }
    }

    /// One more.
    pub(super) fn count(&mut self, key: &str) {
        if self.count == 0 {
            key[..key.floor_char_boundary(MAX_KEY_BYTES)].clone_into(&mut self.first_key);
        }
        self.count += 1;
    }

    /// Says how many there were, if any and unless that was said before.
    pub(super) fn tell(self, counts: &Counts) {
        let Self {
            table,
            count,
            first_key,
        } = self;
        if counts.set(table, count) && count > 0 {
            tracing::warn!(
                table,
                count,
                first_key,
                "rows cannot be read and are left out: they were damaged, or a newer program wrote them"
            );
        }
    }
}
