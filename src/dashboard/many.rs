//! Work for many hosts at once, which would hold up other tasks of its thread.

/// What is done for more than so many hosts may take more than a millisecond.
const MANY_HOSTS: usize = 64;

/// Does what is to be done for so many hosts. Where that are many, other tasks leave the thread meanwhile.
pub(crate) fn for_hosts<T>(count: usize, work: impl FnOnce() -> T) -> T {
    if count > MANY_HOSTS {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
