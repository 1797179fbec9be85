//! The lines of a saved file, as JSON.

use crate::observations::{Flip, Response, Seen};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the first line must say that it is.
pub(super) const FORMAT: &str = "cutover-prove";

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub format: String,
    pub version: u32,
    pub releases: Vec<String>,
    pub pages: Vec<String>,
    pub first: u32,
    #[serde(default)]
    pub target: String,
    #[serde(default)]
    pub load: String,
    #[serde(default)]
    pub began: String,
}

/// What any version's first line says; looked at before the rest, which another version may have otherwise.
#[derive(Deserialize)]
pub(super) struct Kind {
    pub format: String,
    pub version: u32,
}

/// A line that is an object.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Named {
    Flip(u32, u64, Option<u64>),
    End(End),
}

/// The last line.
#[derive(Serialize, Deserialize)]
pub(super) struct End {
    pub took_ns: u64,
    pub reconnects: u64,
    pub cut_short: Option<String>,
    #[serde(default)]
    pub bottleneck: Option<String>,
}

/// A line that is an array.
#[derive(Serialize, Deserialize)]
pub(super) struct Row<S>(u32, u32, u64, u64, u64, S);

/// What an answer said, in a row.
pub(super) struct SaidBy<'a>(&'a Seen);

/// The same, read.
pub(super) struct Said(Seen);

impl Named {
    pub fn of(flip: &Flip) -> Self {
        Self::Flip(flip.to, flip.called_ns, flip.returned_ns)
    }
}

impl<'a> Row<SaidBy<'a>> {
    pub fn of(one: &'a Response) -> Self {
        Self(one.page, one.client, one.due_ns, one.sent_ns, one.done_ns, SaidBy(&one.seen))
    }
}

impl Row<Said> {
    pub fn response(self) -> Response {
        let Self(page, client, due_ns, sent_ns, done_ns, Said(seen)) = self;
        Response { page, client, due_ns, sent_ns, done_ns, seen }
    }
}

impl Serialize for SaidBy<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Seen::Of(one) => out.serialize_u32(*one),
            Seen::AnyOf(any) => one_entry(out, "any", any),
            Seen::Parts(parts) => one_entry(out, "parts", parts),
            Seen::Wrong(why) => one_entry(out, "wrong", why),
        }
    }
}

fn one_entry<S: Serializer, V: Serialize + ?Sized>(out: S, name: &str, value: &V) -> Result<S::Ok, S::Error> {
    let mut map = out.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SaidVisitor)
    }
}

struct SaidVisitor;

impl<'de> Visitor<'de> for SaidVisitor {
    type Value = Said;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a release's number, or an object of any, parts or wrong")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Said, E> {
        let number = u32::try_from(number).map_err(|_| E::custom("a release's number beyond 32 bits"))?;
        Ok(Said(Seen::Of(number)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        let seen = match map.next_key::<Key>()?.ok_or_else(|| de::Error::custom("an empty object"))? {
            Key::Any => Seen::AnyOf(map.next_value()?),
            Key::Parts => Seen::Parts(map.next_value()?),
            Key::Wrong => Seen::Wrong(map.next_value()?),
        };
        match map.next_key::<Key>()? {
            None => Ok(Said(seen)),
            Some(_) => Err(de::Error::custom("an answer says one thing only")),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Any,
    Parts,
    Wrong,
}
