//! The connection of an agent from its first message to its last.

use super::{HostRuns, Violation, aside, facts, parsed};
use crate::dashboard::core::Core;
use crate::dashboard::fleet::{Arrival, Inbox, MachineKey, Told};
use crate::dashboard::rates::{REQUEST, Rates, Who};
use crate::dashboard::receive_error::ReceiveError;
use crate::dashboard::websocket::{self, Message, Socket, Utf8Bytes};
use crate::protocol::{HostId, Register, close, split};
use futures_util::FutureExt;
use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::unconstrained;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout, timeout_at};

const PING_EVERY: Duration = Duration::from_secs(10);
/// The same for a peer that waits until others before it are registered.
const WAIT_PING_EVERY: Duration = Duration::from_secs(3);
/// A peer from which no byte came for so long is gone; so is one that takes none.
const SILENCE: Duration = Duration::from_secs(30);
/// So many bytes of a `register` count as one more request of its host: they take a millisecond or two to read.
const REGISTER_BYTES_A_REQUEST: usize = 16 * 1024;
/// How many frames are taken in before their lines are stored and others have their turn.
const MAX_FRAMES_TOGETHER: usize = 32;
/// Said to a connection that is closed from outside; the code tells which of the two.
const GONE: &str = "replaced by a newer connection, or the token is no longer valid";
/// Said to each of two living machines with one token, within the 123 bytes of a reason.
const CLONED: &str = "another machine uses this host's token too: give each machine its own token";
const NOT_CHOSEN: &str = "another machine was chosen for this host: give this one its own token";
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
    core: &Arc<Core>,
    host_id: &HostId,
    address: Option<IpAddr>,
    rates: &Rates,
    mut socket: Socket,
) {
    let _guest = core.guests.enter();
    let who = Who::Host(host_id.clone());
    let charge = |requests| rates.spend(&who, requests, std::time::Instant::now());
    let first = tokio::select! {
        first = timeout(SILENCE, first(&mut socket, charge)) => first.unwrap_or(Err(End::Gone)),
        () = core.shutdown.wait() => Err(going_away()),
    };
    let key = first.as_ref().ok();
    let key = key.and_then(|register| MachineKey::of(register));
    let end = match first {
        Ok(register) => arrived(core, host_id, address, &mut socket, register).await,
        Err(end) => end,
    };
    match end {
        End::Close(code, reason) => {
            Box::pin(say_goodbye(core, host_id, &mut socket, key, code, reason)).await;
        }
        End::Gone => tracing::info!(host = %host_id, "connection lost"),
    }
}

/// Closes a connection, and waits a little for the peer's answer.
async fn say_goodbye(
    core: &Arc<Core>,
    host_id: &HostId,
    socket: &mut Socket,
    key: Option<MachineKey>,
    code: u16,
    reason: String,
) {
    let is_fight = code == close::REPLACED && core.fleet.is_in_conflict(host_id);
    let reason = if is_fight { CLONED.into() } else { reason };
    if code != close::GOING_AWAY {
        tracing::warn!(host = %host_id, code, %reason, "connection closed");
    }
    let _ = timeout(Duration::from_secs(2), socket.close(code, &reason)).await;
    // The close frame is lost if the socket goes while the peer's bytes are unread.
    let answer = timeout(Duration::from_secs(2), answer_to_close(socket)).await;
    if code == close::REPLACED
        && answer == Ok(true)
        && key.is_some_and(|key| core.fleet.answered(host_id, &key))
    {
        core.tell_conflict(host_id, false).await;
    }
    if code == close::TOO_BIG {
        // The rest of that frame is never read, and would take the close frame with it.
        sleep(LINGER).await;
    }
}

/// Reads to the end, or to the peer's answer to our close; says whether there was one. A peer that is gone gives none.
async fn answer_to_close(socket: &mut Socket) -> bool {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Close(Some(frame)) = message
            && u16::from(frame.code) == close::REPLACED
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
    socket: &mut Socket,
    register: Box<Register>,
) -> End {
    if register.host_id != *host_id {
        return Violation::OtherHost(register.host_id.to_string()).into();
    }
    match core.fleet.arrive(host_id, &register, address) {
        Arrival::NotChosen => return End::Close(close::FORBIDDEN, NOT_CHOSEN.into()),
        Arrival::Conflict => Box::pin(core.tell_conflict(host_id, false)).await,
        Arrival::Welcome => {}
    }
    registered(core, host_id, socket, register).await
}

fn going_away() -> End {
    End::Close(close::GOING_AWAY, "the dashboard ends".into())
}

/// Waits for `register`. A long one takes as much to read as many connections: it is charged before, with how many
/// requests it counts for.
///
/// In a box, as it has a place in the memory of its connection otherwise, for ever.
pub(crate) async fn first(socket: &mut Socket, charge: impl Fn(u32)) -> Result<Box<Register>, End> {
    loop {
        let text = match socket.recv().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            other => return Err(ended(other)),
        };
        let more = text.len() / REGISTER_BYTES_A_REQUEST;
        charge(REQUEST * u32::try_from(more).unwrap_or(u32::MAX / REQUEST));
        let messages =
            aside(&text, split).map_err(|error| Violation::Malformed(error.to_string()))?;
        let [message] = messages.as_slice() else {
            return Err(Violation::Malformed(
                "the first frame must be one `register` message".into(),
            )
            .into());
        };
        if message.kind != "register" {
            return Err(Violation::Malformed("the first message must be `register`".into()).into());
        }
        let register: Result<Box<Register>, _> = parsed(message.json);
        let mut register = register.map_err(Violation::from)?;
        facts::shorten_register(&mut register);
        return Ok(register);
    }
}

/// What a message that is no text means.
fn ended(received: Option<Result<Message, websocket::Error>>) -> End {
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
    socket: &mut Socket,
    register: Box<Register>,
) -> End {
    let inbox = Arc::new(Inbox::default());
    let Some(epoch) = core.fleet.connect(host_id, Arc::clone(&inbox)) else {
        return End::Close(close::FORBIDDEN, "unknown host".into());
    };
    // The connection before this one holds the lock until its last append is finished.
    let slot = core.slot(host_id);
    let mut runs = tokio::select! {
        runs = slot.lock_owned() => runs,
        code = inbox.closed() => return End::Close(code, GONE.into()),
        never = keep_waiting(socket) => match never {},
    };
    // A host that asked for too much waits, also over a new connection.
    if let Some(rest) = runs.rests() {
        tokio::select! {
            () = sleep_until(Instant::from_std(rest)) => {}
            code = inbox.closed() => return End::Close(code, GONE.into()),
            () = core.shutdown.wait() => return going_away(),
            never = keep_waiting(socket) => match never {},
        }
    }
    let version = register.facts.agent_version.clone();
    let registered = tokio::select! {
        // In a box, as all that is seldom done: a quiet connection holds as much memory as its largest step needs.
        registered = Box::pin(runs.register(core, *register)) => registered,
        never = keep_waiting(socket) => match never {},
    };
    let mut heard = Instant::now();
    let end = match registered {
        Ok(()) => match send_replies(core, &mut runs, socket, &inbox, heard).await {
            Ok(()) => {
                tracing::info!(host = %host_id, ?version, "host registered");
                core.fleet.registered(host_id, epoch);
                talk(core, &mut runs, socket, &inbox, &mut heard).await
            }
            Err(end) => end,
        },
        Err(violation) => violation.into(),
    };
    Box::pin(runs.disconnected(core)).await;
    if core.fleet.disconnect(host_id, epoch, heard.elapsed()) {
        Box::pin(core.save_host(host_id)).await;
    }
    end
}

/// Takes in a frame, and those that came meanwhile: their lines are stored together.
async fn take_in(
    core: &Arc<Core>,
    runs: &mut HostRuns,
    socket: &mut Socket,
    first: Utf8Bytes,
) -> Result<(), End> {
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
        if taken.is_err() || left == 0 || runs.has_unread() || runs.rests().is_some() {
            break;
        }
        match socket.recv().now_or_never() {
            Some(Some(Ok(Message::Text(text)))) => next = text,
            Some(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {
                runs.allowance.spend(1);
                break;
            }
            None => break,
            Some(other) => {
                taken = Err(ended(other));
                break;
            }
        }
    }
    runs.store(core).await;
    taken
}

/// Tells a peer that it is waited for others before it: when thousands come back at once, its turn may take longer
/// than it would wait for somebody who is silent.
async fn keep_waiting(socket: &mut Socket) -> Infallible {
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
    socket: &mut Socket,
    inbox: &Inbox,
    heard: Instant,
) -> Result<(), End> {
    for reply in runs.take_replies() {
        let reply = Message::Text(reply.into());
        send(core, socket, reply, inbox, heard).await?;
    }
    Ok(())
}

/// A peer that takes nothing must not keep out the connection that replaces it, nor hold up the end. While it
/// takes nothing it is not heard either, so it has until it would be silent for too long.
fn send<'a>(
    core: &'a Core,
    socket: &'a mut Socket,
    message: Message,
    inbox: &'a Inbox,
    heard: Instant,
) -> Pin<Box<impl Future<Output = Result<(), End>> + 'a>> {
    Box::pin(async move {
        tokio::select! {
            sent = timeout_at(heard + SILENCE, socket.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                _ => Err(End::Gone),
            },
            code = inbox.closed() => Err(End::Close(code, GONE.into())),
            () = core.shutdown.wait() => Err(going_away()),
        }
    })
}

/// Does what is to be done with a message.
async fn received(
    core: &Arc<Core>,
    runs: &mut HostRuns,
    socket: &mut Socket,
    message: Option<Result<Message, websocket::Error>>,
) -> Result<(), End> {
    match message {
        Some(Ok(Message::Text(text))) => take_in(core, runs, socket, text).await,
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
            runs.allowance.spend(1);
            Ok(())
        }
        other => Err(ended(other)),
    }
}

/// Takes in more of a frame that had more messages than its host might send.
async fn read_on(core: &Arc<Core>, runs: &mut HostRuns) -> Result<(), End> {
    let read = runs.read_on(core).await;
    runs.store(core).await;
    Ok(read?)
}

async fn talk(
    core: &Arc<Core>,
    runs: &mut HostRuns,
    socket: &mut Socket,
    inbox: &Inbox,
    heard: &mut Instant,
) -> End {
    let bell = runs.bell();
    let mut next_ping = Instant::now();
    loop {
        if let Err(end) = send_replies(core, runs, socket, inbox, *heard).await {
            return end;
        }
        let turn = runs.next_turn().map(Instant::from_std);
        let rest = runs.rests().map(Instant::from_std);
        let listens = rest.is_none();
        // One timer for all of them, as each takes memory of every connection.
        let due = rest.unwrap_or(*heard + SILENCE).min(next_ping);
        let due = turn.map_or(due, |turn| turn.min(due));
        let done = tokio::select! {
            // What the peer sent comes last, so that a peer that never pauses holds nothing up.
            biased;
            () = core.shutdown.wait() => return going_away(),
            told = inbox.next() => match told {
                Told::Close(code) => return End::Close(code, GONE.into()),
                Told::Errand(errand) => {
                    Box::pin(runs.errand(core, errand)).await;
                    Ok(())
                }
            },
            () = bell.notified() => {
                Box::pin(runs.acknowledge(core)).await;
                Ok(())
            }
            () = sleep_until(due) => {
                let now = Instant::now();
                if turn.is_some_and(|turn| turn <= now) {
                    Box::pin(runs.turn(core)).await;
                    Box::pin(runs.acknowledge(core)).await;
                }
                if rest.is_some_and(|rest| rest <= now) {
                    // It was not listened to, so it was not silent.
                    *heard = Instant::now();
                }
                if next_ping <= now {
                    next_ping = now + PING_EVERY;
                    let ping = Message::Ping(Default::default());
                    send(core, socket, ping, inbox, *heard).await
                } else if listens && *heard + SILENCE <= now {
                    // What it sent is looked at before it is held for silent.
                    match unconstrained(socket.recv()).now_or_never() {
                        Some(message) => {
                            *heard = now;
                            let received = received(core, runs, socket, message);
                            Box::pin(received).await
                        }
                        None => return End::Gone,
                    }
                } else {
                    continue;
                }
            }
            () = ready(()), if listens && runs.has_unread() => {
                let read = Box::pin(read_on(core, runs)).await;
                *heard = Instant::now();
                read
            }
            message = socket.recv(), if listens && !runs.has_unread() => {
                let received = received(core, runs, socket, message);
                let received = Box::pin(received).await;
                // Also where storing took long, which is no silence.
                *heard = Instant::now();
                received
            }
        };
        if let Err(end) = done {
            return end;
        }
    }
}
