//! Gives serde the values of a TOML file. Its errors know the key, and what was found where what was expected.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt::{self, Display};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Longest part of a text that an error repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// What a key's value should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Text,
    /// A whole number up to this.
    Number(u64),
    Flag,
    List,
    Table,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Whatever the file has.
    Anything,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// A key that is not known, where these are.
    UnknownKey(String, &'static [&'static str]),
    /// A key that must be there is not.
    MissingKey(&'static str),
    /// A value of another type than the key's.
    WrongType,
    /// A value of the right type that cannot be, and why in the words of who read it.
    WrongValue(String),
}

/// An error with its place.
#[derive(Debug)]
pub(super) struct Fault(Box<Details>);

#[derive(Debug)]
pub(super) struct Details {
    pub(super) kind: FaultKind,
    /// The keys that lead there, the innermost first.
    path: Vec<String>,
    /// Where in the file, in bytes.
    pub(super) offset: Option<usize>,
    /// What was found, and what is wanted.
    pub(super) found: Option<(String, Wanted)>,
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self(Box::new(Details {
            kind,
            path: Vec::new(),
            offset: None,
            found: None,
        }))
    }

    /// The same, below a key. Offsets of what lies deeper stay.
    fn below(mut self, key: &str, offset: usize) -> Self {
        self.0.path.push(key.to_owned());
        self.0.offset.get_or_insert(offset);
        self
    }

    pub(super) fn details(&self) -> &Details {
        &self.0
    }
}

impl Details {
    /// With the tables it lies in, as `retention.days`.
    pub(super) fn key(&self) -> Option<String> {
        let missing = match &self.kind {
            FaultKind::MissingKey(key) => Some(*key),
            _ => None,
        };
        let keys = self.path.iter().rev().map(String::as_str).chain(missing);
        let keys: Vec<&str> = keys.collect();
        (!keys.is_empty()).then(|| keys.join("."))
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.kind)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(FaultKind::WrongValue(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::new(FaultKind::WrongType)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(FaultKind::WrongValue(format!("not {expected}")))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(FaultKind::WrongValue(format!(
            "not one of {}",
            expected.join(", ")
        )))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownKey(field.to_owned(), expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(FaultKind::MissingKey(field))
    }
}

/// The whole file as a value of type `T`.
pub(super) fn read<T: de::DeserializeOwned>(table: &Spanned<DeTable<'_>>) -> Result<T, Fault> {
    T::deserialize(de::value::MapAccessDeserializer::new(Entries::of(
        table.get_ref(),
    )))
}

/// One value.
struct Reader<'a, 'i>(&'a Spanned<DeValue<'i>>);

impl Reader<'_, '_> {
    fn give<'de, V: Visitor<'de>>(self, wanted: Wanted, visitor: V) -> Result<V::Value, Fault> {
        let given = match self.0.get_ref() {
            DeValue::String(text) => match wanted {
                Wanted::OneOf(_) => visitor.visit_enum(word(text)),
                _ => visitor.visit_str(text),
            },
            DeValue::Integer(number) => {
                let (digits, radix) = (number.as_str(), number.radix());
                if let Ok(number) = u64::from_str_radix(digits, radix) {
                    visitor.visit_u64(number)
                } else if let Ok(number) = i64::from_str_radix(digits, radix) {
                    visitor.visit_i64(number)
                } else {
                    Err(Fault::new(FaultKind::WrongValue("too large".to_owned())))
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Fault::new(FaultKind::WrongType)),
            },
            DeValue::Boolean(flag) => visitor.visit_bool(*flag),
            DeValue::Datetime(_) => Err(Fault::new(FaultKind::WrongType)),
            DeValue::Array(list) => visitor.visit_seq(Elements(list.iter())),
            DeValue::Table(table) => visitor.visit_map(Entries::of(table)),
        };
        given.map_err(|fault| self.blamed(fault, wanted))
    }

    /// The same, of this value, unless it is of one that lies in it.
    fn blamed(&self, mut fault: Fault, wanted: Wanted) -> Fault {
        if fault.0.path.is_empty() && fault.0.offset.is_none() {
            fault.0.offset = Some(self.0.span().start);
            fault.0.found = Some((describe(self.0.get_ref()), wanted));
        }
        fault
    }
}

fn word<'a>(text: &'a DeString<'_>) -> StrDeserializer<'a, Fault> {
    text.as_ref().into_deserializer()
}

/// What a value is, in words.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => {
            let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
            let rest = if shown.len() < text.len() { "…" } else { "" };
            format!("the text {:?}", shown + rest)
        }
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Methods of a deserializer that say by their name what is wanted.
macro_rules! wanted {
    ($($method:ident: $wanted:expr),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.give($wanted, visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Fault;

    wanted! {
        deserialize_any: Wanted::Anything,
        deserialize_bool: Wanted::Flag,
        deserialize_u8: Wanted::Number(u8::MAX.into()),
        deserialize_u16: Wanted::Number(u16::MAX.into()),
        deserialize_u32: Wanted::Number(u32::MAX.into()),
        deserialize_u64: Wanted::Number(u64::MAX),
        deserialize_str: Wanted::Text,
        deserialize_string: Wanted::Text,
        deserialize_seq: Wanted::List,
        deserialize_map: Wanted::Table,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // A struct could be read from a list, whose order nobody knows.
        if matches!(self.0.get_ref(), DeValue::Array(_)) {
            return Err(self.blamed(Fault::new(FaultKind::WrongType), Wanted::Table));
        }
        self.give(Wanted::Table, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.give(Wanted::OneOf(variants), visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// The values of a list.
struct Elements<'a, 'i>(std::slice::Iter<'a, Spanned<DeValue<'i>>>);

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let value = self.0.next();
        value
            .map(|value| seed.deserialize(Reader(value)))
            .transpose()
    }
}

type Entry<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

/// The keys and values of a table.
struct Entries<'a, 'i> {
    rest: Box<dyn Iterator<Item = Entry<'a, 'i>> + 'a>,
    current: Option<Entry<'a, 'i>>,
}

impl<'a, 'i> Entries<'a, 'i> {
    fn of(table: &'a DeTable<'i>) -> Self {
        Self {
            rest: Box::new(table.iter()),
            current: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.rest.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let read = seed.deserialize(word(key.get_ref()));
        read.map(Some)
            .map_err(|fault| fault.below(key.get_ref(), key.span().start))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, value)) = self.current.take() else {
            return Err(de::Error::custom("a value before its key"));
        };
        let read = seed.deserialize(Reader(value));
        read.map_err(|fault| fault.below(key.get_ref(), value.span().start))
    }
}
