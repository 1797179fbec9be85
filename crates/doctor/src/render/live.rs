//! Live: what was seen of a site from outside, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::paint::{Paint, Tone, harmless};
use crate::check::Severity;
use crate::checks;
use crate::finding::Sure;
use crate::live::{Live, Seen};

/// For people.
pub fn text(live: &Live, paint: Paint) -> String {
    let mut out = String::new();
    put(
        &mut out,
        &paint.of(Tone::Strong, &format!("{}, by {} requests", harmless(&live.url), live.requests)),
    );
    for seen in &live.seen {
        let mark =
            seen.check.map_or(String::new(), |id| format!("{} ", paint.of(Tone::Bad(severity(id)), id)));
        let sure = if seen.sure == Sure::Likely { paint.of(Tone::Faint, " (likely)") } else { String::new() };
        put(&mut out, &format!("  {mark}{}", harmless(&seen.what)));
        put(&mut out, &format!("      {}{sure}", harmless(&seen.means)));
    }
    put(&mut out, &paint.of(Tone::Strong, "cannot be seen from outside"));
    for unseen in &live.unseen {
        put(&mut out, &format!("  {}", harmless(unseen)));
    }
    out
}

/// For programs.
pub fn json(live: &Live) -> Value {
    let seen = |seen: &Seen| {
        let sure = match seen.sure {
            Sure::Certain => "certain",
            Sure::Likely => "likely",
        };
        json!({ "check": seen.check, "what": seen.what, "means": seen.means, "sure": sure })
    };
    json!({
        "url": live.url,
        "requests": live.requests,
        "seen": live.seen.iter().map(seen).collect::<Vec<_>>(),
        "unseen": live.unseen,
    })
}

fn severity(id: &str) -> Severity {
    checks::of(id).map_or(Severity::Info, |check| check.severity)
}

fn put(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(out, "{line}").unwrap_or_default();
}
