//! The messages of `--log-format internal-json`, without the `@nix ` before them. Unknown fields, actions
//! and numbers are no errors.

use super::Counts;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The highest level that nix prints when it is not asked for more: info.
pub(super) const INFO: u64 = 3;

/// The largest number that can be a count of derivations or paths. nix has been seen to say 2^63 where it had no
/// number (nix-output-monitor#179).
pub(super) const MAX_COUNT: u64 = 1_000_000_000;

/// The numbers of nix's activities that matter here.
pub(super) mod activity {
    pub(in crate::progress) const UNKNOWN: u64 = 0;
    pub(in crate::progress) const COPY_PATH: u64 = 100;
    pub(in crate::progress) const COPY_PATHS: u64 = 103;
    pub(in crate::progress) const BUILDS: u64 = 104;
    pub(in crate::progress) const BUILD: u64 = 105;
    pub(in crate::progress) const POST_BUILD_HOOK: u64 = 110;
}

/// The numbers of nix's results that matter here.
mod result {
    pub(super) const BUILD_LOG_LINE: u64 = 101;
    pub(super) const PROGRESS: u64 = 105;
    pub(super) const POST_BUILD_LOG_LINE: u64 = 107;
}

/// What nix said.
pub(super) enum Message<'a> {
    /// An activity begins.
    Start(Start<'a>),
    /// An activity is over.
    Stop { id: u64 },
    /// A line of a builder or of a post-build hook.
    LogLine { id: u64, text: Cow<'a, str> },
    /// How far an activity is.
    Progress { id: u64, counts: Counts },
    /// A text for the user.
    Msg { level: u64, text: Cow<'a, str> },
    /// Anything else.
    Other,
}

/// The beginning of an activity.
#[derive(Deserialize)]
pub(super) struct Start<'a> {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) level: u64,
    #[serde(borrow, default)]
    pub(super) text: Cow<'a, str>,
    #[serde(default, rename = "type")]
    pub(super) kind: u64,
    #[serde(default)]
    parent: Option<u64>,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
}

impl Start<'_> {
    /// Whether it is an activity of the nix that the run started: the first of all, or one without a parent. What
    /// another machine's nix does comes through ours, below an activity of ours.
    pub(super) fn is_own(&self, has_one: bool) -> bool {
        !has_one || self.parent.unwrap_or_default() == 0
    }

    /// The first field where it is a text: for a build its derivation.
    pub(super) fn first_field(&self) -> Option<Cow<'_, str>> {
        first_text(self.fields?)
    }
}

/// Reads one message; `None` for what is none.
pub(super) fn parse(json: &str) -> Option<Message<'_>> {
    match action(json)?.as_ref() {
        "start" => Some(Message::Start(serde_json::from_str(json).ok()?)),
        "stop" => {
            #[derive(Deserialize)]
            struct Stop {
                id: u64,
            }
            let Stop { id } = serde_json::from_str(json).ok()?;
            Some(Message::Stop { id })
        }
        "result" => result(json),
        "msg" => {
            #[derive(Deserialize)]
            struct Msg<'a> {
                #[serde(default)]
                level: u64,
                #[serde(borrow)]
                msg: Cow<'a, str>,
            }
            let Msg { level, msg } = serde_json::from_str(json).ok()?;
            Some(Message::Msg { level, text: msg })
        }
        _ => {
            serde_json::from_str::<IgnoredAny>(json).ok()?;
            Some(Message::Other)
        }
    }
}

fn result(json: &str) -> Option<Message<'_>> {
    #[derive(Deserialize)]
    struct Outcome<'a> {
        id: u64,
        #[serde(rename = "type")]
        kind: u64,
        #[serde(borrow, default)]
        fields: Option<&'a RawValue>,
    }
    let Outcome { id, kind, fields } = serde_json::from_str(json).ok()?;
    Some(match kind {
        result::PROGRESS => Message::Progress {
            id,
            counts: counts(fields?.get())?,
        },
        result::BUILD_LOG_LINE | result::POST_BUILD_LOG_LINE => Message::LogLine {
            id,
            text: first_text(fields?)?,
        },
        _ => Message::Other,
    })
}

/// The `action` alone. nix sorts its keys, so it comes first.
fn action(json: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = json.strip_prefix("{\"action\":\"")
        && let Some(end) = memchr::memchr2(b'"', b'\\', rest.as_bytes())
        && rest.as_bytes()[end] == b'"'
    {
        return Some(Cow::Borrowed(&rest[..end]));
    }
    #[derive(Deserialize)]
    struct Action<'a> {
        #[serde(borrow)]
        action: Cow<'a, str>,
    }
    serde_json::from_str::<Action<'_>>(json)
        .ok()
        .map(|message| message.action)
}

/// Reads `[done, expected, running, failed]`; further numbers are ignored, and those that cannot be counts are
/// unknown.
fn counts(fields: &str) -> Option<Counts> {
    let mut numbers = fields
        .strip_prefix('[')?
        .strip_suffix(']')?
        .split(',')
        .map(|number| number.trim_ascii().parse::<u64>().ok());
    let mut count = || Some(numbers.next()??).map(|count| (count <= MAX_COUNT).then_some(count));
    Some(Counts {
        done: count()?,
        expected: count()?,
        running: count()?,
        failed: count()?,
    })
}

/// The first element of an array, where it is a text.
fn first_text(fields: &RawValue) -> Option<Cow<'_, str>> {
    struct First<'a>(Cow<'a, str>);
    impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Fields;
            impl<'de> Visitor<'de> for Fields {
                type Value = First<'de>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an array that begins with a text")
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First<'de>, A::Error> {
                    #[derive(Deserialize)]
                    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
                    let Some(Text(first)) = seq.next_element()? else {
                        return Err(serde::de::Error::invalid_length(0, &self));
                    };
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    Ok(First(first))
                }
            }
            from.deserialize_seq(Fields)
        }
    }
    serde_json::from_str::<First<'_>>(fields.get())
        .ok()
        .map(|First(text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        let json =
            r#"{"action":"result","fields":["plain",1,"x"],"id":18446744073709551615,"type":101}"#;
        assert!(matches!(
            parse(json),
            Some(Message::LogLine {
                id: u64::MAX,
                text: Cow::Borrowed("plain")
            })
        ));
    }

    #[test]
    fn what_is_new_is_ignored_and_what_is_broken_is_none() {
        for new in [
            r#"{"action":"dance","id":"x"}"#,
            r#"{"action":"result","id":1,"type":999,"fields":{"a":[]}}"#,
            r#"{"id":1,"extra":[{}],"action":"stop"}"#,
            r#"{"action":"result","id":1,"type":105,"fields":[1, 2,3,4,5]}"#,
        ] {
            assert!(parse(new).is_some(), "{new}");
        }
        for broken in [
            "",
            "{}",
            "[]",
            "7",
            r#"{"action":"stop"}"#,
            r#"{"action":"stop","id":1"#,
            r#"{"action":"stop","id":-1}"#,
            r#"{"action":"dance""#,
            r#"{"action":"result","id":1,"type":105,"fields":[1,2]}"#,
            r#"{"action":"result","id":1,"type":105,"fields":[1,2,-3,4]}"#,
            r#"{"action":"result","id":1,"type":101,"fields":[]}"#,
            r#"{"action":"result","id":1,"type":101}"#,
            r#"{"action":"msg","level":1}"#,
        ] {
            assert!(parse(broken).is_none(), "{broken}");
        }
    }
}
