//! Requests that change something run to their end, even when their client hangs up half way: a deed without its
//! record in the audit log, or half a bulk, would be worse than an answer that nobody takes.

use super::problem::Problem;
use crate::lifecycle::Guests;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers a request of an unsafe method in a task of its own, which is not cancelled with the connection. How many
/// there are is bounded by what the guard, which runs inside of it, lets pass. The end of the dashboard
/// waits for them: they are counted as `deeds`.
pub(crate) async fn run_to_end(
    State(deeds): State<Guests>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    let guest = deeds.enter();
    let answering = async move {
        let _guest = guest;
        next.run(request).await
    };
    match tokio::spawn(answering).await {
        Ok(response) => response,
        Err(error) => Problem::internal(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use futures_util::FutureExt;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Notify;
    use tokio::time::timeout;
    use tower_service::Service;

    #[tokio::test]
    async fn a_request_is_counted_until_it_is_done_also_when_its_client_is_gone() {
        let (deeds, begun, may_end) = (
            Guests::default(),
            Arc::new(Notify::new()),
            Arc::new(Notify::new()),
        );
        let (told, waited) = (Arc::clone(&begun), Arc::clone(&may_end));
        let deed = async move || {
            told.notify_one();
            waited.notified().await;
        };
        let mut router: Router = Router::new()
            .route("/", post(deed))
            .layer(from_fn_with_state(deeds.clone(), run_to_end));
        let request = Request::post("/").body(Body::empty()).unwrap();
        let client = tokio::spawn(router.call(request));
        begun.notified().await;
        client.abort();
        assert!(client.await.is_err());
        assert_eq!(deeds.gone().now_or_never(), None);
        may_end.notify_one();
        timeout(Duration::from_secs(60), deeds.gone())
            .await
            .unwrap();
    }
}
