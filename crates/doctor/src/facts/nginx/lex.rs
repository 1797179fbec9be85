//! Lex: nginx's words, as `ngx_conf_read_token` (ngx_conf_file.c) cuts them, each with its place.

use std::sync::Arc;

use crate::source::{Source, Span};

/// A word of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What nginx reads: quotes and escapes are gone.
    pub text: Arc<str>,
    /// Where it stands, quotes included.
    pub at: Span,
}

/// What stands next in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A word.
    Word(Word),
    /// `;`
    End(Span),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
}

/// Where nginx would stop, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place.
    pub at: Span,
    /// In nginx's words, or nearly.
    pub why: String,
}

/// Cuts a file into tokens.
pub struct Lexer<'s> {
    source: &'s Source,
    bytes: &'s [u8],
    at: usize,
}

impl<'s> Lexer<'s> {
    /// At the beginning of a file.
    pub fn new(source: &'s Source) -> Lexer<'s> {
        Lexer { source, bytes: source.text.as_bytes(), at: 0 }
    }

    /// The next token; `None` at the end of the file.
    pub fn token(&mut self) -> Result<Option<Token>, Fault> {
        self.blanks();
        let begin = self.at;
        let Some(&byte) = self.bytes.get(begin) else { return Ok(None) };
        let here = || self.source.span(begin..begin + 1);
        Ok(Some(match byte {
            b';' => self.single(Token::End(here())),
            b'{' => self.single(Token::Open(here())),
            b'}' => self.single(Token::Close(here())),
            b'"' | b'\'' => Token::Word(self.quoted(byte)?),
            _ => Token::Word(self.bare()),
        }))
    }

    /// Leaves out a block in another language, from behind its `{`; gives the place of its `}`.
    ///
    /// Braces in Lua's strings, long brackets and comments do not count, as for OpenResty's own lexer.
    pub fn foreign(&mut self) -> Result<Span, Fault> {
        let begin = self.at;
        let mut depth = 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b'"' | b'\'' => self.lua_string(byte),
                b'[' if self.lua_bracket() => continue,
                b'-' if self.bytes[self.at..].starts_with(b"--") => {
                    self.at += 2;
                    if !self.lua_bracket() {
                        self.line();
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(self.source.span(self.at - 1..self.at));
            }
        }
        Err(self.fault(begin, "unexpected end of file, the block of code is not closed"))
    }

    /// Where the lexer stands, as the place of a fault.
    pub fn end(&self) -> Span {
        let end = self.bytes.len();
        self.source.span(end.saturating_sub(1)..end)
    }

    fn single(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn blanks(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'#' => self.line(),
                _ => return,
            }
        }
    }

    fn line(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| *byte != b'\n') {
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Word, Fault> {
        let begin = self.at;
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 1,
                _ if byte == quote => {
                    let text = unescaped(self.source.text.get(begin + 1..self.at).unwrap_or_default());
                    self.at += 1;
                    // Behind a quote nginx takes `)` too, for `if ($a = "b")`.
                    if !matches!(
                        self.bytes.get(self.at),
                        None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')')
                    ) {
                        return Err(self.fault(self.at, "something stands right behind a closing quote"));
                    }
                    return Ok(Word { text: text.into(), at: self.source.span(begin..self.at) });
                }
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.bytes.len();
        Err(self.fault(begin, "unexpected end of file, the quote is not closed"))
    }

    fn bare(&mut self) -> Word {
        let begin = self.at;
        let mut dollar = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                // `${name}` is part of the word.
                b'{' if dollar => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            dollar = byte == b'$';
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        let text = unescaped(self.source.text.get(begin..self.at).unwrap_or_default());
        Word { text: text.into(), at: self.source.span(begin..self.at) }
    }

    fn lua_string(&mut self, quote: u8) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\\' => self.at += 1,
                b'\n' => return,
                _ if byte == quote => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Steps over `[[ … ]]` or `[==[ … ]==]`, if one begins here.
    fn lua_bracket(&mut self) -> bool {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let level = rest.iter().skip(1).take_while(|byte| **byte == b'=').count();
        if rest.first() != Some(&b'[') || rest.get(level + 1) != Some(&b'[') {
            return false;
        }
        let close = [&b"]"[..], &b"=".repeat(level), b"]"].concat();
        let body = &rest[level + 2..];
        let ends = body.windows(close.len()).position(|window| window == close);
        self.at += level + 2 + ends.map_or(body.len(), |ends| ends + close.len());
        true
    }

    fn fault(&self, at: usize, why: &str) -> Fault {
        Fault { at: self.source.span(at..at + 1), why: why.to_owned() }
    }
}

/// `\"`, `\'`, `\\`, `\t`, `\r` and `\n` are read; other backslashes stay.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let read = match (c, chars.peek()) {
            ('\\', Some(next @ ('"' | '\'' | '\\'))) => Some(*next),
            ('\\', Some('t')) => Some('\t'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        out.push(read.unwrap_or(c));
        if read.is_some() {
            chars.next();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn words(text: &str) -> Result<Vec<String>, Fault> {
        let source = Source::new(Path::new("/x"), text);
        let mut lexer = Lexer::new(&source);
        let mut words = Vec::new();
        while let Some(token) = lexer.token()? {
            words.push(match token {
                Token::Word(word) => word.text.to_string(),
                Token::End(_) => ";".into(),
                Token::Open(_) => "{".into(),
                Token::Close(_) => "}".into(),
            });
        }
        Ok(words)
    }

    #[test]
    fn words_are_cut_where_nginx_cuts_them() {
        for (text, expected) in [
            ("root /srv; # no\nindex a b;", &["root", "/srv", ";", "index", "a", "b", ";"][..]),
            ("set $a ${b}c{}", &["set", "$a", "${b}c", "{", "}"]),
            ("a b#c;", &["a", "b#c", ";"]),
            (r#"add "x \"y\" \d" 'z;{';"#, &["add", r#"x "y" \d"#, "z;{", ";"]),
            (r"location ~ \.php$ {}", &["location", "~", r"\.php$", "{", "}"]),
            (r"a b\;c;", &["a", r"b\;c", ";"]),
            (r#"if ($a = "") { }"#, &["if", "($a", "=", "", ")", "{", "}"]),
            ("a}b;", &["a}b", ";"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["a \"b", "a 'b'c;"] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
