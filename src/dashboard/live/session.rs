//! The connection of a browser. It holds no lines: it wakes, reads what the browser lacks from the logs, sends
//! one frame, and rests for a tenth of a second.

use super::frame::Frame;
use super::subscription::Subscription;
use super::{Subscribe, ToBrowser, Unsubscribe, Visitor};
use crate::dashboard::allowance::Allowance;
use crate::dashboard::auth::Scope;
use crate::dashboard::core::Core;
use crate::dashboard::fleet::News;
use crate::dashboard::intake;
use crate::protocol::{BrowserMessage, Timestamp, close, split};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::de::IgnoredAny;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, interval, sleep_until, timeout};

/// At most 10 frames a second.
const REST: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
/// A send that is blocked for longer allows to jump ahead.
const SLOW: Duration = Duration::from_secs(1);
/// How many news are written before the room in the frame is looked at again.
const NEWS_AT_A_TIME: usize = 16;
/// The longest name of a subscription, in bytes.
const MAX_SUB_BYTES: usize = 256;
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// How many messages a browser may send.
const MESSAGES_AT_ONCE: u32 = 2_000;
const MESSAGES_A_SECOND: u32 = 100;

/// Why a connection is over.
enum End {
    Close(u16, &'static str),
    Gone,
}

/// Serves a browser until it goes, is no longer welcome, or the dashboard ends.
pub(crate) async fn serve(core: Arc<Core>, socket: WebSocket, visitor: Visitor) {
    let Visitor {
        welcome,
        scope,
        active,
    } = visitor;
    let _guest = core.guests.enter();
    core.counters.browsers.fetch_add(1, Ordering::Relaxed);
    let (sink, stream) = socket.split();
    let mut browser = Browser {
        core: Arc::clone(&core),
        scope,
        active,
        sink,
        stream,
        bell: Arc::new(Notify::new()),
        subscriptions: Vec::new(),
        frame: Frame::default(),
        seen: 0,
        heard: Instant::now(),
        allowance: Allowance::new(MESSAGES_AT_ONCE, MESSAGES_A_SECOND),
        turn: 0,
    };
    if let End::Close(code, reason) = browser.talk(welcome).await {
        let frame = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        let _ = timeout(Duration::from_secs(2), browser.sink.send(frame)).await;
    }
    core.counters.browsers.fetch_sub(1, Ordering::Relaxed);
}

struct Browser {
    core: Arc<Core>,
    scope: Scope,
    active: Arc<AtomicBool>,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    bell: Arc<Notify>,
    subscriptions: Vec<Subscription>,
    frame: Frame,
    /// The version of the fleet that the browser has.
    seen: u64,
    heard: Instant,
    /// Of messages.
    allowance: Allowance,
    /// Which subscription comes first in the next frame, so that each has its turn.
    turn: usize,
}

impl Browser {
    async fn talk(&mut self, mut welcome: watch::Receiver<bool>) -> End {
        if let Err(end) = self.greet().await {
            return end;
        }
        let mut pings = interval(TICK);
        let mut sent = Instant::now();
        let mut more = true;
        loop {
            let ready = sent + REST;
            let core = Arc::clone(&self.core);
            let now = std::time::Instant::now();
            let rest = self.allowance.wait(now).map(Instant::from_std);
            tokio::select! {
                biased;
                () = core.shutdown.wait() => return End::Close(close::GOING_AWAY, "the dashboard ends"),
                () = unwelcome(&mut welcome) => {
                    return End::Close(close::FORBIDDEN, "signed out, or no longer allowed");
                }
                // Its answers must have room: who asks faster than it reads waits.
                received = self.stream.next(), if rest.is_none() && self.frame.has_room() => {
                    self.heard = Instant::now();
                    match received {
                        Some(Ok(Message::Text(text))) => {
                            self.active.store(true, Ordering::Relaxed);
                            if let Err(end) = self.receive(&text).await {
                                return end;
                            }
                            more = true;
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Binary(_))) => return End::Close(close::MALFORMED, "a binary frame"),
                        Some(Err(error)) if intake::is_too_big(&error) => return End::Close(close::TOO_BIG, "a frame is over 1 MiB"),
                        _ => return End::Gone,
                    }
                }
                // Only after what it sent was looked at, which needs room for the answers.
                () = sleep_until(self.heard + SILENCE) => return End::Gone,
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => {
                    // It was not listened to, so it was not silent.
                    self.heard = Instant::now();
                }
                _ = pings.tick() => {
                    if let Err(end) = self.send(Message::Ping(Default::default())).await {
                        return end;
                    }
                }
                () = self.bell.notified(), if !more => more = true,
                () = sleep_until(ready), if more => {
                    more = tokio::task::block_in_place(|| self.fill());
                    if !self.frame.is_empty() {
                        if let Err(end) = self.send_frame().await {
                            return end;
                        }
                        sent = Instant::now();
                    }
                }
                () = sleep_until(sent + TICK), if !more => {
                    self.frame.push(&ToBrowser::Tick { time: Timestamp::now() });
                    if let Err(end) = self.send_frame().await {
                        return end;
                    }
                    sent = Instant::now();
                }
            }
        }
    }

    /// All hosts, first of all.
    async fn greet(&mut self) -> Result<(), End> {
        self.core.fleet.watch(&self.bell);
        let (mut hosts, seen) = self.core.fleet.hosts();
        hosts.retain(|host| self.scope.has(host.id()));
        self.seen = seen;
        let mut rest = hosts.as_slice();
        loop {
            rest = &rest[self.frame.push_hosts(rest)..];
            self.send_frame().await?;
            if rest.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Writes what the browser lacks into the frame; `true` if there is more.
    fn fill(&mut self) -> bool {
        let mut more = true;
        while more && self.frame.has_room() {
            more = self.fill_news();
        }
        let count = self.subscriptions.len();
        let mut batch = crate::runlog::Batch::default();
        let mut failed = Vec::new();
        self.turn = self.turn.wrapping_add(1);
        for i in 0..count {
            let subscription = &mut self.subscriptions[(i + self.turn) % count];
            if !self.frame.has_room() {
                more = true;
                break;
            }
            match subscription.fill(&self.core, &mut self.frame, &mut batch) {
                Ok(left) => more |= left,
                Err(error) => {
                    tracing::warn!(host = %subscription.host_id, %error, "a log cannot be shown");
                    let detail = format!("the log cannot be read: {error}");
                    self.frame.push(&ToBrowser::Error {
                        sub: Some(&subscription.sub),
                        detail: &detail,
                    });
                    failed.push(subscription.sub.clone());
                }
            }
        }
        self.subscriptions
            .retain(|subscription| !failed.contains(&subscription.sub));
        more
    }

    /// Some of what changed in the fleet; `true` if there is more.
    fn fill_news(&mut self) -> bool {
        let (news, reached, more) = self.core.fleet.news(self.seen, NEWS_AT_A_TIME);
        self.seen = reached;
        for item in news.iter().filter(|item| self.scope.has(item.host_id())) {
            self.frame.push(&match item {
                News::Host(host) => ToBrowser::HostUpdate { host },
                News::Run(run) => ToBrowser::RunUpdate { run },
                News::Queued(run) => ToBrowser::CommandQueued {
                    host_id: &run.host_id,
                    run_id: &run.run_id,
                    command: &run.command,
                    requested_by: run.requested_by.as_deref(),
                },
            });
        }
        more
    }

    async fn send_frame(&mut self) -> Result<(), End> {
        let text = self.frame.finish();
        let began = Instant::now();
        self.core
            .counters
            .frames_sent
            .fetch_add(1, Ordering::Relaxed);
        self.send(Message::Text(text.into())).await?;
        if began.elapsed() > SLOW {
            for subscription in &mut self.subscriptions {
                subscription.jump(&self.core);
            }
        }
        Ok(())
    }

    /// A browser that takes nothing for so long is gone, and so is the dashboard when it ends.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        let core = Arc::clone(&self.core);
        tokio::select! {
            sent = timeout(SILENCE, self.sink.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                _ => Err(End::Gone),
            },
            () = core.shutdown.wait() => Err(End::Close(close::GOING_AWAY, "the dashboard ends")),
        }
    }

    async fn receive(&mut self, text: &str) -> Result<(), End> {
        let malformed = |_| End::Close(close::MALFORMED, "malformed");
        let messages = split(text).map_err(|_| End::Close(close::MALFORMED, "malformed"))?;
        for message in messages {
            self.allowance.spend(1);
            match BrowserMessage::of(&message.kind) {
                Some(BrowserMessage::Subscribe) => {
                    let wish: Subscribe = serde_json::from_str(message.json).map_err(malformed)?;
                    if wish
                        .sub
                        .as_ref()
                        .is_some_and(|sub| sub.len() > MAX_SUB_BYTES)
                    {
                        return Err(End::Close(close::MALFORMED, "a sub is over 256 bytes"));
                    }
                    self.subscribe(wish).await;
                }
                Some(BrowserMessage::Unsubscribe) => {
                    let wish: Unsubscribe =
                        serde_json::from_str(message.json).map_err(malformed)?;
                    self.subscriptions
                        .retain(|subscription| subscription.sub != wish.sub);
                }
                None => {
                    serde_json::from_str::<IgnoredAny>(message.json).map_err(malformed)?;
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self, wish: Subscribe) {
        let sub = wish.sub.clone().unwrap_or_else(|| wish.host_id.to_string());
        self.subscriptions
            .retain(|subscription| subscription.sub != sub);
        let made = if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            Err(format!("at most {MAX_SUBSCRIPTIONS} subscriptions"))
        } else if !self.scope.has(&wish.host_id) {
            Err(format!("there is no host {}", wish.host_id))
        } else {
            // Rings before the place is found, so that no line comes in between unheard.
            self.core.fleet.watch_output(&wish.host_id, &self.bell);
            Subscription::new(&self.core, wish).await
        };
        match made {
            Ok(subscription) => {
                let (run_id, from, total) = subscription.place();
                let host_id = &subscription.host_id;
                self.frame.push(&ToBrowser::Subscribed {
                    sub: &sub,
                    host_id,
                    run_id,
                    from,
                    total,
                });
                self.subscriptions.push(subscription);
            }
            // Thousands of mistakes in one message are not all answered.
            Err(detail) if self.frame.has_room() => self.frame.push(&ToBrowser::Error {
                sub: Some(&sub),
                detail: &detail,
            }),
            Err(_) => {}
        }
    }
}

async fn unwelcome(welcome: &mut watch::Receiver<bool>) {
    // Without a sender nobody watches over the visitor any more.
    let _ = welcome.wait_for(|welcome| !welcome).await;
}
