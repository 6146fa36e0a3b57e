//! Switchyard deploys a fleet of NixOS hosts from a web page and shows every line of `nixos-rebuild` as it happens.
//!
//! # A line's way
//!
//! The child writes to a pipe → the [`supervisor`] splits, decodes and stamps it, and appends it to the spool →
//! the [`agent`] follows the spool and sends batches → the [`dashboard`]'s intake appends them to the run's log,
//! acknowledges what is on disk, and moves the run's length forward → the connection of each browser wakes,
//! reads the lines it lacks from the log, and sends one frame.
//!
//! # The map
//!
//! | module | is |
//! | --- | --- |
//! | [`protocol`] | ids, times, runs, hosts and messages; types only |
//! | [`runlog`] | the log of one run: text file, index, recovery; the spool and the dashboard's log are both it |
//! | [`spool`] | the folder of a run on its host, through which agent and supervisor speak |
//! | [`progress`] | pure: lines of nix in; phase, counts and lines for people out |
//! | [`mask`] | pure: secrets out of lines, before they leave the host |
//! | [`ansi`], [`proctree`], [`config_file`], [`lifecycle`], [`logging`] | small things that several modules need |
//! | [`clone`] | the host's clone of the repository: the built-in pull, and how it is mended |
//! | [`supervisor`] | one run: child processes, their output, their end |
//! | [`agent`] | configuration and commands, the runs of this host, the connection, host facts |
//! | [`dashboard`] | `state` (SQLite), `fleet` (what is shown), `intake` (agents), `live` (browsers), `auth`, `api` |
//! | [`demo`] | a fleet on one machine |
//!
//! `protocol`, `runlog` and `spool` know nothing above them. Agent and dashboard never know each other nor the
//! supervisor, which is started only by `agent::launcher`, and only as a program. `tests/architecture.rs` keeps that.
//!
//! # Invariants
//!
//! 1. The log is the queue: between child and browser no line is held in memory beyond one batch. A slow reader
//!    reads the file later; it slows no writer and makes none drop.
//! 2. One format: spool and log are the same files written by the same code.
//! 3. A run outlives its agent, the dashboard and the network; the agent keeps a spool until the dashboard has
//!    acknowledged its final status.
//! 4. Every line once, in order: `seq` has no holes; a repetition is skipped, a gap is asked for again.
//! 5. The truth is in the files: the database is rebuilt from them where it is behind.
//! 6. The dashboard names, the agent knows: no argv, path, flag or environment crosses the wire.
//! 7. Acknowledged after sync, published after append. Each connection of an agent has an epoch; an older one is
//!    fenced off, by the lock on the host's open logs, before a newer one begins.
//! 8. A run whose end nobody saw is `lost`, never `ok`. A count that is a guess is not shown as one.
//!
//! # Choices that are not obvious
//!
//! - `spool` is a module of its own, because agent and supervisor share the folder of a run and nothing else.
//! - The intake of a host is owned by whoever holds its lock, the one connection that may append, and not by a
//!   task behind a channel: that saves a hand-over for each frame, and makes the fence of an old connection a lock.
//! - Browsers are told of changes by version (`fleet::changes`), not by events in a queue: a slow browser gets the
//!   present state of what changed since it last looked, and costs no memory.
//! - Progress of a run that goes on is in memory alone; the footer keeps what came of it.
//! - What a program writes is moved by the kernel from its pipe into a file (`supervisor::capture`) and decoded from
//!   there: a supervisor that is started anew decodes again what the one before it had read, gets the same lines
//!   with the same numbers, and stores those that are missing.
//! - Between supervisor and program stands a waiter, a process that writes the exit code down, whoever dies.
//! - `ExecStopPost` of a run's unit only notes how systemd saw it end, because it runs before each restart, too; the
//!   agent has the run settled once systemd says that the unit is gone.
//! - The output of an activation is read from its pipe and from the journal (`supervisor::journal`), since which of
//!   the two it is depends on the version of nixos-rebuild; what comes by both is stored once.
//! - The processes of an activation are found in the cgroup of its unit, which is no part of a run's own: a forced
//!   stop ends them, and a run waits for them before its supervisor closes the pipe they write into.

pub mod agent;
pub mod ansi;
pub mod clone;
pub mod config_file;
pub mod dashboard;
pub mod demo;
pub mod lifecycle;
pub mod logging;
pub mod mask;
pub mod proctree;
pub mod progress;
pub mod protocol;
pub mod runlog;
pub mod spool;
pub mod supervisor;
