//! Moments, as milliseconds since 1970, written as RFC 3339 in UTC with milliseconds.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A moment: milliseconds since 1970-01-01T00:00:00Z, from the year 0 to 4000.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The least moment a text can give, `0000-01-01T00:00:00Z`.
    const MIN: i64 = -62_167_219_200_000;
    /// The greatest, `4000-01-01T00:00:00Z`.
    const MAX: i64 = 64_060_588_800_000;

    /// The moment now, by this machine's clock.
    pub fn now() -> Self {
        Self::from_millis(Utc::now().timestamp_millis())
    }

    /// From milliseconds since 1970; what lies outside the range is moved to its edge.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN, Self::MAX))
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any offset; digits below the millisecond are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|t| Self::from_millis(t.timestamp_millis()))
    }

    /// The same moment as a chrono time.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// `2025-12-14T10:30:00Z`.
    pub fn to_seconds_text(self) -> String {
        self.to_chrono().to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &self
                .to_chrono()
                .to_rfc3339_opts(SecondsFormat::Millis, true),
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as in RFC 3339")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text).map_err(D::Error::custom)
    }
}

/// Writes and reads the times of many lines: a text is made once a millisecond, not once a line.
#[derive(Default)]
pub struct TimestampFormatter {
    of: Option<Timestamp>,
    text: String,
}

impl TimestampFormatter {
    /// The text of `when`, as `Display` would give it.
    pub fn format(&mut self, when: Timestamp) -> &str {
        if self.of != Some(when) {
            self.text = when.to_string();
            self.of = Some(when);
        }
        &self.text
    }

    /// Reads `text`, at no cost where it is the one read before.
    pub fn parse(&mut self, text: &str) -> Option<Timestamp> {
        if self.of.is_none() || self.text != text {
            self.of = Some(Timestamp::parse(text)?);
            text.clone_into(&mut self.text);
        }
        self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_milliseconds_and_read_with_any_offset() {
        let time = Timestamp::parse("2025-12-14T11:30:00.1239+01:00").unwrap();
        assert_eq!(time.to_string(), "2025-12-14T10:30:00.123Z");
        assert_eq!(time.to_seconds_text(), "2025-12-14T10:30:00Z");
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2025-12-14T10:30:00.123Z\""
        );
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn a_formatter_agrees_with_display_and_parse() {
        let mut formatter = TimestampFormatter::default();
        for millis in [0, 0, 1, 1_765_708_200_123, -1] {
            let when = Timestamp::from_millis(millis);
            assert_eq!(formatter.format(when), when.to_string());
            assert_eq!(
                TimestampFormatter::default().parse(&when.to_string()),
                Some(when)
            );
        }
        assert_eq!(formatter.parse("no time"), None);
        assert_eq!(
            formatter.parse("1970-01-01T00:00:00Z"),
            Some(Timestamp::from_millis(0))
        );
    }
}
