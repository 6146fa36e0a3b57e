//! The connection of a browser. It holds no lines: it wakes, reads what the browser lacks from the logs, and sends
//! one frame when its pace allows.

use super::frame::Frame;
use super::messages::{self, Subscribe, Wish};
use super::metrics::Metrics;
use super::pace::{Pace, Waiting};
use super::shares::Share;
use super::subscription::{Subscription, unreadable};
use super::{ToBrowser, Visitor};
use crate::dashboard::allowance::Allowance;
use crate::dashboard::auth::Scope;
use crate::dashboard::core::Core;
use crate::dashboard::fleet::{Form, News};
use crate::dashboard::intake;
use crate::dashboard::rates::{REQUEST, Rates, Who};
use crate::dashboard::receive_error::ReceiveError;
use crate::dashboard::websocket::{Message, Socket};
use crate::protocol::{Timestamp, close};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, interval, sleep_until, timeout};

/// Between the frames with all hosts, at the beginning.
const REST: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
/// A send that is blocked for longer allows to jump ahead.
const SLOW: Duration = Duration::from_secs(1);
/// How many news are written before the room in the frame is looked at again.
const NEWS_AT_A_TIME: usize = 16;
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// How many logs stay open for one browser; those of other subscriptions are opened when there is more in them.
const MAX_OPEN: usize = 8;
/// How many messages a browser may send.
const MESSAGES_AT_ONCE: u32 = 2_000;
const MESSAGES_A_SECOND: u32 = 100;

/// Why a connection is over.
enum End {
    Close(u16, &'static str),
    Gone,
}

/// Serves a browser until it goes, is no longer welcome, or the dashboard ends.
pub(crate) async fn serve(core: Arc<Core>, mut socket: Socket, visitor: Visitor) {
    let Visitor {
        welcome,
        name,
        rates,
        share,
        scope,
        form,
        active,
    } = visitor;
    let _guest = core.guests.enter();
    socket.limit_long_messages(Arc::clone(&share.long_messages));
    core.counters.browsers.fetch_add(1, Ordering::Relaxed);
    let mut browser = Browser {
        core: Arc::clone(&core),
        scope,
        active,
        socket,
        fleet_bell: Arc::default(),
        lines_bell: Arc::default(),
        pace: Pace::new(Instant::now()),
        form,
        metrics: Metrics::new(&core.fleet, form),
        subscriptions: Vec::new(),
        frame: Frame::default(),
        long_frame: None,
        seen: 0,
        heard: Instant::now(),
        wishes: VecDeque::new(),
        allowance: Allowance::new(MESSAGES_AT_ONCE, MESSAGES_A_SECOND),
        who: Who::Page(name),
        rates,
        share,
        turn: 0,
    };
    if let End::Close(code, reason) = browser.talk(welcome).await {
        let closed = browser.socket.close(code, reason);
        let _ = timeout(Duration::from_secs(2), closed).await;
    }
    core.counters.browsers.fetch_sub(1, Ordering::Relaxed);
}

struct Browser {
    core: Arc<Core>,
    scope: Scope,
    active: Arc<AtomicBool>,
    socket: Socket,
    /// Rings when hosts or runs change by more than metrics.
    fleet_bell: Arc<Notify>,
    /// Rings when a log grows.
    lines_bell: Arc<Notify>,
    pace: Pace,
    form: Form,
    metrics: Metrics,
    subscriptions: Vec<Subscription>,
    frame: Frame,
    /// Lets the frame be long.
    long_frame: Option<OwnedSemaphorePermit>,
    /// The version of the fleet that the browser has.
    seen: u64,
    heard: Instant,
    /// What it sent and was not looked at yet: never more than one frame.
    wishes: VecDeque<Wish>,
    /// Of messages.
    allowance: Allowance,
    /// Of messages as well, for all the pages of this user.
    who: Who,
    rates: Arc<Rates>,
    /// What all pages of this user have together.
    share: Arc<Share>,
    /// Which subscription comes first in the next frame, so that each has its turn.
    turn: usize,
}

impl Browser {
    /// What is done now and then is in boxes: a quiet connection holds as much memory as its largest step needs.
    async fn talk(&mut self, mut welcome: watch::Receiver<bool>) -> End {
        if let Err(end) = Box::pin(self.greet()).await {
            return end;
        }
        let mut pings = interval(TICK);
        let began = Instant::now();
        let mut waiting = Waiting {
            lines: true,
            news: true,
        };
        loop {
            let due = self.pace.due(waiting, Instant::now());
            let quiet_since = self.pace.last().unwrap_or(began);
            let core = Arc::clone(&self.core);
            let rest = self.rest();
            // Its answers must have room: who asks faster than it reads waits.
            let listens = rest.is_none() && self.frame.has_room();
            tokio::select! {
                biased;
                () = core.shutdown.wait() => return End::Close(close::GOING_AWAY, "the dashboard ends"),
                () = unwelcome(&mut welcome) => {
                    return End::Close(close::FORBIDDEN, "signed out, or no longer allowed");
                }
                () = std::future::ready(()), if listens && !self.wishes.is_empty() => {
                    Box::pin(self.grant()).await;
                    waiting.lines = true;
                }
                received = self.socket.recv(), if listens && self.wishes.is_empty() => {
                    self.heard = Instant::now();
                    match received {
                        Some(Ok(Message::Text(text))) => {
                            self.active.store(true, Ordering::Relaxed);
                            match intake::aside(&text, messages::read) {
                                Ok(wishes) => self.wishes = wishes.into(),
                                Err(reason) => return End::Close(close::MALFORMED, reason),
                            }
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => self.spend(),
                        Some(Ok(Message::Binary(_))) => return End::Close(close::MALFORMED, "a binary frame"),
                        Some(Err(error)) if ReceiveError::of(&error) == ReceiveError::TooBig => return End::Close(close::TOO_BIG, "a frame is over 1 MiB"),
                        _ => return End::Gone,
                    }
                }
                // Only after what it sent was looked at, which needs room for the answers.
                () = sleep_until(self.heard + SILENCE) => {
                    if !self.socket.is_held_up() {
                        return End::Gone;
                    }
                    // Other pages of its user keep us from reading on.
                    self.heard = Instant::now();
                }
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => {
                    // It was not listened to, so it was not silent.
                    self.heard = Instant::now();
                }
                _ = pings.tick() => {
                    let ping = self.send(Message::Ping(Default::default()));
                    if let Err(end) = Box::pin(ping).await {
                        return end;
                    }
                }
                () = self.lines_bell.notified(), if !waiting.lines => waiting.lines = true,
                () = self.fleet_bell.notified(), if !waiting.news => waiting.news = true,
                () = sleep_until(due) => {
                    let answers = !self.frame.is_empty();
                    self.begin_frame();
                    let (lines, left) = core.reads.run(|| self.fill()).await;
                    waiting = left;
                    if self.frame.is_empty() {
                        self.end_frame();
                    }
                    if !self.frame.is_empty()
                        && let Err(end) = Box::pin(self.send_frame(lines || answers)).await
                    {
                        return end;
                    }
                }
                () = sleep_until(quiet_since + TICK) => {
                    self.frame.push(&ToBrowser::Tick { time: Timestamp::now() });
                    if let Err(end) = Box::pin(self.send_frame(false)).await {
                        return end;
                    }
                }
            }
        }
    }

    /// All hosts, first of all.
    async fn greet(&mut self) -> Result<(), End> {
        self.core.fleet.watch(&self.fleet_bell);
        // What changes while the list is on its way is told again behind it.
        self.seen = self.core.fleet.version();
        let (core, scope) = (Arc::clone(&self.core), self.scope.clone());
        let ids = core.fleet.host_ids().into_iter();
        let mut hosts = ids
            .filter(|id| scope.has(id))
            .filter_map(|id| core.fleet.host(&id))
            .peekable();
        loop {
            self.begin_frame();
            self.frame.push_hosts(&mut hosts);
            self.send_frame(false).await?;
            if hosts.peek().is_none() {
                // It was not listened to, so it was not silent.
                self.heard = Instant::now();
                return Ok(());
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Writes what the browser lacks into the frame; gives whether there are lines in it, and what is left.
    fn fill(&mut self) -> (bool, Waiting) {
        let mut left = Waiting {
            lines: false,
            news: true,
        };
        while left.news && self.frame.has_room() {
            left.news = self.fill_news();
        }
        let now = Instant::now();
        if self.pace.is_metrics_due(now) {
            self.metrics
                .fill(&self.core.fleet, &self.scope, &mut self.frame);
            self.pace.looked_at_metrics(now);
        }
        // News leave half of the frame to lines.
        self.frame.begin_lines();
        let before = self.frame.len();
        let count = self.subscriptions.len();
        let mut open = self
            .subscriptions
            .iter()
            .filter(|one| one.is_open())
            .count();
        let mut batch = crate::runlog::Batch::default();
        let mut failed = Vec::new();
        self.turn = self.turn.wrapping_add(1);
        for i in 0..count {
            let subscription = &mut self.subscriptions[(i + self.turn) % count];
            if !self.frame.has_room_for_lines() {
                left.lines = true;
                break;
            }
            let was_open = subscription.is_open();
            let filled = subscription.fill(&self.core, &mut self.frame, &mut batch);
            open = open - usize::from(was_open) + usize::from(subscription.is_open());
            if subscription.is_open() && open > MAX_OPEN {
                subscription.close();
                open -= 1;
            }
            match filled {
                Ok(more) => left.lines |= more,
                Err(error) => {
                    tracing::warn!(host = %subscription.host_id, %error, "log cannot be shown");
                    if let (true, Some(run)) = (error.is_corrupt(), subscription.place().0) {
                        self.core.mend_later(&subscription.host_id, run);
                    }
                    let detail = self.core.without_paths(&unreadable(&error));
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
        (self.frame.len() > before, left)
    }

    /// Some of what changed in the fleet; `true` if there is more.
    fn fill_news(&mut self) -> bool {
        let (news, reached, more) = self.core.fleet.news(self.seen, NEWS_AT_A_TIME, self.form);
        self.seen = reached;
        for item in news.iter().filter(|item| self.scope.has(item.host_id())) {
            self.frame.push(&match item {
                News::Host(host) => {
                    self.metrics.push_news(host, &mut self.frame);
                    continue;
                }
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

    /// Lets the next frame be long, unless many long ones are on their way to this user: a page that takes nothing has
    /// its frame in memory.
    fn begin_frame(&mut self) {
        let permits = Arc::clone(&self.share.long_frames);
        let long = self.long_frame.take();
        self.long_frame = long.or_else(|| permits.try_acquire_owned().ok());
        self.frame.set_long(self.long_frame.is_some());
    }

    fn end_frame(&mut self) {
        self.long_frame = None;
        self.frame.set_long(false);
    }

    async fn send_frame(&mut self, with_lines: bool) -> Result<(), End> {
        let text = self.frame.finish();
        let began = Instant::now();
        self.core
            .counters
            .frames_sent
            .fetch_add(1, Ordering::Relaxed);
        self.send(Message::Text(text.into())).await?;
        self.end_frame();
        self.pace.sent(with_lines, Instant::now());
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
            sent = timeout(SILENCE, self.socket.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                _ => Err(End::Gone),
            },
            () = core.shutdown.wait() => Err(End::Close(close::GOING_AWAY, "the dashboard ends")),
        }
    }

    /// When the next message may be looked at; none where at once.
    fn rest(&mut self) -> Option<Instant> {
        let now = std::time::Instant::now();
        let own = self.allowance.wait(now);
        let shared = self.rates.wait(&self.who, now);
        own.max(shared).map(Instant::from_std)
    }

    fn spend(&mut self) {
        self.allowance.spend(1);
        self.rates
            .spend(&self.who, REQUEST, std::time::Instant::now());
    }

    /// Does what the next message asks for.
    async fn grant(&mut self) {
        let Some(wish) = self.wishes.pop_front() else {
            return;
        };
        if self.wishes.is_empty() {
            // It would keep the memory of the longest frame.
            self.wishes = VecDeque::new();
        }
        self.spend();
        match wish {
            Wish::Subscribe(wish) => self.subscribe(wish).await,
            Wish::Unsubscribe(wish) => self
                .subscriptions
                .retain(|subscription| subscription.sub != wish.sub),
            Wish::WatchMetrics(wish) => self.metrics.watch(wish.hosts),
            Wish::Unknown => {}
        }
    }

    async fn subscribe(&mut self, wish: Subscribe) {
        let sub = wish.sub.clone().unwrap_or_else(|| wish.host_id.to_string());
        self.subscriptions
            .retain(|subscription| subscription.sub != sub);
        let made = if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            Err(format!("at most {MAX_SUBSCRIPTIONS} subscriptions"))
        } else if !self.scope.has(&wish.host_id) {
            Err(format!("unknown host \"{}\"", wish.host_id))
        } else {
            // Rings before the place is found, so that no line comes in between unheard.
            self.core
                .fleet
                .watch_output(&wish.host_id, &self.lines_bell);
            Subscription::new(&self.core, &self.share, wish).await
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
            Err(detail) => self.frame.push(&ToBrowser::Error {
                sub: Some(&sub),
                detail: &detail,
            }),
        }
    }
}

async fn unwelcome(welcome: &mut watch::Receiver<bool>) {
    // Without a sender nobody watches over the visitor any more.
    let _ = welcome.wait_for(|welcome| !welcome).await;
}
