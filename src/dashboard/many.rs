//! Work of one request for many hosts, which takes long enough to hold up other tasks.

use super::cpu_permits::CpuPermits;
use tokio::sync::Semaphore;

/// Work for more hosts than this may take more than a millisecond.
const MANY_HOSTS: usize = 64;

/// One permit for all work for many hosts: however many users ask for it, one of them at a time waits for a processor,
/// which is then theirs for longer than a search's.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Does `work` for `count` hosts. Work for many hosts waits for its turn, and leaves its thread to other tasks.
pub(crate) async fn for_hosts<T>(count: usize, work: impl FnOnce() -> T) -> T {
    if count <= MANY_HOSTS {
        return work();
    }
    // Nobody closes it.
    let _one = ONE_AT_A_TIME.acquire().await.ok();
    let _processor = CpuPermits::of_machine().acquire().await;
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
