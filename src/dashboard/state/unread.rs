//! Rows that cannot be read: counted, and told once with table and key.

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

    /// Says how many there were, if any.
    pub(super) fn tell(self) {
        let Self {
            table,
            count,
            first_key,
        } = self;
        if count > 0 {
            tracing::warn!(
                table,
                count,
                first_key,
                "rows cannot be read and are left out: they were damaged, or a newer program wrote them"
            );
        }
    }
}
