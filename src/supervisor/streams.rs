//! What a program writes, and what its activation writes into the journal: bytes in, lines out.

use super::journal::{Copies, Entries};
use super::lines::LineSplitter;
use crate::progress;
use serde::{Deserialize, Serialize};

/// What nixos-rebuild says at its end on standard error, before the system's path on standard output. On a terminal
/// the two are one line.
const DONE: &str = "Done. The new configuration is ";

/// The beginning of such a path.
const STORE: &str = "/nix/store/";

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stream {
    /// The program's pipes.
    Stdout,
    Stderr,
    /// journalctl.
    Journal,
}

impl Stream {
    pub(super) const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Journal];

    /// Its number in files.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
            Self::Journal => 2,
        }
    }

    /// The stream with this number; every number is one.
    pub(super) fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Stdout,
            1 => Self::Stderr,
            _ => Self::Journal,
        }
    }
}

/// The beginnings of lines whose ends have not come. They can be stored and go on where they were.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Streams {
    stdout: LineSplitter,
    stderr: LineSplitter,
    /// While the journal is read.
    journal: Option<Followed>,
}

/// The journal, read behind some entry.
#[derive(Clone, Serialize, Deserialize)]
struct Followed {
    entries: Entries,
    lines: LineSplitter,
    copies: Copies,
}

impl Streams {
    /// Takes the next bytes. Of each line they end, `emit` gets the text and where it is from.
    pub(super) fn feed(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        emit: &mut impl FnMut(&str, Stream),
    ) {
        let journal = &mut self.journal;
        match (stream, journal) {
            (Stream::Stdout, journal) => {
                let stderr = &mut self.stderr;
                self.stdout.feed(bytes, &mut |line| {
                    if line.starts_with(STORE) && stderr.take_if(DONE) {
                        let line = format!("{DONE}{line}");
                        return of_program(journal, &line, Stream::Stderr, emit);
                    }
                    of_program(journal, line, stream, emit);
                });
            }
            (Stream::Stderr, journal) => {
                let mut emit = |line: &str| of_program(journal, line, stream, emit);
                self.stderr.feed(bytes, &mut emit);
            }
            (Stream::Journal, Some(journal)) => {
                let (lines, copies) = (&mut journal.lines, &mut journal.copies);
                journal.entries.feed(bytes, &mut |bytes| {
                    lines.feed(bytes, &mut |line| {
                        copies.came(line);
                        emit(line, Stream::Journal);
                    });
                });
            }
            (Stream::Journal, None) => {}
        }
    }

    /// The stream has ended: what has no newline is a line too. The journal may be read on.
    pub(super) fn end(&mut self, stream: Stream, emit: &mut impl FnMut(&str, Stream)) {
        match (stream, &mut self.journal) {
            (Stream::Stdout, _) => self.stdout.finish_stream(&mut |line| emit(line, stream)),
            (Stream::Stderr, _) => self.stderr.finish_stream(&mut |line| emit(line, stream)),
            (Stream::Journal, Some(journal)) => journal.entries.end(),
            (Stream::Journal, None) => {}
        }
    }

    /// From here on the journal is read, too, behind these entries.
    pub(super) fn follow_journal(&mut self, entries: Entries) {
        self.journal = Some(Followed {
            entries,
            lines: LineSplitter::default(),
            copies: Copies::default(),
        });
    }

    /// How far the journal was read, if it is.
    pub(super) fn journal(&self) -> Option<&Entries> {
        self.journal.as_ref().map(|journal| &journal.entries)
    }

    /// The journal was read to its end: what came by the pipe alone is given out as it came.
    pub(super) fn leave_journal(&mut self, emit: &mut impl FnMut(&str, Stream)) {
        if let Some(mut journal) = self.journal.take() {
            journal
                .lines
                .finish_stream(&mut |line| emit(line, Stream::Journal));
            for copy in journal.copies.rest() {
                emit(&copy.line, copy.of);
            }
        }
    }
}

/// A line of the program. What the journal has too is waited for there.
#[inline]
fn of_program(
    journal: &mut Option<Followed>,
    line: &str,
    of: Stream,
    emit: &mut impl FnMut(&str, Stream),
) {
    if let Some(journal) = journal
        && let Some(text) = progress::of_journal(line)
    {
        for copy in journal.copies.hold(text, line, of) {
            emit(&copy.line, copy.of);
        }
    } else {
        emit(line, of);
    }
}

#[cfg(test)]
mod tests {
    use super::Stream::{Journal, Stderr, Stdout};
    use super::*;

    const PREFIX: &str = "Apr 05 11:04:28 host switch-to-configuration[123]: ";

    #[derive(Default)]
    struct Log(Vec<(String, Stream)>);

    impl Log {
        fn emit(&mut self) -> impl FnMut(&str, Stream) {
            |line, of| self.0.push((line.to_owned(), of))
        }

        fn is(&self, lines: &[(&str, Stream)]) -> bool {
            let own = self
                .0
                .iter()
                .map(|(line, is_error)| (line.as_str(), *is_error));
            own.eq(lines.iter().copied())
        }
    }

    fn entry(message: &str) -> String {
        let unit = "nixos-rebuild-switch-to-configuration.service";
        let entry = serde_json::json!({"__CURSOR": "c", "MESSAGE": message, "_SYSTEMD_UNIT": unit});
        format!("{entry}\n")
    }

    #[test]
    fn of_a_line_that_comes_by_both_ways_the_one_of_the_journal_is_kept() {
        let (mut streams, mut log) = (Streams::default(), Log::default());
        streams.follow_journal(Entries::default());
        let piped = format!("built\n{PREFIX}one\n{PREFIX}alone\n");
        streams.feed(Stream::Stderr, piped.as_bytes(), &mut log.emit());
        let entries = entry("one") + &entry("two");
        streams.feed(Stream::Journal, entries.as_bytes(), &mut log.emit());
        streams.feed(
            Stream::Stdout,
            format!("{PREFIX}two\n").as_bytes(),
            &mut log.emit(),
        );
        assert!(
            log.is(&[("built", Stderr), ("one", Journal), ("two", Journal)]),
            "{:?}",
            log.0
        );
        streams.leave_journal(&mut log.emit());
        let alone = format!("{PREFIX}alone");
        let whole = [
            ("built", Stderr),
            ("one", Journal),
            ("two", Journal),
            (&*alone, Stderr),
        ];
        assert!(log.is(&whole), "{:?}", log.0);
    }

    #[test]
    fn without_the_journal_a_prefix_means_nothing() {
        let (mut streams, mut log) = (Streams::default(), Log::default());
        let line = format!("{PREFIX}one");
        streams.feed(
            Stream::Stdout,
            format!("{line}\nend").as_bytes(),
            &mut log.emit(),
        );
        streams.feed(Stream::Journal, entry("two").as_bytes(), &mut log.emit());
        for stream in Stream::ALL {
            streams.end(stream, &mut log.emit());
        }
        assert!(log.is(&[(&line, Stdout), ("end", Stdout)]), "{:?}", log.0);
    }

    #[test]
    fn the_path_of_the_new_system_stands_behind_the_words_that_announce_it() {
        let (mut streams, mut log) = (Streams::default(), Log::default());
        for (stream, text) in [
            (Stderr, "Done. The new configuration is "),
            (Stdout, "/nix/store/x-nixos-system\n/nix/store/y\n"),
            (Stderr, "Receiving: 9% "),
            (Stdout, "/nix/store/z\n"),
        ] {
            streams.feed(stream, text.as_bytes(), &mut log.emit());
        }
        for stream in Stream::ALL {
            streams.end(stream, &mut log.emit());
        }
        let lines = [
            (
                "Done. The new configuration is /nix/store/x-nixos-system",
                Stderr,
            ),
            ("/nix/store/y", Stdout),
            ("/nix/store/z", Stdout),
            ("Receiving: 9% ", Stderr),
        ];
        assert!(log.is(&lines), "{:?}", log.0);
    }

    #[test]
    fn a_stream_is_found_by_its_number() {
        assert!(
            Stream::ALL
                .iter()
                .all(|stream| Stream::of_code(stream.code()) == *stream)
        );
    }
}
