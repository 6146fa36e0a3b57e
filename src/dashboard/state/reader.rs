//! Reads of the database on connections of their own, which never wait for a commit.

use super::writer::SharedError;
use rusqlite::{Connection, OpenFlags};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How many reads may wait for a thread; more make their senders wait, in order.
const MAX_QUEUED_READS: usize = 256;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A handle to a thread that reads. The thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Reader(mpsc::Sender<Read>);

/// Opens a connection that cannot write.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA cache_size = -1000; PRAGMA busy_timeout = 5000;")?;
    Ok(connection)
}

impl Reader {
    /// Starts a thread of this name.
    pub(super) fn start(connection: Connection, name: &str) -> io::Result<Self> {
        let (sender, mut todo) = mpsc::channel::<Read>(MAX_QUEUED_READS);
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || {
            while let Some(read) = todo.blocking_recv() {
                read(&connection);
            }
        })?;
        Ok(Self(sender))
    }

    /// Reads what is committed by now. `None` when the thread is gone.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<Result<T, SharedError>> {
        let (answer, answered) = oneshot::channel();
        let boxed: Read = Box::new(move |connection| {
            let _ = answer.send(read(connection).map_err(Arc::new));
        });
        self.0.send(boxed).await.ok()?;
        answered.await.ok()
    }
}
