//! Sizing: what running PHP-FPMs need, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::paint::{Paint, Tone, harmless};
use crate::sizing::{Sizing, Wish};

/// A section for people; empty, if nobody could be asked.
pub fn text(sizings: &[Sizing], paint: Paint) -> String {
    let mut out = String::new();
    for sizing in sizings {
        let title = format!("sizing, by what {} says as it runs", harmless(&sizing.master));
        put(&mut out, &paint.of(Tone::Strong, &title));
        if let Some(room) = &sizing.room {
            let deploys = if room.deploys == 1 {
                "1 more deploy".into()
            } else {
                format!("{} more deploys", room.deploys)
            };
            put(&mut out, &format!("  opcache has room for {deploys}"));
            put(&mut out, &paint.of(Tone::Faint, &format!("      {}", harmless(&room.why))));
        }
        for wish in &sizing.wishes {
            put(&mut out, &format!("  {}", line(wish, paint)));
            put(&mut out, &paint.of(Tone::Faint, &format!("      {}", harmless(&wish.why))));
        }
        out.push('\n');
    }
    out
}

fn line(wish: &Wish, paint: Paint) -> String {
    let (key, is, wanted) = (harmless(&wish.key), harmless(&wish.is), &wish.wanted);
    if wish.is_right() {
        return format!("{key} = {is} is right");
    }
    format!("{key} = {} instead of {is}", paint.of(Tone::Help, wanted))
}

/// The same as JSON.
pub fn json(sizings: &[Sizing]) -> Value {
    let told = sizings.iter().map(|sizing| {
        let wishes = sizing.wishes.iter().map(|wish| {
            json!({ "key": wish.key, "is": wish.is, "wanted": wish.wanted, "right": wish.is_right(), "why": wish.why })
        });
        json!({
            "master": sizing.master,
            "deploys": sizing.room.as_ref().map(|room| room.deploys),
            "why": sizing.room.as_ref().map(|room| &room.why),
            "wishes": wishes.collect::<Vec<_>>(),
        })
    });
    told.collect()
}

fn put(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(out, "{line}").unwrap_or_default();
}
