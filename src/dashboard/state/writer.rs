//! Group commit: one thread writes to the database, and all jobs that wait share one transaction.
//!
//! A commit costs a sync of the disk, whatever it holds. Each job has a savepoint of its own, so one that fails takes
//! no other with it, and each is answered only after the commit. Jobs that arrive during a commit are the next batch.

use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

/// How many jobs of a lane may wait; more make their senders wait, in order. A batch holds at most this many of each
/// lane, so no lane is kept waiting by another one.
const MAX_QUEUED_JOBS: usize = 256;

/// Which jobs come first within a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// What people ask for: commands, sessions, tokens.
    Request,
    /// How runs begin and end.
    Run,
    /// How hosts are; many at once when the dashboard was restarted.
    Host,
}

/// What a database error is shared as: one failed commit is told to many.
pub(super) type SharedError = Arc<rusqlite::Error>;

/// Number of transactions and of the jobs in them.
#[derive(Debug, Default)]
pub(crate) struct WriteCounters {
    pub(crate) commits: AtomicU64,
    pub(crate) jobs: AtomicU64,
}

/// The sending ends of the lanes. The thread ends when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    request: mpsc::Sender<Box<dyn Job>>,
    run: mpsc::Sender<Box<dyn Job>>,
    host: mpsc::Sender<Box<dyn Job>>,
    counters: Arc<WriteCounters>,
}

/// A piece of work inside a shared transaction.
trait Job: Send {
    /// Does the work; the result is kept until [`answer`](Self::answer). `false` when it failed.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Answers whoever asked: with the result, or with the error that undid the whole transaction.
    fn answer(self: Box<Self>, committed: Result<(), SharedError>);
}

struct Typed<T, F> {
    work: Option<F>,
    result: Option<rusqlite::Result<T>>,
    answer: oneshot::Sender<Result<T, SharedError>>,
}

impl<T, F> Job for Typed<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(connection));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), SharedError>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(Arc::new(error)),
            (_, Err(error)) => Err(error),
            (Some(Ok(result)), Ok(())) => Ok(result),
            // Only a job that ran is answered with a commit.
            (None, Ok(())) => return,
        };
        let _ = self.answer.send(result);
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (request, requests) = mpsc::channel(MAX_QUEUED_JOBS);
        let (run, runs) = mpsc::channel(MAX_QUEUED_JOBS);
        let (host, hosts) = mpsc::channel(MAX_QUEUED_JOBS);
        let counters = Arc::new(WriteCounters::default());
        let theirs = Arc::clone(&counters);
        let waiting = runtime::Builder::new_current_thread().build()?;
        std::thread::Builder::new()
            .name("state".into())
            .spawn(move || {
                let mut lanes = [requests, runs, hosts];
                while let Some(batch) = waiting.block_on(next_batch(&mut lanes)) {
                    commit_all(&connection, batch, &theirs);
                }
            })?;
        Ok(Self {
            request,
            run,
            host,
            counters,
        })
    }

    pub(super) fn counters(&self) -> &WriteCounters {
        &self.counters
    }

    /// Does `work` in the next transaction; answers once that is on disk. `None` when the thread is gone.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Option<Result<T, SharedError>> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Typed {
            work: Some(work),
            result: None,
            answer,
        });
        let lane = match lane {
            Lane::Request => &self.request,
            Lane::Run => &self.run,
            Lane::Host => &self.host,
        };
        lane.send(job).await.ok()?;
        answered.await.ok()
    }
}

type Jobs = Vec<Box<dyn Job>>;

/// Waits for a job, and takes all that wait with it. `None` when nobody can send any more.
async fn next_batch(lanes: &mut [mpsc::Receiver<Box<dyn Job>>; 3]) -> Option<Jobs> {
    let mut batch = Vec::new();
    let [requests, runs, hosts] = lanes;
    tokio::select! {
        biased;
        Some(job) = requests.recv() => batch.push(job),
        Some(job) = runs.recv() => batch.push(job),
        Some(job) = hosts.recv() => batch.push(job),
        else => return None,
    }
    for lane in lanes {
        let waiting = std::iter::from_fn(|| lane.try_recv().ok());
        batch.extend(waiting.take(MAX_QUEUED_JOBS));
    }
    Some(batch)
}

/// Does all jobs of a batch, in one transaction unless SQLite undoes it in the middle.
fn commit_all(connection: &Connection, mut batch: Jobs, counters: &WriteCounters) {
    counters
        .jobs
        .fetch_add(batch.len() as u64, Ordering::Relaxed);
    while !batch.is_empty() {
        counters.commits.fetch_add(1, Ordering::Relaxed);
        batch = commit(connection, batch);
    }
}

/// Does jobs in one transaction and answers them; gives those whose turn did not come.
fn commit(connection: &Connection, batch: Jobs) -> Jobs {
    let mut todo = batch.into_iter();
    let mut done = Vec::with_capacity(todo.len());
    let committed = transaction(connection, &mut todo, &mut done).map_err(Arc::new);
    let mut rest: Jobs = todo.collect();
    if committed.is_err() && done.is_empty() {
        // It could not even be begun: that is so for all of them.
        done.append(&mut rest);
    }
    for job in done {
        job.answer(committed.clone());
    }
    rest
}

fn transaction(
    connection: &Connection,
    todo: &mut impl Iterator<Item = Box<dyn Job>>,
    done: &mut Jobs,
) -> rusqlite::Result<()> {
    let execute = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop);
    execute("BEGIN IMMEDIATE")?;
    let worked = (|| {
        for mut job in todo {
            let begun = execute("SAVEPOINT job");
            let went_well = begun.is_ok() && job.run(connection);
            done.push(job);
            begun?;
            // A full disk, say, undoes the whole transaction, of which nothing is left to go on with.
            if connection.is_autocommit() {
                return Err(rolled_back());
            }
            if !went_well {
                execute("ROLLBACK TO job")?;
            }
            execute("RELEASE job")?;
        }
        execute("COMMIT")
    })();
    if worked.is_err() && !connection.is_autocommit() {
        let _ = execute("ROLLBACK");
    }
    worked
}

/// Tells those whose work was undone by the failure of another job in the same transaction.
fn rolled_back() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT);
    rusqlite::Error::SqliteFailure(code, Some("the transaction was undone".to_owned()))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
