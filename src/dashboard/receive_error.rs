//! Why nothing more can be received over a WebSocket.

use super::websocket::Error;

/// What an error of the WebSocket library means for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    /// A message is larger than allowed.
    TooBig,
    /// A text is not UTF-8.
    NotText,
    /// The connection is lost, or what comes is no WebSocket.
    Lost,
}

impl ReceiveError {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::TooBig,
            Error::Utf8(_) => Self::NotText,
            _ => Self::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    /// What it means when these bytes come, and then nothing more.
    async fn received(bytes: &[u8]) -> ReceiveError {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(bytes).await.unwrap();
        drop(theirs);
        let config = WebSocketConfig::default()
            .max_message_size(Some(100))
            .max_frame_size(Some(100));
        let mut socket = WebSocketStream::from_raw_socket(ours, Role::Server, Some(config)).await;
        let error = futures_util::StreamExt::next(&mut socket)
            .await
            .unwrap()
            .unwrap_err();
        ReceiveError::of(&error)
    }

    #[tokio::test]
    async fn errors_of_the_library_are_told_apart() {
        let long = [&[0x81, 0xfe, 0x01, 0x00, 0, 0, 0, 0][..], &[b'x'; 256]].concat();
        assert_eq!(received(&long).await, ReceiveError::TooBig);
        assert_eq!(
            received(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await,
            ReceiveError::NotText
        );
        assert_eq!(received(&[0x81, 0x81, 0, 0]).await, ReceiveError::Lost);
        assert_eq!(received(&[0xff; 16]).await, ReceiveError::Lost);
    }
}
