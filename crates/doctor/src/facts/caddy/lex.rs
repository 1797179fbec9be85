//! Lex: the words of a Caddyfile, line by line.

use std::ops::Range;

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text, without quotes.
    pub text: String,
    /// Where it stands in the file; without its quotes.
    pub at: Range<usize>,
    /// Whether it was quoted: a quoted brace opens nothing.
    pub quoted: bool,
}

/// The lines of a Caddyfile that have words; a backslash at the end joins two.
pub fn lines(text: &str) -> Vec<Vec<Token>> {
    let bytes = text.as_bytes();
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => {
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                at += 1;
            }
            b'\\' if matches!(&bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]) => {
                at += if bytes[at + 1] == b'\r' { 3 } else { 2 };
            }
            // A comment begins where a word could.
            b'#' => at += text[at..].find('\n').unwrap_or(text.len() - at),
            b'"' | b'`' => {
                let (token, next) = quoted(text, at);
                line.push(token);
                at = next;
            }
            _ => {
                // What ends a word must be stepped over as a blank too (Go's unicode.IsSpace, as in Caddy's lexer): a
                // vertical tab or a no-break space made words without end.
                let len = text[at..].find(char::is_whitespace).unwrap_or(text.len() - at);
                if len == 0 {
                    at += text[at..].chars().next().map_or(1, char::len_utf8);
                    continue;
                }
                let word = &text[at..at + len];
                match heredoc(text, at, word) {
                    Some((token, next)) => {
                        line.push(token);
                        at = next;
                    }
                    None => {
                        line.push(Token { text: word.to_owned(), at: at..at + len, quoted: false });
                        at += len;
                    }
                }
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A word in quotes, in which a backslash keeps a quote, or in backquotes; either may go over lines.
fn quoted(text: &str, from: usize) -> (Token, usize) {
    let mut word = String::new();
    let quote = text[from..].chars().next().unwrap_or('"');
    let mut chars = text[from + 1..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let end = from + 1 + at;
            return (Token { text: word, at: from + 1..end, quoted: true }, end + 1);
        }
        let escaped = c == '\\' && quote == '"' && chars.peek().is_some_and(|(_, next)| *next == '"');
        match chars.next_if(|_| escaped) {
            Some((_, next)) => word.push(next),
            None => word.push(c),
        }
    }
    (Token { text: word, at: from + 1..text.len(), quoted: true }, text.len())
}

/// `<<END`, lines, and `END` on a line of its own.
fn heredoc(text: &str, at: usize, word: &str) -> Option<(Token, usize)> {
    let mark = word.strip_prefix("<<")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if mark.is_empty() || !mark.chars().all(plain) {
        return None;
    }
    let begin = at + text[at..].find('\n')? + 1;
    let mut next = begin;
    for line in text[begin..].split_inclusive('\n') {
        if let Some(rest) = line.trim_start().strip_prefix(mark)
            && !rest.starts_with(plain)
        {
            let inside = text[begin..next].to_owned();
            let end = next + line.len() - rest.len();
            return Some((Token { text: inside, at: begin..next, quoted: true }, end));
        }
        next += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<Vec<String>> {
        let texts = |line: Vec<Token>| line.into_iter().map(|token| token.text).collect();
        lines(text).into_iter().map(texts).collect()
    }

    #[test]
    fn words_are_split_as_caddy_splits_them() {
        assert_eq!(
            texts("a \"b \\\" c\" `d \" \\`\n\n# x\ne#f # g\n"),
            vec![vec!["a", "b \" c", "d \" \\"], vec!["e#f"]]
        );
        assert_eq!(texts("root * \\\n\t/srv\nx"), vec![vec!["root", "*", "/srv"], vec!["x"]]);
        assert_eq!(
            texts("respond <<END\n  hi\n  END 200\nx"),
            vec![vec!["respond", "  hi\n", "200"], vec!["x"]]
        );
        assert_eq!(texts("a \"not\nclosed"), vec![vec!["a", "not\nclosed"]]);
        assert_eq!(texts("a\u{b}b\u{a0}\u{2003}c\u{85}\r\n\u{c}d"), vec![vec!["a", "b", "c"], vec!["d"]]);
        assert_eq!(texts("<<END\nnever"), vec![vec!["<<END"], vec!["never"]]);
    }

    #[test]
    fn a_word_knows_its_place() {
        let text = "root * \"/srv/x\"";
        let line = &lines(text)[0];
        assert_eq!(&text[line[2].at.clone()], "/srv/x");
    }
}
