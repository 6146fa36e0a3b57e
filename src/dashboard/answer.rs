//! An answer that is on its way takes a place until its last byte is taken, or its client is gone. One that is written
//! piece by piece ends early when whoever asked may not be here any more.

use super::app::App;
use super::auth::Identity;
use super::extract::LongBodyPlace;
use super::visits::Visit;
use crate::protocol::Timestamp;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Whoever takes an answer, and asked for it with this identity.
pub(crate) struct Reader {
    pub(crate) app: Arc<App>,
    pub(crate) identity: Identity,
}

/// Has the answer hold its place.
pub(crate) fn under_way(
    mut response: Response,
    visit: Option<Visit>,
    reader: Option<Reader>,
) -> Response {
    match visit {
        // A WebSocket is counted as one.
        Some(visit) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            let long = response.extensions_mut().remove();
            response.map(|body| {
                // What is whole already is taken at once.
                let is_piecemeal = body.size_hint().exact().is_none();
                Body::new(Held {
                    body,
                    _visit: visit,
                    _long: long,
                    reader: reader.filter(|_| is_piecemeal),
                })
            })
        }
        _ => response,
    }
}

/// The answer breaks off, because its reader may not be here any more.
#[derive(Debug, thiserror::Error)]
#[error("the client may be gone")]
struct ReaderGone;

/// A body with its place.
struct Held {
    body: Body,
    _visit: Visit,
    /// The answer to a long request is long as well.
    _long: Option<LongBodyPlace>,
    reader: Option<Reader>,
}

impl Held {
    fn has_lost_its_reader(&self) -> bool {
        let Some(Reader { app, identity }) = &self.reader else {
            return false;
        };
        // Taking an answer is no use of a session: it does not keep it alive.
        !app.auth.holds(identity, false, Timestamp::now())
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.has_lost_its_reader() {
            return Poll::Ready(Some(Err(axum::Error::new(ReaderGone))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
