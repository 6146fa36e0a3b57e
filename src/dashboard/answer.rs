//! An answer that is on its way takes a place until its last byte is taken, or its client is gone.

use super::visits::Visit;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Has the answer hold its place.
pub(crate) fn under_way(response: Response, visit: Option<Visit>) -> Response {
    match visit {
        // A WebSocket is counted as one.
        Some(visit) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            response.map(|body| {
                Body::new(Held {
                    body,
                    _visit: visit,
                })
            })
        }
        _ => response,
    }
}

/// A body with its place.
struct Held {
    body: Body,
    _visit: Visit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
