//! Lists as JSON, written a piece at a time, each when the client has taken the one before: a list of any length costs
//! little memory, also where nobody reads it.

use crate::dashboard::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use std::io;

/// About how long a piece is, in bytes; one entry may be longer.
const PIECE_BYTES: usize = 32 * 1024;

/// A list under way.
struct Listing<T> {
    entries: T,
    /// What comes before the next entry.
    before: String,
    /// What comes behind the last one; none once it was given.
    tail: Option<String>,
}

/// The entries of a list that come at once.
pub(super) struct Batch<T> {
    /// None: the list is over.
    pub(super) entries: Vec<T>,
    /// What comes behind the list, if this is its end.
    pub(super) tail: Option<String>,
}

/// Where the entries of a list come from.
pub(super) trait Source: Send + 'static {
    /// One of them.
    type Entry: Serialize + Send;

    /// The next few, of which all are in memory at once.
    ///
    /// # Errors
    /// When they cannot be read.
    fn next(&mut self) -> impl Future<Output = Result<Batch<Self::Entry>, Problem>> + Send;
}

/// `head`, the entries with commas between them, and the tail of the source. The first entries are read before the
/// answer begins, so that what is wrong with them can be told; later the answer breaks off.
///
/// # Errors
/// When the first entries cannot be read.
pub(super) async fn from_source<S: Source>(
    head: impl Into<String>,
    mut source: S,
) -> Result<Response, Problem> {
    let batch = source.next().await?;
    let mut list = Listing {
        entries: source,
        before: head.into(),
        tail: None,
    };
    let first = list.piece(batch);
    let pieces = stream::try_unfold((Some(first), list), async |(ready, mut list)| {
        if let Some(piece) = ready {
            return Ok(Some((piece, (None, list))));
        }
        if list.tail.is_some() {
            return Ok(None);
        }
        let batch = list.entries.next().await;
        let batch = batch.map_err(|problem| io::Error::other(problem.detail().to_owned()))?;
        let piece = list.piece(batch);
        Ok::<_, io::Error>(Some((piece, (None, list))))
    });
    Ok(answer(Body::from_stream(pieces)))
}

impl<S: Source> Listing<S> {
    fn piece(&mut self, batch: Batch<S::Entry>) -> Bytes {
        let mut piece = Vec::new();
        for entry in batch.entries {
            push(&mut piece, &mut self.before, &entry);
        }
        if let Some(tail) = batch.tail {
            finish(&mut piece, &self.before, &tail);
            self.tail = Some(tail);
        }
        piece.into()
    }
}

/// `head`, the entries with commas between them, and `tail`. The entries are at hand, or made when they are asked for.
pub(super) fn from_iter<T: Serialize>(
    head: impl Into<String>,
    entries: impl Iterator<Item = T> + Send + 'static,
    tail: &str,
) -> Response {
    let mut list = Listing {
        entries,
        before: head.into(),
        tail: Some(tail.to_owned()),
    };
    let pieces = std::iter::from_fn(move || {
        let tail = list.tail.take()?;
        let mut piece = Vec::new();
        for entry in list.entries.by_ref() {
            push(&mut piece, &mut list.before, &entry);
            if piece.len() >= PIECE_BYTES {
                list.tail = Some(tail);
                return Some(Ok::<_, io::Error>(Bytes::from(piece)));
            }
        }
        finish(&mut piece, &list.before, &tail);
        Some(Ok(piece.into()))
    });
    answer(Body::from_stream(stream::iter(pieces)))
}

fn push(piece: &mut Vec<u8>, before: &mut String, entry: &impl Serialize) {
    piece.extend_from_slice(before.as_bytes());
    before.clear();
    before.push(',');
    // Writing to memory cannot fail, and our types have no keys that are no text.
    let _ = serde_json::to_writer(piece, entry);
}

fn finish(piece: &mut Vec<u8>, before: &str, tail: &str) {
    // Of an empty list the head is still to be written.
    if before != "," {
        piece.extend_from_slice(before.as_bytes());
    }
    piece.extend_from_slice(tail.as_bytes());
}

fn answer(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    /// Numbers, two at a time.
    struct Numbers(std::ops::Range<u32>);

    impl Source for Numbers {
        type Entry = u32;
        async fn next(&mut self) -> Result<Batch<u32>, Problem> {
            let entries: Vec<u32> = self.0.by_ref().take(2).collect();
            let tail = (entries.len() < 2).then(|| "]}".to_owned());
            Ok(Batch { entries, tail })
        }
    }

    #[tokio::test]
    async fn a_list_in_pieces_reads_as_one() {
        for (length, expected) in [
            (0, "{\"n\":[]}"),
            (1, "{\"n\":[0]}"),
            (4, "{\"n\":[0,1,2,3]}"),
            (5, "{\"n\":[0,1,2,3,4]}"),
        ] {
            let listed = from_source("{\"n\":[", Numbers(0..length)).await.unwrap();
            assert_eq!(text(listed).await, expected);
            assert_eq!(text(from_iter("{\"n\":[", 0..length, "]}")).await, expected);
        }
        let long = text(from_iter("[", 0..50_000, "]")).await;
        let numbers: Vec<u32> = serde_json::from_str(&long).unwrap();
        assert!(numbers.into_iter().eq(0..50_000));
    }
}
