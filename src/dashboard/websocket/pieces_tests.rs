use super::*;
use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

const MAX: usize = 64 * 1024;
const TEXT: u8 = 1;
const PING: u8 = 9;
const MASK: Option<[u8; 4]> = Some([7, 1, 200, 30]);

/// A frame as a client sends it.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut header = Header::default();
    let frame = Frame {
        kind: first & !FIN,
        mask,
        ..Frame::default()
    };
    header.write(&frame, first & FIN != 0, payload.len() as u64);
    let mut bytes = header.bytes[..header.length].to_vec();
    let mask = mask.unwrap_or_default();
    let payload = payload.iter().enumerate();
    bytes.extend(payload.map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}

fn text(length: usize) -> Vec<u8> {
    frame(FIN | TEXT, MASK, "é".repeat(length / 2).as_bytes())
}

async fn socket<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX))
        .max_frame_size(Some(MAX));
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// What the library makes of a stream, up to the first error or to where more bytes would have to come.
async fn messages<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Vec<Result<Message, String>> {
    let mut socket = socket(stream).await;
    let mut messages = Vec::new();
    // The other side writes meanwhile, in this thread.
    let mut nothing_came = 0;
    while nothing_came < 100 {
        tokio::task::yield_now().await;
        match socket.next().now_or_never() {
            None => nothing_came += 1,
            Some(None) => break,
            Some(Some(message)) => {
                nothing_came = 0;
                let is_end = message.is_err();
                messages.push(message.map_err(|error| error.to_string()));
                if is_end {
                    break;
                }
            }
        }
    }
    messages
}

/// A stream of these bytes, of which so many are there at a time.
fn stream(bytes: &[u8], at_a_time: usize) -> DuplexStream {
    let (ours, mut theirs) = tokio::io::duplex(at_a_time);
    let bytes = bytes.to_vec();
    tokio::spawn(async move {
        let _ = theirs.write_all(&bytes).await;
        std::future::pending::<()>().await;
    });
    ours
}

#[derive(Clone, Debug)]
struct Sent {
    first: u8,
    is_masked: bool,
    length: usize,
}

fn sent() -> impl Strategy<Value = Sent> {
    let first = prop_oneof![
        6 => Just(FIN | TEXT),
        2 => Just(TEXT),
        2 => Just(0),
        2 => Just(FIN),
        2 => Just(FIN | PING),
        1 => any::<u8>(),
    ];
    let length = prop_oneof![
        0..140_usize,
        4_000..4_200_usize,
        8_100..8_300_usize,
        0..MAX + 10
    ];
    (first, prop::bool::weighted(0.97), length).prop_map(|(first, is_masked, length)| Sent {
        first,
        is_masked,
        length: if first & CONTROL == 0 {
            length
        } else {
            length.min(200)
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn the_same_messages_come_of_frames_in_pieces(
        frames in prop::collection::vec(sent(), 1..8),
        at_a_time in prop_oneof![Just(1_usize), 2..50_usize, Just(1_000_000)],
    ) {
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|sent| {
                let payload = "é".repeat(sent.length / 2 + 1);
                let payload = &payload.as_bytes()[..sent.length];
                frame(sent.first, MASK.filter(|_| sent.is_masked), payload)
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (whole, in_pieces) = runtime.block_on(async {
            let whole = messages(stream(&bytes, at_a_time)).await;
            let in_pieces = messages(Pieces::new(stream(&bytes, at_a_time), MAX)).await;
            (whole, in_pieces)
        });
        let good = |messages: &[Result<Message, String>]| -> Vec<Message> {
            messages.iter().filter_map(|message| message.clone().ok()).collect()
        };
        prop_assert_eq!(good(&whole), good(&in_pieces));
        // What is wrong with a frame may be told sooner, and in other words, but is told.
        let is_wrong = |messages: &[Result<Message, String>]| messages.iter().any(Result::is_err);
        prop_assert!(is_wrong(&in_pieces) || !is_wrong(&whole), "{:?} {:?}", whole.last(), in_pieces.last());
    }
}

#[tokio::test]
async fn the_header_of_too_long_a_frame_is_enough_to_refuse_it() {
    for length in [MAX as u64 + 1, u64::MAX] {
        let mut header = Header::default();
        let frame = Frame {
            kind: TEXT,
            mask: MASK,
            ..Frame::default()
        };
        header.write(&frame, true, length);
        let bytes = &header.bytes[..header.length];
        let mut pieces = Pieces::new(stream(bytes, 100), MAX);
        pieces.limit(Arc::new(Semaphore::new(0)));
        let refused = messages(pieces).await;
        let refused = refused.last().unwrap().as_ref().unwrap_err();
        assert!(refused.contains("too long"), "{refused}");
    }
}

#[tokio::test]
async fn long_messages_wait_for_a_permit_and_short_ones_and_pings_do_not() {
    let permits = Arc::new(Semaphore::new(1));
    let open = async |bytes: &[u8]| {
        let mut pieces = Pieces::new(stream(bytes, 1_000_000), MAX);
        pieces.limit(Arc::clone(&permits));
        socket(pieces).await
    };
    let long = text(MAX);
    let half = &long[..MAX / 2];
    let mut first = open(half).await;
    let next = async |socket: &mut WebSocketStream<Pieces<DuplexStream>>| {
        for _ in 0..100 {
            tokio::task::yield_now().await;
            if let Some(message) = socket.next().now_or_never() {
                return Some(message.unwrap().unwrap());
            }
        }
        None
    };
    // It has the permit for as long as the rest does not come.
    assert_eq!(next(&mut first).await, None);
    assert_eq!(permits.available_permits(), 0);
    let ping = frame(FIN | PING, MASK, b"x");
    let short = text(FREE_BYTES as usize);
    let pieces = [
        frame(TEXT, MASK, &[b'x'; FREE_BYTES as usize]),
        ping.clone(),
        frame(FIN, MASK, b"x"),
    ];
    let mut second = open(&[short, ping, long.clone()].concat()).await;
    let mut third = open(&pieces.concat()).await;
    assert!(next(&mut second).await.unwrap().is_text());
    assert!(next(&mut second).await.unwrap().is_ping());
    assert_eq!(next(&mut second).await, None);
    // Many frames are one message.
    assert!(next(&mut third).await.unwrap().is_ping());
    assert_eq!(next(&mut third).await, None);
    drop(first);
    assert_eq!(next(&mut second).await.unwrap().len(), MAX);
    assert_eq!(next(&mut third).await, None, "the message is still in use");
    second.get_mut().done();
    assert_eq!(
        next(&mut third).await.unwrap().len(),
        FREE_BYTES as usize + 1
    );
    assert_eq!(permits.available_permits(), 0);
    drop(third);
    assert_eq!(permits.available_permits(), 1);
}

#[tokio::test]
async fn frames_without_content_give_way_to_others_and_come_to_an_end() {
    let count = 10 * MAX as u64 / MIN_FRAME_BYTES;
    let rest = (0..count).flat_map(|_| frame(0, MASK, b""));
    let bytes: Vec<u8> = frame(TEXT, MASK, b"").into_iter().chain(rest).collect();
    let mut socket = socket(Pieces::new(stream(&bytes, bytes.len()), MAX)).await;
    tokio::task::yield_now().await;
    let mut pauses = 0;
    let end = loop {
        // Without the runtime's own limit of what one task does at a time.
        match tokio::task::unconstrained(socket.next()).now_or_never() {
            Some(end) => break end,
            None => pauses += 1,
        }
        assert!(pauses < 1_000, "it does not end");
    };
    assert!(matches!(end, Some(Err(_))), "{end:?}");
    let frames = 2 * MAX as u64 / MIN_FRAME_BYTES;
    assert_eq!(pauses, frames / u64::from(FRAMES_AT_ONCE));
}
