//! The HTTP interface, one resource a file.

pub(super) mod audit;
pub(super) mod commands;
pub(super) mod download;
mod enrol;
pub(super) mod health;
pub(super) mod hosts;
pub(super) mod lines;
mod listing;
pub(super) mod login;
mod logs;
pub(super) mod machine;
pub(super) mod me;
pub(super) mod metrics;
pub(super) mod runs;
pub(super) mod search;
pub(super) mod sessions;
pub(super) mod sockets;
mod token_wish;
pub(crate) mod tokens;

/// Reads bytes as every query and every body there is.
#[cfg(test)]
pub(super) fn try_parsing(bytes: &[u8]) {
    fn both<T: serde::de::DeserializeOwned>(bytes: &[u8], uri: Option<&axum::http::Uri>) {
        let _ = serde_json::from_slice::<T>(bytes);
        if let Some(uri) = uri {
            let _ = axum::extract::Query::<T>::try_from_uri(uri);
        }
    }
    let query = [b"/?", bytes].concat();
    let uri = axum::http::Uri::try_from(query).ok();
    let uri = uri.as_ref();
    both::<search::Query>(bytes, uri);
    both::<lines::Which>(bytes, uri);
    both::<runs::Which>(bytes, uri);
    both::<download::Which>(bytes, uri);
    both::<audit::Which>(bytes, uri);
    both::<sessions::Whose>(bytes, uri);
    both::<sessions::Confirmation>(bytes, uri);
    both::<commands::Wish>(bytes, uri);
    both::<commands::BulkWish>(bytes, uri);
    both::<login::Login>(bytes, uri);
    both::<machine::Choice>(bytes, uri);
    both::<token_wish::Wish>(bytes, uri);
    both::<logs::RunPath>(bytes, uri);
    both::<sockets::Wish>(bytes, uri);
}
