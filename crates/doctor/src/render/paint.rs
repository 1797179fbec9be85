//! Paint: colours for a terminal, and text from files made harmless for it.

use crate::check::Severity;

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As they are.
    Colours,
    /// None.
    Plain,
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As bad as this.
    Bad(Severity),
    /// Stands out.
    Strong,
    /// Stands back.
    Faint,
    /// What to do.
    Help,
}

impl Paint {
    /// Text in a tone.
    pub fn of(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Paint::Plain, _) => return text.to_owned(),
            (Paint::Colours, Tone::Bad(Severity::Error)) => "1;31",
            (Paint::Colours, Tone::Bad(Severity::Warning)) => "1;33",
            (Paint::Colours, Tone::Bad(Severity::Info)) => "1;36",
            (Paint::Colours, Tone::Strong) => "1",
            (Paint::Colours, Tone::Faint) => "2",
            (Paint::Colours, Tone::Help) => "32",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Text from somebody's file as it may be shown: a terminal must not take orders from it.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
