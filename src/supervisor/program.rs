//! How one program of a run ended.

use super::child::not_started;
use crate::progress::Killed;
use crate::protocol::Phase;
use serde::{Deserialize, Serialize};
use std::io;

/// How a program ended.
pub(super) enum Ended {
    /// By itself, or by a signal of somebody else.
    Finished(Finished),
    /// We ended it, or did not begin it any more.
    Interrupted(Interruption),
}

/// A program that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Finished {
    pub(super) how: How,
    /// Where it failed: what to tell the user.
    #[serde(default)]
    pub(super) failure: Option<String>,
    /// Whether the machine was being changed when it ended.
    pub(super) activating: bool,
}

/// How it came to be over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum How {
    /// With this exit code.
    Exited(i32),
    /// It could not be started: the exit code, and what to tell the user.
    NotStarted(i32, String),
    /// Nobody saw its end.
    Unseen,
    /// It was ended with all of the run, because memory ran out.
    OutOfMemory(Killed),
}

impl How {
    /// `argv` could not be started.
    pub(super) fn not_started(argv: &[String], error: &io::Error) -> Self {
        let (code, message) = not_started(argv.first().map_or("", String::as_str), error);
        Self::NotStarted(code, message)
    }
}

/// Why a run ends before its time.
pub(super) struct Interruption {
    pub(super) cause: Cause,
    /// Where the program was that was ended, if it told.
    pub(super) phase: Option<Phase>,
    /// Something did not go, even after SIGKILL.
    pub(super) left_behind: bool,
}

pub(super) enum Cause {
    /// Somebody asked for it; a signal gives no name.
    Stop { by: Option<String>, force: bool },
    /// The run took too long.
    Timeout,
}

impl Cause {
    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Self::Stop { force: true, .. })
    }
}
