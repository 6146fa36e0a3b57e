//! One connection to the dashboard, from `register` to its end.

use super::Agent;
use super::connect::{self, Socket};
use super::enrolment;
use super::follower::{Follower, Next};
use super::frames;
use super::live::Change;
use super::orders::Answer;
use super::outbound::{self, Outbound};
use super::runs::Runs;
use crate::lifecycle::{self, Shutdown};
use crate::logging;
use crate::protocol::{
    self, Ack, CommandRequest, Enrolled, FEATURES, Heartbeat, HostId, PROTOCOL, Register,
    Registered, Resume, ResumeFrom, RunId, StatusReport, StopRequest, Timestamp, close,
    shorten_name,
};
use crate::runlog::LogError;
use crate::spool::StopOrder;
use futures_util::stream::{SplitStream, StreamExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

/// Between two pings.
const PING: Duration = Duration::from_secs(10);

/// A peer that is silent for longer is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// A dashboard that only says that it is there and never registers this host is left after this.
const REGISTRATION_LIMIT: Duration = Duration::from_secs(600);

/// A connection that lasted so long was of use: one on which nothing large gets through ends before, for its silence.
const OF_USE_AFTER: Duration = Duration::from_secs(120);

/// Answers and statuses that wait for the socket; while there are more, nothing is read.
const ANSWERS: usize = 64;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the agent is ending")]
    Shutdown,
    #[error("the agent was removed from the host's configuration")]
    Removed,
    #[error("the dashboard closed the connection{}", said(.0.as_ref()))]
    Closed(Option<CloseFrame>),
    #[error(
        "the dashboard refused host \"{host_id}\" with the token in {}: {reason}; if this file contains another host's token, correct host_id, or put this host's token into it (two tokens may be swapped)",
        token_file.display()
    )]
    TurnedAway {
        token_file: PathBuf,
        host_id: HostId,
        reason: String,
    },
    #[error(
        "the dashboard did not enrol host \"{host_id}\" with the secret in {}: {reason}",
        secret_file.display()
    )]
    NotEnrolled {
        secret_file: PathBuf,
        host_id: HostId,
        reason: String,
    },
    #[error("the dashboard was silent for {} s", SILENCE.as_secs())]
    Silent,
    #[error("the dashboard sent an invalid message: {0}")]
    Malformed(String),
    #[error("the token belongs to host \"{0}\"; correct host_id or the token")]
    OtherHost(HostId),
    #[error("the connection broke: {0}")]
    Broken(#[from] tungstenite::Error),
    #[error("the dashboard gave this host its token")]
    Enrolled,
    #[error("the token from the dashboard cannot be stored: {0}")]
    TokenNotKept(std::io::Error),
    #[error("the dashboard stopped reading")]
    Stuck,
}

fn said(frame: Option<&CloseFrame>) -> String {
    frame.map_or_else(String::new, |frame| {
        format!(" ({} {})", u16::from(frame.code), frame.reason)
    })
}

impl End {
    /// Whether the dashboard does not want this agent, so that there is no hurry to come back.
    pub(super) fn is_unwanted(&self) -> bool {
        match self {
            Self::Closed(Some(frame)) => {
                matches!(u16::from(frame.code), close::FORBIDDEN | close::REPLACED)
            }
            Self::OtherHost(_) | Self::TurnedAway { .. } | Self::NotEnrolled { .. } => true,
            _ => false,
        }
    }

    /// Whether the dashboard did not say why, if it was a dashboard at all.
    fn is_unexplained(&self) -> bool {
        matches!(
            self,
            Self::Closed(None) | Self::Silent | Self::Stuck | Self::Broken(_) | Self::Malformed(_)
        )
    }
}

/// How a connection went.
pub(super) struct Outcome {
    pub(super) registered: bool,
    pub(super) end: End,
}

impl Outcome {
    /// Whether this connection, which lasted so long, was of no use, as where large packets get lost on the way.
    pub(super) fn came_to_nothing(&self, lasted: Duration) -> bool {
        self.end.is_unexplained() && (!self.registered || lasted < OF_USE_AFTER)
    }
}

struct Session<'a> {
    agent: &'a mut Agent,
    follower: Follower,
    /// What goes before anything else: `register`, and how runs stand, of which the lines follow.
    statuses: VecDeque<Vec<u8>>,
    /// Answers to commands.
    answers: VecDeque<Vec<u8>>,
    /// Whether an answer went out last.
    answered: bool,
    /// The runs that `register` named.
    offered: BTreeSet<RunId>,
    registered: bool,
    beats: Interval,
    beat_due: bool,
}

/// Speaks with the dashboard until the connection ends.
pub(super) async fn run(agent: &mut Agent, socket: Socket, shutdown: &Shutdown) -> Outcome {
    let (sink, stream) = socket.split();
    let mut outbound = Outbound::start(sink);
    let mut beats = interval(agent.config.heartbeat_interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut session = Session {
        statuses: VecDeque::from([agent.register()]),
        answers: VecDeque::new(),
        answered: false,
        offered: agent.runs.unacknowledged(),
        agent,
        follower: Follower::default(),
        registered: false,
        beats,
        beat_due: false,
    };
    let end = session.run(stream, &mut outbound, shutdown).await;
    let registered = session.registered;
    let end = if registered {
        end
    } else {
        session.explain(end)
    };
    outbound.close(outbound::code_of(&end)).await;
    Outcome { registered, end }
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut stream: SplitStream<Socket>,
        outbound: &mut Outbound,
        shutdown: &Shutdown,
    ) -> End {
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping_due = false;
        let mut patience = Patience::new(Instant::now());
        loop {
            if self.agent.may_leave() {
                return End::Removed;
            }
            let due = self.follower.due().map(Instant::from_std);
            let now = Instant::now();
            let lines_due = due.is_some_and(|due| due <= now);
            let deadline = patience.deadline(self.registered);
            let waiting = self.statuses.len() + self.answers.len();
            tokio::select! {
                () = shutdown.wait() => return End::Shutdown,
                () = sleep_until(deadline) => return End::Silent,
                incoming = stream.next(), if waiting < ANSWERS => {
                    let is_ping = matches!(incoming, Some(Ok(Message::Ping(_))));
                    patience.heard(Instant::now(), is_ping);
                    match incoming {
                        Some(Ok(message)) => {
                            if let Err(end) = self.receive(message).await {
                                return end;
                            }
                        }
                        Some(Err(error)) => return End::Broken(error),
                        None => return End::Closed(None),
                    }
                }
                _ = pings.tick() => ping_due = true,
                _ = self.beats.tick(), if self.registered => {
                    self.beat_due = true;
                    logging::report_left_out();
                }
                (run_id, change) = self.agent.runs.changed() => self.changed(&run_id, change),
                room = outbound.room(), if ping_due || self.beat_due || lines_due || waiting > 0 => {
                    let Some(room) = room else { break };
                    if std::mem::take(&mut ping_due) {
                        room.send(Message::Ping(Vec::new().into()));
                    } else if let Some(message) = self.next() {
                        match text(message) {
                            Ok(message) => room.send(message),
                            Err(end) => return end,
                        }
                    }
                }
                () = until(due), if due.is_some() && !lines_due => {}
            }
        }
        outbound.failure().await
    }

    /// What goes out next. A dashboard that sends commands without end keeps no heartbeat and no line back: these take
    /// turns with the answers.
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(status) = self.statuses.pop_front() {
            return Some(status);
        }
        if !std::mem::take(&mut self.answered)
            && let Some(answer) = self.answers.pop_front()
        {
            self.answered = true;
            return Some(answer);
        }
        self.unasked().or_else(|| self.answers.pop_front())
    }

    /// A heartbeat or lines, heartbeats first.
    fn unasked(&mut self) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.beat_due) {
            return Some(self.agent.heartbeat());
        }
        match self.follower.next(&self.agent.runs, &self.agent.host_id)? {
            Next::Message(message) => Some(message),
            Next::Status(run_id) => {
                // Told as over only when the next one may begin.
                self.agent.runs.ended(&run_id);
                self.agent.note_built(&run_id);
                self.status(&run_id, Runs::report)
            }
        }
    }

    fn status(
        &self,
        run_id: &RunId,
        report: fn(&Runs, &RunId) -> Result<StatusReport, LogError>,
    ) -> Option<Vec<u8>> {
        match report(&self.agent.runs, run_id) {
            Ok(report) => Some(frames::json(&self.agent.complete(report))),
            Err(error) => {
                tracing::error!(run = %run_id, "the status of this run cannot be read: {error}");
                None
            }
        }
    }

    /// Something happened to the run that goes on.
    fn changed(&mut self, run_id: &RunId, change: Change) {
        if !self.registered {
            return;
        }
        if change == Change::Unsettled {
            self.statuses
                .extend(Runs::lost(&self.agent.host_id, run_id));
        }
        if change == Change::Started {
            self.statuses.extend(self.status(run_id, Runs::running));
            self.follow(run_id, 0);
        }
        self.follower.wake(run_id);
    }

    fn follow(&mut self, run_id: &RunId, seq: protocol::Seq) {
        if let Err(error) = self.follower.follow(&self.agent.runs, run_id, seq) {
            tracing::error!(run = %run_id, "cannot send this run from line {seq}: {error}");
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Text(frame) => {
                let messages =
                    protocol::split(&frame).map_err(|error| End::Malformed(error.to_string()))?;
                for message in messages {
                    self.dispatch(&message.kind, message.json).await?;
                }
                Ok(())
            }
            Message::Close(frame) => Err(End::Closed(frame)),
            Message::Binary(_) => Err(End::Malformed("a binary frame".to_owned())),
            _ => Ok(()),
        }
    }

    /// Why the dashboard closed the connection in place of an answer to `register`. The code says that it does not want
    /// this host, and only its text why.
    fn explain(&self, end: End) -> End {
        let End::Closed(Some(frame)) = end else {
            return end;
        };
        if u16::from(frame.code) != close::FORBIDDEN {
            return End::Closed(Some(frame));
        }
        let (host_id, reason) = (self.agent.host_id.clone(), frame.reason.to_string());
        match connect::credential(&self.agent.config) {
            (secret_file, true) => End::NotEnrolled {
                secret_file,
                host_id,
                reason,
            },
            (token_file, false) => End::TurnedAway {
                token_file,
                host_id,
                reason,
            },
        }
    }

    /// Keeps the token, for the next connection.
    fn enrolled(&self, enrolled: &Enrolled) -> End {
        let config = &self.agent.config;
        if enrolled.host_id != self.agent.host_id {
            return End::OtherHost(enrolled.host_id.clone());
        }
        if config.enrolment_file.is_none() || config.token_file.exists() {
            return End::Malformed("a token that this agent did not ask for".to_owned());
        }
        match enrolment::keep(&config.token_file, &enrolled.token) {
            Ok(()) => End::Enrolled,
            Err(error) => End::TokenNotKept(error),
        }
    }

    async fn dispatch(&mut self, kind: &str, json: &str) -> Result<(), End> {
        if !self.registered && kind == "enrolled" {
            return Err(self.enrolled(&read(json)?));
        }
        if !self.registered && kind != "registered" {
            tracing::debug!("ignored \"{kind}\" before \"registered\"");
            return Ok(());
        }
        match kind {
            "registered" => self.on_registered(read(json)?)?,
            "command" => {
                let mut request: CommandRequest = read(json)?;
                shorten_name(&mut request.requested_by);
                self.on_command(&request).await;
            }
            "stop" => {
                let mut stop: StopRequest = read(json)?;
                shorten_name(&mut stop.requested_by);
                let order = StopOrder {
                    requested_by: stop.requested_by,
                    force: stop.force.unwrap_or(false),
                };
                self.agent.runs.stop(&stop.run_id, &order);
            }
            "resume" => {
                let Resume { run_id, seq } = read(json)?;
                self.follow(&run_id, seq);
            }
            "ack" => {
                let ack: Ack = read(json)?;
                if ack.is_final == Some(true) {
                    self.agent.runs.acknowledge(&ack.run_id);
                    self.follower.forget(&ack.run_id);
                } else {
                    self.agent.runs.acknowledge_lines(&ack.run_id, ack.seq);
                }
            }
            other => tracing::debug!("ignored a message of type \"{other}\""),
        }
        Ok(())
    }

    fn on_registered(&mut self, registered: Registered) -> Result<(), End> {
        if registered.host_id != self.agent.host_id {
            return Err(End::OtherHost(registered.host_id));
        }
        if !self.registered {
            self.registered = true;
            self.beats.reset_immediately();
            let url = self.agent.config.dashboard.configured();
            logging::announce(&format!("connected to {url}"));
            lifecycle::notify_status(&format!("connected to {url}"));
            let lost = self.agent.runs.all_lost();
            let lost = lost.filter_map(|run_id| Runs::lost(&self.agent.host_id, run_id));
            self.statuses.extend(lost);
            let rejections = self.agent.runs.rejections();
            self.answers
                .extend(rejections.map(|rejected| frames::json(&rejected)));
        }
        // Each once, however often it is named.
        let resume = registered.resume.into_iter();
        let resume: BTreeMap<_, _> = resume
            .map(|ResumeFrom { run_id, seq }| (run_id, seq))
            .collect();
        for (run_id, seq) in resume {
            self.follow(&run_id, seq);
        }
        // Those whose spool came to be since `register` was sent.
        for run_id in self.agent.runs.unacknowledged() {
            if !self.offered.contains(&run_id) && !self.follower.follows(&run_id) {
                self.changed(&run_id, Change::Started);
            }
        }
        Ok(())
    }

    async fn on_command(&mut self, request: &CommandRequest) {
        match self.agent.take(request).await {
            Answer::Begun => {}
            Answer::Known(report) => self.answers.push_back(frames::json(&*report)),
            Answer::Rejected(rejected) => self.answers.push_back(frames::json(&rejected)),
        }
    }
}

impl Agent {
    fn register(&self) -> Vec<u8> {
        let mut facts = self.facts.read();
        facts.commands = Some(self.catalogue.names());
        facts.heartbeat_interval = Some(self.config.heartbeat_interval.as_secs());
        frames::json(&Register {
            protocol: PROTOCOL,
            features: FEATURES.map(str::to_owned).to_vec(),
            time: Some(Timestamp::now()),
            host_id: self.host_id.clone(),
            machine_id: self.facts.machine_id(),
            installation_id: self.installation_id.clone(),
            facts,
            runs: self.runs.offered(),
        })
    }

    fn heartbeat(&mut self) -> Vec<u8> {
        let facts = self.facts.read();
        let live = self.runs.going_on();
        frames::json(&Heartbeat {
            time: Some(Timestamp::now()),
            host_id: self.host_id.clone(),
            generation: facts.generation,
            system: facts.system,
            revision: facts.revision,
            behind: facts.behind,
            reboot_required: facts.reboot_required,
            systems: facts.systems,
            pending_command: live.map(|live| live.command().clone()),
            run_id: live.map(|live| live.dir().run_id().clone()),
            metrics: Some(self.sampler.sample()),
        })
    }
}

/// How long a connection is waited for.
struct Patience {
    began: Instant,
    heard: Instant,
    pinged: Instant,
}

impl Patience {
    fn new(now: Instant) -> Self {
        let (began, heard, pinged) = (now, now, now);
        Self {
            began,
            heard,
            pinged,
        }
    }

    fn heard(&mut self, now: Instant, is_ping: bool) {
        self.heard = now;
        if is_ping {
            self.pinged = now;
        }
    }

    /// When the peer counts as gone. One that has not registered this host must say by itself, with a ping, that
    /// others are before it: what only answers our pings may be no dashboard at all.
    fn deadline(&self, is_registered: bool) -> Instant {
        if is_registered {
            return self.heard + SILENCE;
        }
        (self.pinged + SILENCE).min(self.began + REGISTRATION_LIMIT)
    }
}

fn read<'a, T: serde::Deserialize<'a>>(json: &'a str) -> Result<T, End> {
    serde_json::from_str(json).map_err(|error| End::Malformed(error.to_string()))
}

fn text(message: Vec<u8>) -> Result<Message, End> {
    let text = tungstenite::Utf8Bytes::try_from(message);
    text.map(Message::Text)
        .map_err(|error| End::Broken(tungstenite::Error::Utf8(error.to_string())))
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_that_pings_is_waited_for_and_one_that_only_answers_is_not() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut patience = Patience::new(began);
        patience.heard(after(20), false);
        assert_eq!(patience.deadline(false), after(30));
        assert_eq!(patience.deadline(true), after(50));
        patience.heard(after(25), true);
        assert_eq!(patience.deadline(false), after(55));
        patience.heard(after(590), true);
        assert_eq!(patience.deadline(false), began + REGISTRATION_LIMIT);
    }

    #[test]
    fn a_connection_is_of_no_use_that_ends_unexplained_before_it_is_registered_or_soon_after() {
        let came_to_nothing = |end, registered, seconds| {
            let outcome = Outcome { registered, end };
            outcome.came_to_nothing(Duration::from_secs(seconds))
        };
        assert!(came_to_nothing(End::Silent, false, 600));
        assert!(came_to_nothing(End::Closed(None), true, 40));
        assert!(!came_to_nothing(End::Closed(None), true, 3600));
        assert!(!came_to_nothing(End::Enrolled, false, 0));
        let (code, reason) = (close::GOING_AWAY.into(), "".into());
        let closed = End::Closed(Some(CloseFrame { code, reason }));
        assert!(!came_to_nothing(closed, false, 0));
    }

    #[test]
    fn there_is_no_hurry_only_where_the_dashboard_does_not_want_the_agent() {
        let closed = |code: u16| {
            let reason = "".into();
            let code = code.into();
            End::Closed(Some(CloseFrame { code, reason })).is_unwanted()
        };
        assert!(closed(close::REPLACED) && closed(close::FORBIDDEN));
        assert!(!closed(1001) && !End::Closed(None).is_unwanted() && !End::Silent.is_unwanted());
    }
}
