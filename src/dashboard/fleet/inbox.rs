//! What the connection of an agent is told from outside.

use super::Errand;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most errands that wait; more than one host can have at a time.
const MAX_ERRANDS: usize = 16;

/// The errands of one connection, and whether it is to close. It is small, for there are as many as agents, and nearly
/// all of them are empty nearly always: a queue takes memory only while something is in it.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    content: Mutex<Content>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Content {
    errands: VecDeque<Errand>,
    /// The code to close with.
    close: Option<u16>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Close with this code.
    Close(u16),
    Errand(Errand),
}

impl Inbox {
    /// Asks for an errand. When too many wait the connection hangs: the state tells what to send again after the next
    /// `registered`.
    pub(crate) fn send(&self, errand: Errand) {
        let mut content = self.lock();
        if content.errands.len() < MAX_ERRANDS {
            content.errands.push_back(errand);
            self.bell.notify_one();
        }
    }

    /// Asks the connection to close with this code, before any errand.
    pub(crate) fn close(&self, code: u16) {
        self.lock().close = Some(code);
        self.bell.notify_one();
    }

    /// Waits for what comes next. For one task alone, as is [`closed`](Self::closed).
    pub(crate) async fn next(&self) -> Told {
        loop {
            if let Some(told) = self.take() {
                return told;
            }
            // Whatever came since has left its mark, which ends the wait at once.
            self.bell.notified().await;
        }
    }

    /// Waits for the code with which the connection is to close. Errands stay.
    pub(crate) async fn closed(&self) -> u16 {
        loop {
            if let Some(code) = self.lock().close {
                return code;
            }
            self.bell.notified().await;
        }
    }

    fn take(&self) -> Option<Told> {
        let mut content = self.lock();
        if let Some(code) = content.close {
            return Some(Told::Close(code));
        }
        let errand = content.errands.pop_front()?;
        if content.errands.is_empty() {
            content.errands = VecDeque::new();
        }
        Some(Told::Errand(errand))
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Each change is one assignment.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::run_id;
    use crate::protocol::close;
    use futures_util::FutureExt;

    fn errand(n: usize) -> Errand {
        Errand::Begin(run_id(&format!("2025-12-14T10-30-00-switch-{}", n + 2)))
    }

    #[tokio::test]
    async fn errands_come_in_order_also_those_that_came_while_only_the_end_was_waited_for() {
        let inbox = Inbox::default();
        assert_eq!(inbox.next().now_or_never(), None);
        for n in 0..3 {
            inbox.send(errand(n));
            assert_eq!(inbox.closed().now_or_never(), None);
        }
        for n in 0..3 {
            assert_eq!(inbox.next().await, Told::Errand(errand(n)));
        }
        assert_eq!(inbox.next().now_or_never(), None);
        assert_eq!(inbox.lock().errands.capacity(), 0, "it holds memory");
    }

    #[tokio::test]
    async fn the_end_comes_first_and_stays() {
        let inbox = Inbox::default();
        inbox.send(errand(0));
        inbox.close(close::REPLACED);
        inbox.close(close::FORBIDDEN);
        for _ in 0..2 {
            assert_eq!(inbox.next().await, Told::Close(close::FORBIDDEN));
            assert_eq!(inbox.closed().await, close::FORBIDDEN);
        }
    }

    #[test]
    fn of_too_many_errands_the_first_are_kept() {
        let inbox = Inbox::default();
        (0..1_000).for_each(|n| inbox.send(errand(n)));
        assert_eq!(inbox.lock().errands.len(), MAX_ERRANDS);
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_an_errand_and_by_the_end() {
        let inbox = std::sync::Arc::new(Inbox::default());
        let waiting = |inbox: &std::sync::Arc<Inbox>| {
            let inbox = std::sync::Arc::clone(inbox);
            tokio::spawn(async move { inbox.next().await })
        };
        let first = waiting(&inbox);
        tokio::task::yield_now().await;
        inbox.send(errand(0));
        assert_eq!(first.await.unwrap(), Told::Errand(errand(0)));
        let second = waiting(&inbox);
        tokio::task::yield_now().await;
        inbox.close(close::REPLACED);
        assert_eq!(second.await.unwrap(), Told::Close(close::REPLACED));
    }
}
