//! The host's clone of the repository: the built-in `pull`, which also mends it, and the environment of its git.
//!
//! The clone is the agent's own and holds nothing that the server lacks. So whatever a power cut, a killed git or a
//! visitor did to it, a pull brings it back, in steps that each cost more than the one before: stale locks are
//! removed, index, HEAD and refs are made anew, and at last a fresh clone takes its place. What is not the agent's is
//! never removed: see `place`.

mod address;
mod check;
mod filters;
mod fresh;
mod git;
mod locks;
mod mounts;
mod place;
mod pull;
mod refs;
mod repair;
mod revision;
mod room;
mod transfer;
mod users;
mod waiting;

pub use address::{Address, InvalidAddress};
pub use git::{ENGLISH, ENVIRONMENT, SSH_OPTIONS, environment};
pub use place::{other_owner, put_aside_prefix};
pub use pull::{main as pull, step};
pub use revision::Revisions;

#[cfg(test)]
mod tests;
