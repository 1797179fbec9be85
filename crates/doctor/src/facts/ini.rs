//! Ini: php.ini and the files of PHP-FPM, as lines with their places.
//!
//! What PHP reads is wider (constants, `${…}`, expressions: Zend/zend_ini_scanner.l); a value that is more than plain
//! text is kept as it is written.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::source::{Source, Span};

/// One `key = value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section it stands in, without brackets; empty: above the first.
    pub section: Arc<str>,
    /// The key; with its index, if it has one: `php_value[include_path]`.
    pub key: String,
    /// The value, without its quotes.
    pub value: String,
    /// The key and the value.
    pub at: Span,
    /// The value alone, with its quotes; where it would stand, if it is empty.
    pub value_at: Span,
}

/// One section's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    pub at: Span,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ini {
    /// Its path.
    pub path: PathBuf,
    /// Its lines, in order.
    pub entries: Vec<Entry>,
    /// Its sections, in order.
    pub heads: Vec<Head>,
    /// Whether there is more in it than was read.
    pub cut: bool,
    /// Its last line; `None`: it is empty.
    pub last: Option<Span>,
}

/// Lines of one file that are read; real ones have some hundreds.
const LINES_MAX: usize = 100_000;

impl Ini {
    /// Parses a file. Lines that are neither a section, a pair nor a comment are left out.
    pub fn parse(source: &Source) -> Ini {
        let mut ini = Ini { path: source.path.to_path_buf(), ..Ini::default() };
        let text: &str = &source.text;
        let mut section: Arc<str> = "".into();
        let mut at = 0;
        while at < text.len() {
            if ini.entries.len() + ini.heads.len() >= LINES_MAX {
                ini.cut = true;
                break;
            }
            let line = text[at..].split('\n').next().unwrap_or("");
            let (begin, mut end) = (at, at + line.len());
            let trimmed = line.trim();
            let lead = begin + (line.len() - line.trim_start().len());
            if let Some(rest) = trimmed.strip_prefix('[') {
                let name = rest.split(']').next().unwrap_or("");
                section = name.trim().into();
                let at = source.span(lead..lead + name.len() + 2);
                ini.heads.push(Head { name: Arc::clone(&section), at });
            } else if !trimmed.is_empty() && !trimmed.starts_with(';') {
                let (key, value) = trimmed.split_once('=').unwrap_or((trimmed, ""));
                let key_end = lead + key.trim_end().len();
                let (value, place) = if trimmed.contains('=') {
                    let from = lead + key.len() + 1;
                    let (value, place, past) = value_of(text, from, value);
                    end = end.max(past);
                    (value, place)
                } else {
                    (String::new(), key_end..key_end)
                };
                let key = key.trim().to_owned();
                if !key.is_empty() {
                    let at = source.span(lead..place.end.max(key_end));
                    ini.entries.push(Entry {
                        section: Arc::clone(&section),
                        key,
                        value,
                        at,
                        value_at: source.span(place),
                    });
                }
            }
            if !trimmed.is_empty() {
                ini.last = Some(source.span(lead..lead + trimmed.len()));
            }
            // A quoted value may reach over lines.
            at = text[end..].find('\n').map_or(text.len(), |more| end + more + 1);
        }
        ini
    }

    /// Where the line is below which another one of this section may be written: the last that stands there.
    pub fn home(&self, section: &str) -> Option<Span> {
        let head = self.heads.iter().rfind(|head| &*head.name == section).map(|head| &head.at);
        let last = self.entries.iter().rfind(|entry| &*entry.section == section).map(|entry| &entry.at);
        head.into_iter().chain(last).max_by_key(|span| span.line).cloned()
    }
}

/// `[PATH=/srv/shop]`, `[HOST=example.com]`: what stands there holds for such requests only.
pub fn is_place(section: &str) -> bool {
    let lower = section.to_ascii_lowercase();
    lower.starts_with("path=") || lower.starts_with("host=")
}

/// A value, its place with quotes, and where reading went on to.
fn value_of(text: &str, from: usize, line: &str) -> (String, Range<usize>, usize) {
    let lead = from + (line.len() - line.trim_start().len());
    let rest = &text[lead..];
    for quote in ['"', '\''] {
        let Some(inner) = rest.strip_prefix(quote) else { continue };
        let mut escaped = false;
        let end = inner.char_indices().find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = quote == '"' && *c == '\\' && !escaped;
            ends
        });
        if let Some((end, _)) = end {
            let value = inner[..end].to_owned();
            let place = lead..lead + end + 2;
            return (value, place.clone(), place.end);
        }
    }
    let value = line.trim_start().split(';').next().unwrap_or("").trim_end();
    (value.to_owned(), lead..lead + value.len(), lead + value.len())
}

/// A number as PHP reads it: `128M`, `4096K`, `1G`, `0x10`; what follows is left out (zend_atol).
pub fn number(value: &str) -> Option<i64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '+').unwrap_or(value.len());
    let number: i64 = value[..digits].parse().ok()?;
    let factor = match value.as_bytes().last().map(u8::to_ascii_lowercase) {
        Some(b'g') => 1 << 30,
        Some(b'm') => 1 << 20,
        Some(b'k') => 1 << 10,
        _ => 1,
    };
    number.checked_mul(factor)
}

/// Whether a switch is on, as PHP reads it: `1`, `on`, `yes`, `true`, and any other number but 0.
pub fn on(value: &str) -> bool {
    let lower = value.trim().to_ascii_lowercase();
    matches!(lower.as_str(), "on" | "yes" | "true") || number(&lower).is_some_and(|number| number != 0)
}

/// Seconds as PHP-FPM reads them: `30`, `30s`, `5m`, `2h`, `1d` (fpm_conf.c, fpm_conf_set_time).
pub fn seconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let (digits, factor) = match value.as_bytes().last()? {
        b'm' => (&value[..value.len() - 1], 60),
        b'h' => (&value[..value.len() - 1], 3_600),
        b'd' => (&value[..value.len() - 1], 86_400),
        b's' => (&value[..value.len() - 1], 1),
        _ => (value, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(text: &str) -> Vec<(String, String, String, usize)> {
        let ini = Ini::parse(&Source::new(Path::new("/etc/php.ini"), text));
        let told = |entry: Entry| (entry.section.to_string(), entry.key, entry.value, entry.at.line);
        ini.entries.into_iter().map(told).collect()
    }

    #[test]
    fn lines_are_read_as_php_reads_them() {
        let text = "; no\nengine = On\n[opcache]\n a.b=\"x;y\" ; why\nphp_value[include_path] = .:/x\nempty=\nbare\n\
                    two = 'over\nlines'\nafter = 1";
        let line =
            |section: &str, key: &str, value: &str, line| (section.into(), key.into(), value.into(), line);
        assert_eq!(
            parsed(text),
            vec![
                line("", "engine", "On", 2),
                line("opcache", "a.b", "x;y", 4),
                line("opcache", "php_value[include_path]", ".:/x", 5),
                line("opcache", "empty", "", 6),
                line("opcache", "bare", "", 7),
                line("opcache", "two", "over\nlines", 8),
                line("opcache", "after", "1", 10),
            ]
        );
    }

    #[test]
    fn places_are_those_of_the_value() {
        let ini = Ini::parse(&Source::new(Path::new("/x"), "[www]\n  pm.max_children = 5 ; few\n"));
        assert_eq!(ini.entries[0].value_at.meant(), "5");
        assert_eq!(ini.entries[0].at.meant(), "pm.max_children = 5");
        assert_eq!(ini.heads[0].at.meant(), "[www]");
        assert_eq!(ini.home("www").map(|span| span.line), Some(2));
    }

    #[test]
    fn odd_text_is_no_trouble() {
        for text in [
            "",
            "=",
            "[",
            "[]",
            "[x",
            "\"",
            "a=\"",
            "a='\n\n",
            "[a=b]",
            "[php_value]=x",
            "ä=ö\u{0}",
            "a=\"\\",
        ] {
            drop(parsed(text));
        }
    }

    #[test]
    fn numbers_switches_and_times() {
        assert_eq!(number("4096K"), Some(4 << 20));
        assert_eq!(number("-1"), Some(-1));
        assert_eq!(number("x"), None);
        assert!(on("On") && on("1") && on("true") && !on("0") && !on("") && !on("off"));
        assert_eq!(
            (seconds("5m"), seconds("30"), seconds("1d"), seconds("")),
            (Some(300), Some(30), Some(86_400), None)
        );
    }
}
