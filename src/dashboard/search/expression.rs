//! What to look for: read, bounded and compiled.

use super::dearness::{self, MAX_WIDE_CLASSES};
use regex_automata::meta::{self, Cache};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Input, Span};
use regex_syntax::hir::{
    self, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind,
};
use regex_syntax::{ast, hir::translate::TranslatorBuilder};

/// Longest text or expression to look for, in bytes.
pub(crate) const MAX_QUERY_BYTES: usize = 1_000;
/// Deepest nesting of an expression.
const MAX_NESTING: u32 = 100;
/// Most memory that one automaton of an expression takes, in bytes.
const MAX_AUTOMATON_BYTES: usize = 1024 * 1024;

/// How the text that is looked for is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// As it stands.
    Literal,
    /// As a regular expression.
    Regex,
}

/// Why a text cannot be looked for. The texts are for whoever searches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// Nothing to look for, or too much.
    #[error("`q` must have 1 to {MAX_QUERY_BYTES} bytes")]
    Length,
    /// The expression is not well formed.
    #[error("Invalid regular expression: {0}")]
    Ast(ast::ErrorKind),
    /// The expression names what does not exist.
    #[error("Invalid regular expression: {0}")]
    Hir(hir::ErrorKind),
    /// The expression takes too long to read.
    #[error(
        "Invalid regular expression: it has over {MAX_WIDE_CLASSES} classes of many characters (\\w, \\p{{L}}, [^a]); use fewer"
    )]
    TooManyClasses,
    /// The automaton would be too large.
    #[error("Invalid regular expression: it is too large; repeat less in it")]
    TooLarge,
}

/// A compiled expression. It tells for whole blocks of lines which line has a match.
#[derive(Debug)]
pub(crate) struct Expression {
    /// Decides about the text of one line.
    line: meta::Regex,
    /// Finds lines that may have a match.
    block: Block,
    /// A match in the text of a line, found by `block`, needs no second look.
    is_exact: bool,
    /// A match is found at the speed of memory, so that a block needs no pauses.
    is_literal: bool,
}

#[derive(Debug)]
enum Block {
    /// Any line may have a match, an empty one.
    AnyLine,
    /// Only a line with a match of this; no match of it is empty or goes over the end of a line.
    With(meta::Regex),
}

/// The memory with which one thread searches.
#[derive(Debug)]
pub(crate) struct Caches {
    line: Cache,
    block: Option<Cache>,
}

/// A line of a block of lines does not begin with a time, or is no text.
#[derive(Debug)]
pub(crate) struct NotALine;

impl Expression {
    /// Reads and compiles what is to be looked for. Takes up to some hundred milliseconds.
    ///
    /// # Errors
    /// When it is none, or costs too much.
    pub(crate) fn compile(
        text: &str,
        syntax: Syntax,
        is_case_sensitive: bool,
    ) -> Result<Self, ExpressionError> {
        Self::check_length(text)?;
        let escaped;
        let pattern = match syntax {
            Syntax::Regex => text,
            Syntax::Literal => {
                escaped = regex_syntax::escape(text);
                &escaped
            }
        };
        let ast = ast::parse::ParserBuilder::new()
            .nest_limit(MAX_NESTING)
            .build()
            .parse(pattern)
            .map_err(|error| ExpressionError::Ast(error.kind().clone()))?;
        dearness::check(&ast)?;
        let hir = TranslatorBuilder::new()
            .case_insensitive(!is_case_sensitive)
            .build()
            .translate(pattern, &ast)
            .map_err(|error| ExpressionError::Hir(error.kind().clone()))?;
        Self::of(&hir)
    }

    /// Refuses a text that is empty or too long; costs nothing.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn check_length(text: &str) -> Result<(), ExpressionError> {
        match text.len() {
            1..=MAX_QUERY_BYTES => Ok(()),
            _ => Err(ExpressionError::Length),
        }
    }

    fn of(hir: &Hir) -> Result<Self, ExpressionError> {
        let superset = within_lines(hir);
        let properties = superset.properties();
        let block = match properties.minimum_len() {
            Some(0) => Block::AnyLine,
            _ => Block::With(build(&superset, Empty::AnyByte)?),
        };
        Ok(Self {
            line: build(hir, Empty::BetweenCharacters)?,
            block,
            is_exact: hir.properties().look_set().is_empty(),
            is_literal: properties.is_literal(),
        })
    }

    /// The memory for one thread to search with.
    pub(crate) fn caches(&self) -> Caches {
        Caches {
            line: self.line.create_cache(),
            block: match &self.block {
                Block::AnyLine => None,
                Block::With(block) => Some(block.create_cache()),
            },
        }
    }

    /// Whether what is looked for is one plain text.
    pub(crate) fn is_literal(&self) -> bool {
        self.is_literal
    }

    /// The first line with a match, without its newline. `lines` are whole lines, each with `stamp` bytes before
    /// its text.
    ///
    /// # Errors
    /// When a line is none.
    pub(crate) fn first_line(
        &self,
        lines: &[u8],
        stamp: usize,
        caches: &mut Caches,
    ) -> Result<Option<Span>, NotALine> {
        let mut from = 0;
        while let Some(candidate) = self.candidate(lines, from, caches) {
            let begin = from
                + memchr::memrchr(b'\n', &lines[from..candidate]).map_or(0, |newline| newline + 1);
            let length = memchr::memchr(b'\n', &lines[candidate..]).ok_or(NotALine)?;
            let end = candidate + length;
            let text = lines.get(begin + stamp..end).ok_or(NotALine)?;
            let is_sure = self.is_exact
                && (candidate >= begin + stamp || matches!(self.block, Block::AnyLine));
            if is_sure || self.is_match(text, caches)? {
                return Ok(Some(Span { start: begin, end }));
            }
            from = end + 1;
        }
        Ok(None)
    }

    /// A place in the next line that may have a match.
    fn candidate(&self, lines: &[u8], from: usize, caches: &mut Caches) -> Option<usize> {
        if from >= lines.len() {
            return None;
        }
        match (&self.block, &mut caches.block) {
            (Block::With(block), Some(cache)) => {
                let input = Input::new(lines).span(from..lines.len());
                let found = block.search_with(cache, &input)?;
                Some(found.start())
            }
            _ => Some(from),
        }
    }

    /// Whether the text of a line has a match.
    fn is_match(&self, text: &[u8], caches: &mut Caches) -> Result<bool, NotALine> {
        let text = std::str::from_utf8(text).map_err(|_| NotALine)?;
        let input = Input::new(text).earliest(true);
        let found = self.line.search_half_with(&mut caches.line, &input);
        Ok(found.is_some())
    }
}

/// Where an empty match may be.
#[derive(Clone, Copy)]
enum Empty {
    BetweenCharacters,
    AnyByte,
}

fn build(hir: &Hir, empty: Empty) -> Result<meta::Regex, ExpressionError> {
    let config = meta::Config::new()
        .utf8_empty(matches!(empty, Empty::BetweenCharacters))
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(MAX_AUTOMATON_BYTES))
        .hybrid_cache_capacity(MAX_AUTOMATON_BYTES);
    meta::Builder::new()
        .configure(config)
        .build_from_hir(hir)
        // Whatever else cannot be built has a size in it, too: too many patterns, groups or states.
        .map_err(|_| ExpressionError::TooLarge)
}

/// An expression with a match wherever the text of a line has one, within that line: no line holds a newline, and
/// where a line begins and ends, or a word, is left open.
fn within_lines(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => Hir::fail(),
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut class = class.clone();
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Repetition(repetition) => Hir::repetition(hir::Repetition {
            sub: Box::new(within_lines(&repetition.sub)),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => within_lines(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(within_lines).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(within_lines).collect()),
    }
}
