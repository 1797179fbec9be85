//! Parse: a file's directives, each with its place and how it came to be read; unknown ones are kept.

use std::sync::Arc;

use super::lex::{Fault, Lexer, Token, Word};
use crate::source::{Source, Span};

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: Word,
    /// Its other words.
    pub args: Vec<Word>,
    /// Its `;` or its `{`.
    pub end: Span,
    /// What stands between its braces, if it has some.
    pub block: Option<Block>,
    /// By which includes it was read; `None`: it stands in the main file.
    pub via: Option<Arc<Via>>,
}

/// What stands between braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The directives; empty too for a block in another language.
    pub inner: Vec<Directive>,
    /// Its `}`.
    pub close: Span,
}

/// An include by which something was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The include.
    pub at: Span,
    /// By which includes that was read.
    pub up: Option<Arc<Via>>,
}

/// Blocks in blocks, at most.
const DEPTH_MAX: usize = 100;

/// Words of one directive, and of one file, at most; nginx has no such limit, memory has.
const WORDS_MAX: usize = 10_000;
const FILE_WORDS_MAX: usize = 500_000;

impl Directive {
    /// Its name as text.
    pub fn is(&self, name: &str) -> bool {
        &*self.name.text == name
    }

    /// A word of it, from 0; empty if it has fewer.
    pub fn arg(&self, number: usize) -> &str {
        self.args.get(number).map_or("", |word| &word.text)
    }

    /// The place of its name.
    pub fn at(&self) -> &Span {
        &self.name.at
    }

    /// The place of a word of it; of its name, if it has fewer.
    pub fn at_arg(&self, number: usize) -> &Span {
        self.args.get(number).map_or(&self.name.at, |word| &word.at)
    }

    /// What stands between its braces.
    pub fn inner(&self) -> &[Directive] {
        self.block.as_ref().map_or(&[], |block| &block.inner)
    }

    /// Whether it stands on lines of its own, so that a line more or less touches nothing else.
    pub fn alone(&self) -> bool {
        let before = self.name.at.text.get(..self.name.at.from).unwrap_or("x");
        let last = self.block.as_ref().map_or(&self.end, |block| &block.close);
        let behind = last.text.get(last.to..).unwrap_or("x").trim();
        before.trim().is_empty() && (behind.is_empty() || behind.starts_with('#'))
    }

    /// Whether nothing else stands on the line that its block begins on, before it or behind its brace.
    pub fn alone_at_head(&self) -> bool {
        let before = self.name.at.text.get(..self.name.at.from).unwrap_or("x");
        let behind = self.end.text.get(self.end.to..).unwrap_or("x").trim();
        before.trim().is_empty() && (behind.is_empty() || behind.starts_with('#'))
    }

    /// What its line begins with.
    pub fn indent(&self) -> &str {
        let line: &str = &self.name.at.text;
        &line[..line.len() - line.trim_start().len()]
    }
}

/// All directives of a file, includes not followed.
pub fn parse(source: &Source) -> Result<Vec<Directive>, Fault> {
    let mut parser = Parser { lexer: Lexer::new(source), depth: 0, words: 0 };
    let (directives, close) = parser.directives()?;
    match close {
        None => Ok(directives),
        Some(at) => Err(Fault { at, why: "unexpected \"}\"".into() }),
    }
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    depth: usize,
    words: usize,
}

impl Parser<'_> {
    /// Directives up to a `}`, whose place is given, or to the end of the file.
    fn directives(&mut self) -> Result<(Vec<Directive>, Option<Span>), Fault> {
        let mut all = Vec::new();
        loop {
            match self.lexer.token()? {
                None => return Ok((all, None)),
                Some(Token::Close(at)) => return Ok((all, Some(at))),
                Some(Token::End(at)) => return Err(Fault { at, why: "unexpected \";\"".into() }),
                Some(Token::Open(at)) => return Err(Fault { at, why: "unexpected \"{\"".into() }),
                Some(Token::Word(name)) => all.push(self.directive(name)?),
            }
        }
    }

    fn directive(&mut self, name: Word) -> Result<Directive, Fault> {
        let mut args = Vec::new();
        loop {
            self.words += 1;
            if self.words > FILE_WORDS_MAX {
                return Err(Fault {
                    at: name.at,
                    why: format!("more than {FILE_WORDS_MAX} words in one file"),
                });
            }
            match self.lexer.token()? {
                Some(Token::Word(word)) if args.len() < WORDS_MAX => args.push(word),
                Some(Token::Word(Word { at, .. })) => {
                    return Err(Fault { at, why: "too many words in one directive".into() });
                }
                Some(Token::End(end)) => return Ok(Directive { name, args, end, block: None, via: None }),
                Some(Token::Open(end)) => {
                    let block = Some(self.block(&name, &end)?);
                    return Ok(Directive { name, args, end, block, via: None });
                }
                Some(Token::Close(at)) => return Err(Fault { at, why: "unexpected \"}\"".into() }),
                None => {
                    let why = "unexpected end of file, expecting \";\" or \"}\"".into();
                    return Err(Fault { at: self.lexer.end(), why });
                }
            }
        }
    }

    fn block(&mut self, name: &Word, open: &Span) -> Result<Block, Fault> {
        if name.text.ends_with("_by_lua_block") {
            return Ok(Block { inner: Vec::new(), close: self.lexer.foreign()? });
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault { at: open.clone(), why: "too many blocks in blocks".into() });
        }
        let (inner, close) = self.directives()?;
        self.depth -= 1;
        let not_closed = || Fault { at: open.clone(), why: "unexpected end of file, expecting \"}\"".into() };
        Ok(Block { inner, close: close.ok_or_else(not_closed)? })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<Directive>, Fault> {
        parse(&Source::new(Path::new("/x"), text))
    }

    #[test]
    fn code_in_another_language_is_left_alone() {
        let text = "http { content_by_lua_block { if a then s = '}' .. [[ } ]] -- }\n --[==[ } ]==] t = {} end }\n\
                    js_import x.js; server { strange_directive a { b; } } }";
        let http = &parsed(text).unwrap()[0];
        let names: Vec<&str> = http.inner().iter().map(|directive| &*directive.name.text).collect();
        assert_eq!(names, ["content_by_lua_block", "js_import", "server"]);
        assert_eq!(http.inner()[2].inner()[0].inner().len(), 1);
    }

    #[test]
    fn what_nginx_refuses_is_a_fault_with_its_place() {
        for (text, line, why) in [
            ("http {\n server {\n}", 1, "expecting \"}\""),
            ("a b;\n}", 2, "unexpected \"}\""),
            ("a b", 1, "expecting \";\""),
            (";", 1, "unexpected \";\""),
            ("a {\n b }", 2, "unexpected \"}\""),
        ] {
            let fault = parsed(text).unwrap_err();
            assert!(fault.at.line == line && fault.why.contains(why), "{text:?}: {fault:?}");
        }
        let deep = "a {".repeat(500);
        assert!(parsed(&deep).unwrap_err().why.contains("too many blocks"));
    }
}
