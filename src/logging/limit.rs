//! Keeps any peer from filling the journal: of each message about each host so many at once, and then one a second.
//! What is left out is counted, and told once in a while.
//!
//! The limit stands before every message of the program, so that no place where one is written has to think of it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// How many of one message about one host may come at once.
const AT_ONCE: f64 = 100.0;
/// How many of them a second after that.
const A_SECOND: f64 = 1.0;
/// Most messages and hosts that are told apart; all others share one limit.
const MAX_KINDS: usize = 4_096;
/// How often a full table is looked through for kinds that can be forgotten.
const CLEAR_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is told what was left out.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Lets a message pass, or counts it.
#[derive(Debug)]
pub(super) struct Limit {
    /// Modules whose messages pass always.
    unlimited: &'static [&'static str],
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    kinds: HashMap<Kind, Left>,
    reported: Instant,
    /// When those that say little were last forgotten.
    cleared: Instant,
}

/// One message, and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// The place in the program that writes it.
    callsite: Option<Identifier>,
    host: String,
}

/// What is left to one kind.
#[derive(Debug)]
struct Left {
    allowed: f64,
    since: Instant,
    left_out: u64,
    /// The message's level and where it is written.
    place: (Level, &'static str, u32),
}

/// Messages that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) count: u64,
    pub(super) host: String,
    pub(super) file: &'static str,
    pub(super) line: u32,
}

impl Limit {
    /// A limit for the messages of all modules but these.
    pub(super) fn new(unlimited: &'static [&'static str]) -> Self {
        Self {
            unlimited,
            table: Mutex::new(Table {
                kinds: HashMap::new(),
                reported: Instant::now(),
                cleared: Instant::now(),
            }),
        }
    }

    /// Whether a message may pass now.
    fn admits(&self, metadata: &'static Metadata<'static>, host: String, now: Instant) -> bool {
        let target = metadata.target();
        if self.unlimited.iter().any(|free| target.starts_with(free)) {
            return true;
        }
        let kind = Kind {
            callsite: Some(metadata.callsite()),
            host,
        };
        let mut table = self.table();
        let place = (
            *metadata.level(),
            metadata.file().unwrap_or_default(),
            metadata.line().unwrap_or_default(),
        );
        table.left(kind, place, now).take(now)
    }

    /// What was left out since this was asked last; none too soon after that.
    pub(super) fn left_out(&self, now: Instant) -> Vec<LeftOut> {
        let mut table = self.table();
        if now.saturating_duration_since(table.reported) < REPORT_INTERVAL {
            return Vec::new();
        }
        table.reported = now;
        let left_out = table.kinds.iter_mut().filter_map(|(kind, left)| {
            let count = std::mem::take(&mut left.left_out);
            let (_, file, line) = left.place;
            (count > 0).then(|| LeftOut {
                count,
                host: kind.host.clone(),
                file,
                line,
            })
        });
        left_out.collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn left(&mut self, kind: Kind, place: (Level, &'static str, u32), now: Instant) -> &mut Left {
        let is_known = self.kinds.contains_key(&kind);
        let is_full = self.kinds.len() >= MAX_KINDS && !is_known;
        if is_full && now.saturating_duration_since(self.cleared) >= CLEAR_INTERVAL {
            self.cleared = now;
            self.kinds.retain(|_, left| !left.is_full(now));
        }
        let kind = if self.kinds.len() < MAX_KINDS || is_known {
            kind
        } else {
            Kind {
                callsite: None,
                host: String::new(),
            }
        };
        self.kinds.entry(kind).or_insert(Left {
            allowed: AT_ONCE,
            since: now,
            left_out: 0,
            place,
        })
    }
}

impl Left {
    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = self.since.max(now);
        self.allowed = (self.allowed + seconds * A_SECOND).min(AT_ONCE);
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let may = self.allowed >= 1.0;
        if may {
            self.allowed -= 1.0;
        } else {
            self.left_out += 1;
        }
        may
    }

    /// Whether to forget it changes nothing.
    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left_out == 0 && self.allowed >= AT_ONCE
    }
}

/// A layer's filter that asks the limit.
#[derive(Debug)]
pub(super) struct Limited(pub(super) &'static Limit);

impl<S> Filter<S> for Limited {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut host = Host(String::new());
        event.record(&mut host);
        self.0.admits(event.metadata(), host.0, Instant::now())
    }
}

/// Reads the field `host` of a message.
struct Host(String);

impl Visit for Host {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "host" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, registry};

    /// Counts the messages that it is given.
    struct Count(&'static AtomicU64);

    impl<S: tracing::Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn limited(work: impl FnOnce(&'static Limit)) -> u64 {
        let limit: &'static Limit = Box::leak(Box::new(Limit::new(&["always"])));
        let count: &'static AtomicU64 = Box::leak(Box::default());
        let subscriber = registry().with(Count(count).with_filter(Limited(limit)));
        tracing::subscriber::with_default(subscriber, || work(limit));
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn a_host_that_floods_the_journal_is_cut_short_and_counted_and_others_are_heard() {
        let passed = limited(|limit| {
            for host in ["h1"].repeat(10_000).into_iter().chain(["h2"]) {
                tracing::warn!(host, "unknown run");
            }
            tracing::warn!(host = "h1", "something else");
            let later = Instant::now() + REPORT_INTERVAL;
            let left_out = limit.left_out(later);
            assert_eq!(left_out.len(), 1);
            // One more a second.
            assert!((9_000..=9_900).contains(&left_out[0].count));
            assert_eq!(left_out[0].host, "\"h1\"");
            assert!(left_out[0].file.ends_with("limit.rs") && left_out[0].line > 0);
            assert!(limit.left_out(later).is_empty(), "told once");
        });
        assert!((102..1_000).contains(&passed), "{passed}");
    }

    #[test]
    fn what_other_programs_wait_for_passes_always() {
        let passed = limited(|_| {
            for _ in 0..1_000 {
                tracing::info!(target: "always", "listening");
            }
        });
        assert_eq!(passed, 1_000);
    }

    #[test]
    fn ever_more_hosts_take_little_memory_and_share_a_limit() {
        let limit = Limit::new(&["always"]);
        let now = Instant::now();
        let mut table = limit.table();
        let place = (Level::WARN, "limit.rs", 1);
        let kind = |host: usize| Kind {
            callsite: None,
            host: format!("h{host}"),
        };
        let passed =
            (0..2 * MAX_KINDS).filter(|host| table.left(kind(*host), place, now).take(now));
        assert_eq!(passed.count(), MAX_KINDS + AT_ONCE as usize);
        assert_eq!(table.kinds.len(), MAX_KINDS + 1);
        // Those that said little go for others.
        let later = now + Duration::from_secs(2);
        assert!(table.left(kind(usize::MAX), place, later).take(later));
        assert!(table.kinds.len() < 10);
    }
}
