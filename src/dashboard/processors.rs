//! Turns of work that takes a processor for milliseconds: searches and requests for many hosts. One processor is left
//! to all the rest: the lines of runs do not wait behind such work, however many ask for it. Passwords are checked beside
//! it, so that nobody has to wait for searches to sign in.

use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a turn takes where it can be passed on.
const TURN_TIME: Duration = Duration::from_millis(10);
/// How long a turn is waited for at most. A search that is held by the disk then holds nothing else up.
const PATIENCE: Duration = Duration::from_secs(2);

static OF_MACHINE: LazyLock<Processors> = LazyLock::new(|| {
    let all = available_parallelism().map_or(1, NonZero::get);
    Processors::new(all.saturating_sub(1).max(1), PATIENCE)
});

/// The processors for such work. Whoever asks first has the first turn.
#[derive(Clone, Debug)]
pub(crate) struct Processors {
    permits: Arc<Semaphore>,
    patience: Duration,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Processor {
    of: Processors,
    since: Instant,
    /// None where it was waited for too long.
    permit: Option<OwnedSemaphorePermit>,
}

impl Processor {
    /// Lets others have their turn before the next one, where this one took its time. For a thread that may be held, of
    /// which a runtime knows.
    pub(crate) fn pass_on(&mut self) {
        if self.since.elapsed() >= TURN_TIME {
            self.permit = None;
            *self = self.of.turn_of_thread();
        }
    }
}

impl Processors {
    /// Those of the machine, which all parts of the program share.
    pub(crate) fn of_machine() -> Self {
        OF_MACHINE.clone()
    }

    fn new(count: usize, patience: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(count)),
            patience,
        }
    }

    /// A turn of a few milliseconds.
    pub(crate) async fn turn(&self) -> Processor {
        let permit = timeout(self.patience, Arc::clone(&self.permits).acquire_owned()).await;
        // Nobody closes it.
        self.begin(permit.ok().and_then(Result::ok))
    }

    /// The same for a thread that may be held, of which a runtime knows.
    pub(crate) fn turn_of_thread(&self) -> Processor {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => self.begin(Some(permit)),
            Err(_) => Handle::current().block_on(self.turn()),
        }
    }

    fn begin(&self, permit: Option<OwnedSemaphorePermit>) -> Processor {
        Processor {
            of: self.clone(),
            since: Instant::now(),
            permit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::thread;
    use tokio::task::spawn_blocking;

    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn as_many_have_a_turn_as_there_are_and_the_next_one_is_the_first_that_asked() {
        let processors = Processors::new(1, SOON);
        let turn = processors.turn().now_or_never();
        assert!(turn.is_some());
        let (mut first, mut second) = (Box::pin(processors.turn()), Box::pin(processors.turn()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(turn);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.now_or_never().is_some());
        assert!(second.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_thread_waits_for_its_turn_behind_those_who_asked_before() {
        let processors = Processors::new(1, SOON);
        let turn = processors.turn().await;
        let of_thread = processors.clone();
        let thread = spawn_blocking(move || drop(of_thread.turn_of_thread()));
        assert!(!thread.is_finished());
        drop(turn);
        thread.await.unwrap();
    }

    #[tokio::test]
    async fn a_turn_that_took_its_time_is_passed_on_to_whoever_waits() {
        let processors = Processors::new(1, SOON);
        let mut turn = processors.turn().await;
        let mut other = Box::pin(processors.turn());
        assert!(other.as_mut().now_or_never().is_none());
        let thread = spawn_blocking(move || {
            while turn.since.elapsed() < TURN_TIME {
                thread::yield_now();
            }
            turn.pass_on();
            turn.permit.is_some()
        });
        drop(other.await);
        assert!(thread.await.unwrap(), "it has the next one");
    }

    #[tokio::test]
    async fn whoever_waited_too_long_goes_on_without_a_turn() {
        let processors = Processors::new(1, Duration::from_millis(1));
        let turn = processors.turn().await;
        let other = processors.turn().await;
        assert!(turn.permit.is_some() && other.permit.is_none());
    }
}
