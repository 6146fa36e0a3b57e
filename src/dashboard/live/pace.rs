//! When the next frame may go to a browser: at most 10 in any second, and lines never wait for news of hosts.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// So many frames may go in any second.
const MAX_FRAMES: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Between two frames with lines.
const LINES_INTERVAL: Duration = Duration::from_millis(100);
/// Between a frame with news and one that brings nothing but news: half of the frames are left to lines.
const NEWS_INTERVAL: Duration = Duration::from_millis(200);
/// The same where nothing but metrics changed.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);

/// What went to a browser when.
#[derive(Debug)]
pub(super) struct Pace {
    /// The last frames, oldest first; never more than [`MAX_FRAMES`].
    frames: VecDeque<Instant>,
    lines: Option<Instant>,
    news: Option<Instant>,
    /// When it was last looked whether metrics changed.
    metrics: Instant,
}

/// What waits for a browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Lines, or answers to what the browser sent.
    pub(super) lines: bool,
    /// News of hosts or runs that are more than metrics.
    pub(super) news: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        let (frames, lines, news) = Default::default();
        Self {
            frames,
            lines,
            news,
            metrics: now,
        }
    }

    /// When a frame is to be made.
    pub(super) fn due(&self, waiting: Waiting, now: Instant) -> Instant {
        let behind = |last: Option<Instant>, pause| last.map_or(now, |last| last + pause);
        let mut due = self.metrics + METRICS_INTERVAL;
        if waiting.news {
            due = due.min(behind(self.news, NEWS_INTERVAL));
        }
        if waiting.lines {
            due = due.min(behind(self.lines, LINES_INTERVAL));
        }
        let oldest = self.frames.front().copied();
        let full = oldest.filter(|_| self.frames.len() == MAX_FRAMES);
        full.map_or(due, |oldest| due.max(oldest + SECOND))
    }

    /// Whether it is to be looked which metrics changed: once a second, whatever else there is.
    pub(super) fn is_metrics_due(&self, now: Instant) -> bool {
        now >= self.metrics + METRICS_INTERVAL
    }

    /// It was looked which metrics changed.
    pub(super) fn looked_at_metrics(&mut self, now: Instant) {
        self.metrics = now;
    }

    /// A frame goes out, with all the news there are, and with lines if there are any.
    pub(super) fn sent(&mut self, with_lines: bool, now: Instant) {
        if self.frames.len() == MAX_FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back(now);
        self.news = Some(now);
        if with_lines {
            self.lines = Some(now);
        }
    }

    /// When the last frame went out.
    pub(super) fn last(&self) -> Option<Instant> {
        self.frames.back().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Waiting = Waiting {
        lines: false,
        news: false,
    };
    const LINES: Waiting = Waiting {
        lines: true,
        news: false,
    };
    const NEWS: Waiting = Waiting {
        lines: false,
        news: true,
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_line_after_a_quiet_moment_waits_for_no_frame_of_news() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        pace.sent(true, began);
        pace.sent(false, began + ms(200));
        let now = began + ms(201);
        assert!(pace.due(LINES, now) <= now, "it waits for news");
        pace.sent(true, now);
        assert!(!pace.is_metrics_due(now));
        pace.looked_at_metrics(now);
        assert_eq!(pace.due(LINES, now), now + ms(100));
        assert_eq!(pace.due(NEWS, now), now + ms(200));
        assert_eq!(pace.due(NOTHING, now), now + ms(1000));
    }

    #[test]
    fn no_more_than_ten_frames_go_in_any_second_and_half_of_them_without_lines() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        let both = Waiting {
            lines: true,
            news: true,
        };
        for (waiting, most) in [(both, 10), (LINES, 10), (NEWS, 5), (NOTHING, 1)] {
            let mut now = pace.last().unwrap_or(began) + 2 * SECOND;
            let mut sent = Vec::new();
            for _ in 0..60 {
                now = pace.due(waiting, now).max(now);
                pace.sent(waiting.lines, now);
                if pace.is_metrics_due(now) {
                    pace.looked_at_metrics(now);
                }
                sent.push(now);
            }
            let within = |from: Instant| {
                let frames = sent.iter();
                frames
                    .filter(|at| **at >= from && **at < from + SECOND)
                    .count()
            };
            let highest = sent.iter().map(|from| within(*from)).max();
            assert_eq!(highest, Some(most), "{waiting:?}");
        }
    }

    #[test]
    fn lines_and_news_in_turn_are_no_more_than_ten_frames() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        let (mut now, mut sent) = (began, Vec::new());
        for n in 0..100 {
            let waiting = if n % 3 == 0 { NEWS } else { LINES };
            now = pace.due(waiting, now).max(now);
            pace.sent(waiting.lines, now);
            sent.push(now);
        }
        for (first, eleventh) in sent.iter().zip(&sent[10..]) {
            assert!(*eleventh - *first >= SECOND);
        }
    }
}
