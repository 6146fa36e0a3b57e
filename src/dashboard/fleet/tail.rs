use crate::protocol::Seq;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// Everyone who wants to be woken when something moves. The sleepers own their bells.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<Weak<Notify>>>);

impl Watchers {
    /// Wakes `bell` from now on, for as long as somebody holds it.
    pub(crate) fn add(&self, bell: &Arc<Notify>) {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.retain(|bell| bell.strong_count() > 0);
        if !bells
            .iter()
            .any(|known| known.ptr_eq(&Arc::downgrade(bell)))
        {
            bells.push(Arc::downgrade(bell));
        }
    }

    /// Wakes them all.
    pub(crate) fn wake(&self) {
        for bell in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(Weak::upgrade)
        {
            bell.notify_one();
        }
    }
}

/// How far the log of a run goes. The intake moves it on behind each append; browsers read up to it.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: AtomicU64,
    errors: AtomicU64,
    watchers: Arc<Watchers>,
}

impl Tail {
    const UNKNOWN: u64 = u64::MAX;

    pub(super) fn new(lines: Seq, errors: Option<u64>, watchers: Arc<Watchers>) -> Self {
        let errors = AtomicU64::new(errors.unwrap_or(Self::UNKNOWN));
        Self {
            lines: AtomicU64::new(lines),
            errors,
            watchers,
        }
    }

    /// Moves on, once the lines can be read.
    pub(crate) fn advance(&self, lines: Seq, errors: Option<u64>) {
        self.errors
            .store(errors.unwrap_or(Self::UNKNOWN), Ordering::Release);
        self.lines.store(lines, Ordering::Release);
        self.watchers.wake();
    }

    /// How many lines can be read.
    pub(crate) fn lines(&self) -> Seq {
        self.lines.load(Ordering::Acquire)
    }

    /// How many of them came from standard error; unknown where the index was rebuilt.
    pub(crate) fn errors(&self) -> Option<u64> {
        Some(self.errors.load(Ordering::Acquire)).filter(|errors| *errors != Self::UNKNOWN)
    }
}
