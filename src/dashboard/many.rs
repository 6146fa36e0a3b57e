//! Work for many hosts at once, which would hold up other tasks.

use tokio::sync::Semaphore;

/// What is done for more than so many hosts may take more than a millisecond.
const MANY_HOSTS: usize = 64;

/// Had by what is done for many hosts, so that it takes one processor at a time however many ask for it: the lines of
/// runs need the others.
static TURN: Semaphore = Semaphore::const_new(1);

/// Does what is to be done for so many hosts when it has its turn, which is at once where they are few.
pub(crate) async fn for_hosts<T>(count: usize, work: impl FnOnce() -> T) -> T {
    let _turn = match count > MANY_HOSTS {
        // Nobody closes it.
        true => TURN.acquire().await.ok(),
        false => None,
    };
    aside(count, work)
}

/// The same without a wait for a turn. Where the hosts are many, other tasks leave the thread meanwhile.
pub(crate) fn aside<T>(count: usize, work: impl FnOnce() -> T) -> T {
    if count > MANY_HOSTS {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
