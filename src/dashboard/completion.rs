//! Requests that change something run to their end, even when their client hangs up half way: a deed without its
//! record in the audit log, or half a bulk, would be worse than an answer that nobody takes.

use super::problem::Problem;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers a request of an unsafe method in a task of its own, which is not cancelled with the connection. How many
/// there are is bounded by what the guard, which runs inside of it, lets pass.
pub(crate) async fn run_to_end(request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => Problem::internal(&error).into_response(),
    }
}
