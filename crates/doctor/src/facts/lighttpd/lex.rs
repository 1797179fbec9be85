//! Lex: the words and signs of a lighttpd configuration.

use std::ops::Range;

/// A word or sign, and where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub is: Is,
    /// Where; of a text in quotes what is between them.
    pub at: Range<usize>,
}

/// A word or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Is {
    /// A bare word or number: `server.port`, `80`, `else`.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// A sign: `=`, `+=`, `=>`, `(`, `=~`, …
    Sign(&'static str),
    /// A byte that begins nothing.
    Odd(char),
}

/// The longer ones first.
const SIGNS: [&str; 18] =
    ["=>", "==", "=~", "=^", "=$", "+=", ":=", "!=", "!~", "=", "+", "(", ")", "[", "]", "{", "}", ","];

/// All tokens; comments and blanks are none.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let len = if c.is_whitespace() {
            c.len_utf8()
        } else if c == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '"' {
            let (word, len) = quoted(rest);
            let end = at + len;
            let closed = if text[..end].ends_with('"') && len > 1 { end - 1 } else { end };
            found.push(Token { is: Is::Text(word), at: at + 1..closed.max(at + 1) });
            len
        } else if c.is_alphanumeric() || matches!(c, '_' | '.' | '-') {
            let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
            let len = rest.find(|c| !inner(c)).unwrap_or(rest.len());
            found.push(Token { is: Is::Word(rest[..len].to_owned()), at: at..at + len });
            len
        } else if c == '$' {
            found.push(Token { is: Is::Sign("$"), at: at..at + 1 });
            1
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token { is: Is::Sign(sign), at: at..at + sign.len() });
            sign.len()
        } else {
            found.push(Token { is: Is::Odd(c), at: at..at + c.len_utf8() });
            c.len_utf8()
        };
        at += len;
    }
    found
}

/// A text in double quotes, in which a backslash keeps a quote or a backslash; its length with the quotes.
fn quoted(rest: &str) -> (String, usize) {
    let mut word = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (word, at + 1),
            '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, next)) => word.push(next),
                None => word.push(c),
            },
            _ => word.push(c),
        }
    }
    (word, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_apart() {
        let is: Vec<Is> =
            tokens("a.b-c+=(\"x\\\"y\"=>1)#z\n$HTTP[\"h\"]=~\"q").into_iter().map(|token| token.is).collect();
        let text = |text: &str| Is::Text(text.to_owned());
        let word = |text: &str| Is::Word(text.to_owned());
        assert_eq!(
            is,
            [
                word("a.b-c"),
                Is::Sign("+="),
                Is::Sign("("),
                text("x\"y"),
                Is::Sign("=>"),
                word("1"),
                Is::Sign(")"),
                Is::Sign("$"),
                word("HTTP"),
                Is::Sign("["),
                text("h"),
                Is::Sign("]"),
                Is::Sign("=~"),
                text("q"),
            ]
        );
    }
}
