//! Search in the log of a run: what to look for, where it occurs, and whose turn it is to look.

mod dearness;
mod expression;
mod scan;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use expression::{Expression, ExpressionError, Syntax};
pub(crate) use scan::{Found, Wanted, scan};
pub(crate) use turns::{Helper, Searches, Turn};

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// What to look for is no expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] crate::runlog::LogError),
    /// The time was over, or nobody waits any more.
    #[error("the search took too long")]
    TooLong,
}
