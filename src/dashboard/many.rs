//! Work of one request for many hosts, which takes long enough to hold up other tasks.

use super::processors::Processors;

/// Work for more hosts than this may take more than a millisecond.
const MANY_HOSTS: usize = 64;

/// Does `work` for `count` hosts. Work for many hosts waits for its turn, and leaves its thread to other tasks.
pub(crate) async fn for_hosts<T>(count: usize, work: impl FnOnce() -> T) -> T {
    let _turn = match count > MANY_HOSTS {
        true => Some(Processors::of_machine().turn().await),
        false => None,
    };
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
