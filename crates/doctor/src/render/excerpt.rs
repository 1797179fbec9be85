//! Excerpt: a line of a file with a caret below what is meant.

use super::paint::{Paint, Tone, harmless};
use crate::source::Span;

/// Characters of a line that are shown, at most.
const WIDE: usize = 120;

/// Columns of a tab.
const TAB: usize = 4;

/// The line, and below it the caret; each with the number's margin.
pub fn excerpt(at: &Span, tone: Tone, paint: Paint) -> String {
    let before = widened(at.text.get(..at.from).unwrap_or_default());
    let meant = widened(at.meant());
    let behind = widened(at.text.get(at.to..).unwrap_or_default());
    let number = format!("{:>6}", at.line);
    let bar = paint.of(Tone::Faint, "|");
    // What is meant stays in sight however long the line is.
    let skipped = before.chars().count().saturating_sub(WIDE / 2);
    let mut line: String = before.chars().skip(skipped).collect();
    if skipped > 0 {
        line.insert(0, '…');
    }
    let column = line.chars().count();
    line.push_str(&meant);
    line.push_str(&behind);
    if line.chars().count() > WIDE {
        line = line.chars().take(WIDE).chain(['…']).collect();
    }
    let carets = meant.chars().count().clamp(1, WIDE.saturating_sub(column).max(1));
    format!(
        "{} {bar} {}\n{:>6} {bar} {}{}",
        paint.of(Tone::Faint, &number),
        line.trim_end(),
        "",
        " ".repeat(column),
        paint.of(tone, &"^".repeat(carets))
    )
}

fn widened(text: &str) -> String {
    harmless(&text.replace('\t', &" ".repeat(TAB)))
}
