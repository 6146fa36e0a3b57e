//! Work of one request for many hosts, which takes long enough to hold up other tasks.

use super::processors::Processors;
use tokio::sync::Semaphore;

/// Work for more hosts than this may take more than a millisecond.
const MANY_HOSTS: usize = 64;

/// One permit for all work for many hosts. However many users ask for it, one of them waits for a processor at a time:
/// it takes one for longer than a part of a search.
static TURN: Semaphore = Semaphore::const_new(1);

/// Does `work` for `count` hosts. Work for many hosts waits for its turn, and leaves its thread to other tasks.
pub(crate) async fn for_hosts<T>(count: usize, work: impl FnOnce() -> T) -> T {
    if count <= MANY_HOSTS {
        return work();
    }
    // Nobody closes it.
    let _turn = TURN.acquire().await.ok();
    let _processor = Processors::of_machine().turn().await;
    aside(count, work)
}

/// Does `work` for `count` hosts at once, without a wait for its turn. Work for many hosts leaves its thread to other
/// tasks.
pub(crate) fn aside<T>(count: usize, work: impl FnOnce() -> T) -> T {
    if count > MANY_HOSTS {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
