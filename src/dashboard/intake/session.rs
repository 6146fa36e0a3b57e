//! The connection of an agent from its first message to its last.

use super::{HostRuns, Violation, aside, facts};
use crate::dashboard::core::Core;
use crate::dashboard::fleet::{Arrival, Errand, Link, MachineKey};
use crate::dashboard::receive_error::ReceiveError;
use crate::protocol::{HostId, Register, close, split};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::FutureExt;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, sleep_until, timeout, timeout_at};

const PING_EVERY: Duration = Duration::from_secs(10);
/// The same for a peer that waits until others before it are registered.
const WAIT_PING_EVERY: Duration = Duration::from_secs(3);
/// A peer from which no byte came for so long is gone; so is one that takes none.
const SILENCE: Duration = Duration::from_secs(30);
/// How many frames are taken in before their lines are stored and others have their turn.
const MAX_FRAMES_TOGETHER: usize = 32;
/// More errands than one host can have at a time.
const ERRANDS: usize = 16;
/// Said to a connection that is closed from outside; the code tells which of the two.
const GONE: &str = "replaced by a newer connection, or no longer welcome";
/// Said to each of two living machines with one token, within the 123 bytes of a reason.
const CLONED: &str =
    "another machine uses this host's token, too: give each machine a token of its own";
const NOT_CHOSEN: &str =
    "another machine was chosen for this host: give this one a token of its own";
/// How long a peer may take to notice that it is closed in the middle of a frame.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection is over.
pub(crate) enum End {
    /// Close with this code and word.
    Close(u16, String),
    /// The peer is gone.
    Gone,
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Close(violation.code(), violation.to_string())
    }
}

/// Serves the agent of `host_id` until it goes, is replaced, or the dashboard ends.
pub(crate) async fn serve(
    core: Arc<Core>,
    host_id: HostId,
    address: Option<IpAddr>,
    mut socket: WebSocket,
) {
    let _guest = core.guests.enter();
    let first = tokio::select! {
        first = timeout(SILENCE, first(&mut socket)) => first.unwrap_or(Err(End::Gone)),
        () = core.shutdown.wait() => Err(going_away()),
    };
    let key = first.as_ref().ok().and_then(MachineKey::of);
    let end = match first {
        Ok(register) => arrived(&core, &host_id, address, &mut socket, register).await,
        Err(end) => end,
    };
    match end {
        End::Close(code, reason) => {
            let is_fight = code == close::REPLACED && core.fleet.is_in_conflict(&host_id);
            let reason = if is_fight { CLONED.into() } else { reason };
            if code != close::GOING_AWAY {
                tracing::warn!(host = %host_id, code, %reason, "connection closed");
            }
            // A reason has at most 123 bytes on the wire.
            let mut reason = reason;
            reason.truncate(reason.floor_char_boundary(120));
            let frame = Message::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            }));
            let _ = timeout(Duration::from_secs(2), socket.send(frame)).await;
            // The close frame is lost if the socket goes while the peer's bytes are unread.
            let answer = timeout(Duration::from_secs(2), answer_to_close(&mut socket)).await;
            if code == close::REPLACED
                && answer == Ok(true)
                && key.is_some_and(|key| core.fleet.answered(&host_id, &key))
            {
                core.tell_conflict(&host_id, false).await;
            }
            if code == close::TOO_BIG {
                // The rest of that frame is never read, and would take the close frame with it.
                sleep(LINGER).await;
            }
        }
        End::Gone => tracing::info!(host = %host_id, "connection lost"),
    }
}

/// Reads to the end, or to the peer's answer to our close; says whether there was one. A peer that is gone gives none.
async fn answer_to_close(socket: &mut WebSocket) -> bool {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Close(Some(frame)) = message
            && frame.code == close::REPLACED
        {
            return true;
        }
    }
    false
}

/// Lets a machine in, unless an admin chose another one.
async fn arrived(
    core: &Arc<Core>,
    host_id: &HostId,
    address: Option<IpAddr>,
    socket: &mut WebSocket,
    register: Register,
) -> End {
    if register.host_id != *host_id {
        return Violation::OtherHost(register.host_id.to_string()).into();
    }
    match core.fleet.arrive(host_id, &register, address) {
        Arrival::NotChosen => return End::Close(close::FORBIDDEN, NOT_CHOSEN.into()),
        Arrival::Conflict => core.tell_conflict(host_id, false).await,
        Arrival::Welcome => {}
    }
    registered(core, host_id, socket, register).await
}

fn going_away() -> End {
    End::Close(close::GOING_AWAY, "the dashboard ends".into())
}

/// Waits for `register`.
pub(crate) async fn first(socket: &mut WebSocket) -> Result<Register, End> {
    loop {
        let text = match socket.recv().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            other => return Err(ended(other)),
        };
        let messages =
            aside(&text, split).map_err(|error| Violation::Malformed(error.to_string()))?;
        let [message] = messages.as_slice() else {
            return Err(
                Violation::Malformed("the first message must be a register alone".into()).into(),
            );
        };
        if message.kind != "register" {
            return Err(Violation::Malformed("the first message must be a register".into()).into());
        }
        let register: Result<Register, _> = aside(message.json, serde_json::from_str);
        let mut register = register.map_err(Violation::from)?;
        facts::shorten_register(&mut register);
        return Ok(register);
    }
}

/// What a message that is no text means.
fn ended(received: Option<Result<Message, axum::Error>>) -> End {
    match received {
        Some(Ok(Message::Binary(_))) => Violation::Malformed("a binary frame".into()).into(),
        Some(Err(error)) => match ReceiveError::of(&error) {
            ReceiveError::TooBig => End::Close(close::TOO_BIG, "a frame is over 1 MiB".into()),
            ReceiveError::NotText => Violation::Malformed(error.to_string()).into(),
            ReceiveError::Lost => End::Gone,
        },
        _ => End::Gone,
    }
}

async fn registered(
    core: &Arc<Core>,
    host_id: &HostId,
    socket: &mut WebSocket,
    register: Register,
) -> End {
    let (errands, mut todo) = mpsc::channel(ERRANDS);
    let (close, mut closing) = watch::channel(None);
    let Some(epoch) = core.fleet.connect(
        host_id,
        Link {
            errands,
            close: Arc::new(close),
        },
    ) else {
        return End::Close(close::FORBIDDEN, "there is no such host".into());
    };
    // The connection before this one holds the lock until its last append is finished.
    let slot = core.slot(host_id);
    let mut runs = tokio::select! {
        runs = slot.lock_owned() => runs,
        code = told(&mut closing) => return End::Close(code, GONE.into()),
        never = keep_waiting(socket) => match never {},
    };
    // A host that asked for too much waits, also over a new connection.
    if let Some(rest) = runs.rests() {
        tokio::select! {
            () = sleep_until(Instant::from_std(rest)) => {}
            code = told(&mut closing) => return End::Close(code, GONE.into()),
            () = core.shutdown.wait() => return going_away(),
            never = keep_waiting(socket) => match never {},
        }
    }
    let version = register.facts.agent_version.clone();
    let registered = tokio::select! {
        // In a box, as all that is seldom done: a quiet connection holds as much memory as its largest step needs.
        registered = Box::pin(runs.register(core, register)) => registered,
        never = keep_waiting(socket) => match never {},
    };
    let mut heard = Instant::now();
    let end = match registered {
        Ok(()) => match send_replies(core, &mut runs, socket, &mut closing, heard).await {
            Ok(()) => {
                tracing::info!(host = %host_id, ?version, "host registered");
                core.fleet.registered(host_id, epoch);
                talk(core, &mut runs, socket, &mut todo, &mut closing, &mut heard).await
            }
            Err(end) => end,
        },
        Err(violation) => violation.into(),
    };
    Box::pin(runs.disconnected(core)).await;
    if core.fleet.disconnect(host_id, epoch, heard.elapsed()) {
        core.save_host(host_id).await;
    }
    end
}

/// Returns the code once the connection is told to close, or its host is no longer one.
async fn told(closing: &mut watch::Receiver<Option<u16>>) -> u16 {
    match closing.wait_for(Option::is_some).await {
        Ok(code) => code.unwrap_or(close::REPLACED),
        Err(_) => close::FORBIDDEN,
    }
}

/// Takes in a frame, and those that came meanwhile: their lines are stored together. Gives the last of them.
async fn take_in(
    core: &Arc<Core>,
    runs: &mut HostRuns,
    socket: &mut WebSocket,
    first: Utf8Bytes,
) -> Result<Utf8Bytes, End> {
    let mut next = first;
    let mut taken = Ok(());
    for left in (0..MAX_FRAMES_TOGETHER).rev() {
        let (frames, bytes) = (
            &core.counters.frames_received,
            &core.counters.bytes_received,
        );
        frames.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(next.len() as u64, Ordering::Relaxed);
        taken = runs.take_in(core, &next).await.map_err(End::from);
        if taken.is_err() || left == 0 || runs.rests().is_some() {
            break;
        }
        match socket.recv().now_or_never() {
            Some(Some(Ok(Message::Text(text)))) => next = text,
            Some(Some(Ok(Message::Ping(_) | Message::Pong(_)))) | None => break,
            Some(other) => {
                taken = Err(ended(other));
                break;
            }
        }
    }
    runs.store(core).await;
    taken.map(|()| next)
}

/// Tells a peer that it is waited for others before it: when thousands come back at once, its turn may take longer
/// than it would wait for somebody who is silent.
async fn keep_waiting(socket: &mut WebSocket) -> Infallible {
    let mut pings = interval(WAIT_PING_EVERY);
    pings.reset();
    loop {
        pings.tick().await;
        if socket
            .send(Message::Ping(Default::default()))
            .await
            .is_err()
        {
            // It is gone, which is noticed when it is its turn.
            return std::future::pending().await;
        }
    }
}

/// Sends what is there for the agent.
async fn send_replies(
    core: &Core,
    runs: &mut HostRuns,
    socket: &mut WebSocket,
    closing: &mut watch::Receiver<Option<u16>>,
    heard: Instant,
) -> Result<(), End> {
    for reply in runs.take_replies() {
        let reply = Message::Text(reply.into());
        send(core, socket, reply, closing, heard).await?;
    }
    Ok(())
}

/// A peer that takes nothing must not keep out the connection that replaces it, nor hold up the end. While it
/// takes nothing it is not heard either, so it has until it would be silent for too long.
async fn send(
    core: &Core,
    socket: &mut WebSocket,
    message: Message,
    closing: &mut watch::Receiver<Option<u16>>,
    heard: Instant,
) -> Result<(), End> {
    tokio::select! {
        sent = timeout_at(heard + SILENCE, socket.send(message)) => match sent {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        },
        code = told(closing) => Err(End::Close(code, GONE.into())),
        () = core.shutdown.wait() => Err(going_away()),
    }
}

async fn talk(
    core: &Arc<Core>,
    runs: &mut HostRuns,
    socket: &mut WebSocket,
    todo: &mut mpsc::Receiver<Errand>,
    closing: &mut watch::Receiver<Option<u16>>,
    heard: &mut Instant,
) -> End {
    let bell = runs.bell();
    // The library reads on in the memory of an earlier message where nobody holds one of them, so that a connection
    // that once had a long one would hold as much for as long as it lives. While the last message lives, it takes a
    // new, small buffer instead.
    let mut last = Utf8Bytes::default();
    let mut pings = interval(PING_EVERY);
    loop {
        if let Err(end) = send_replies(core, runs, socket, closing, *heard).await {
            return end;
        }
        let turn = runs.next_turn().map(Instant::from_std);
        let rest = runs.rests().map(Instant::from_std);
        tokio::select! {
            // What the peer sent is looked at before it is held for silent, and everything else before that,
            // so that a peer that never pauses holds nothing up.
            biased;
            () = core.shutdown.wait() => return going_away(),
            code = told(closing) => return End::Close(code, GONE.into()),
            errand = todo.recv() => match errand {
                Some(errand) => Box::pin(runs.errand(core, errand)).await,
                None => return End::Close(told(closing).await, GONE.into()),
            },
            () = bell.notified() => Box::pin(runs.acknowledge(core)).await,
            () = sleep_until(turn.unwrap_or_else(Instant::now)), if turn.is_some() => {
                Box::pin(runs.turn(core)).await;
                Box::pin(runs.acknowledge(core)).await;
            }
            _ = pings.tick() => {
                let ping = Message::Ping(Default::default());
                if let Err(end) = send(core, socket, ping, closing, *heard).await {
                    return end;
                }
            }
            () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => {
                // It was not listened to, so it was not silent.
                *heard = Instant::now();
            }
            received = socket.recv(), if rest.is_none() => {
                *heard = Instant::now();
                match received {
                    Some(Ok(Message::Text(text))) => {
                        match Box::pin(take_in(core, runs, socket, text)).await {
                            Ok(text) => drop(std::mem::replace(&mut last, text)),
                            Err(end) => return end,
                        }
                        // Storing may have taken long, and that is no silence.
                        *heard = Instant::now();
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => return ended(other),
                }
            }
            () = sleep_until(*heard + SILENCE) => return End::Gone,
        }
    }
}
