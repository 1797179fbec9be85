//! Parse: the settings of a lighttpd configuration, with the conditions around them and their values worked out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::lex::{Is, Token, tokens};
use crate::facts::allowance::Allowance;
use crate::facts::glob;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::{Source, Sources, Span};

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name: `server.document-root`.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where the value is written.
    pub at: Span,
    /// The conditions around it, the outermost first.
    pub when: Vec<Condition>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is asked: `HTTP["host"]`.
    pub of: String,
    /// How, and with what.
    pub is: String,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, a number or a bare word.
    Text(String),
    /// A list, some of it with keys.
    List(Vec<(Option<String>, Value, Span)>),
    /// It cannot be known here.
    Unknown,
}

/// Blocks, lists and includes within one another.
const DEPTH_MAX: usize = 50;
/// Bytes of a text that was put together.
const TEXT_MAX: usize = 64 << 10;

/// What Debian's lighttpd runs to complete its configuration; it sets types of files and a socket, no more.
const DEBIANS: [&str; 2] = ["/usr/share/lighttpd/use-ipv6.pl", "/usr/share/lighttpd/create-mime.conf.pl"];

/// Reads a configuration and what it includes.
pub struct Reader<'a> {
    /// What is asked.
    pub machine: &'a dyn Machine,
    /// The files that were read.
    pub sources: &'a mut Sources,
    /// `var.…`.
    pub vars: BTreeMap<String, Value>,
    /// All settings, in order.
    pub settings: Vec<Setting>,
    /// Where in them each name was set last.
    pub last: BTreeMap<String, usize>,
    /// How much may still be read.
    pub allowance: Allowance,
    /// What could not be made sense of.
    pub blind: Vec<Blind>,
    /// The files that are being read.
    pub open: Vec<PathBuf>,
    /// Whether it runs programs when it is read.
    pub runs: bool,
}

/// Where in a file.
struct Cursor<'a> {
    source: &'a Source,
    tokens: &'a [Token],
    at: usize,
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Unknown => None,
        }
    }

    /// What is in the list, if it is one.
    pub fn list(&self) -> &[(Option<String>, Value, Span)] {
        match self {
            Value::List(list) => list,
            Value::Text(_) | Value::Unknown => &[],
        }
    }

    /// Whether one of the texts in it is like this.
    pub fn any_text(&self, is: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Value::Text(text) => is(text),
            Value::List(list) => list.iter().any(|(_, value, _)| value.any_text(is)),
            Value::Unknown => false,
        }
    }

    /// About how much memory it takes, in bytes.
    fn weight(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::List(list) => list.iter().map(|(_, value, _)| 128 + value.weight()).sum(),
            Value::Unknown => 0,
        }
    }

    fn plus(self, other: Value) -> Value {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) if a.len() + b.len() <= TEXT_MAX => Value::Text(a + &b),
            (Value::List(mut a), Value::List(b)) if a.len() + b.len() <= TEXT_MAX => {
                a.extend(b);
                Value::List(a)
            }
            (Value::Text(_) | Value::List(_) | Value::Unknown, _) => Value::Unknown,
        }
    }
}

impl Cursor<'_> {
    fn peek(&self) -> Option<&Is> {
        self.tokens.get(self.at).map(|token| &token.is)
    }

    fn sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Is::Sign(is)) if *is == sign)
    }

    /// Takes this sign, if it comes next.
    fn take(&mut self, sign: &str) -> bool {
        let is = self.sign(sign);
        self.at += usize::from(is);
        is
    }

    /// The place of the tokens from one to before the next.
    fn span(&self, from: usize) -> Span {
        let last = self.tokens.len().saturating_sub(1);
        let (from, to) = (from.min(last), self.at.saturating_sub(1).clamp(from.min(last), last));
        let bytes = |at: usize| self.tokens.get(at).map_or(0..0, |token| token.at.clone());
        self.source.span(bytes(from).start..bytes(to).end)
    }

    /// Goes on at the next line.
    fn skip_line(&mut self) {
        let line = self.span(self.at).line;
        while self.at < self.tokens.len() && self.span(self.at).line == line {
            self.at += 1;
        }
    }
}

impl Reader<'_> {
    /// Reads a file.
    pub fn file(&mut self, path: &Path, named: Option<&Span>, when: &mut Vec<Condition>) {
        if self.open.iter().any(|open| open == path) {
            return self.fault(named, path.display().to_string(), "includes itself");
        }
        if self.open.len() >= DEPTH_MAX {
            return self.fault(named, path.display().to_string(), "included too deep to follow");
        }
        let known = self.sources.get(path).cloned();
        let source = match known.map_or_else(|| self.sources.read(self.machine, path), Ok) {
            Ok(source) => source,
            Err(no) => return self.fault(named, no.what, &no.why.to_string()),
        };
        self.open.push(path.to_owned());
        let tokens = tokens(&source.text);
        if !self.allowance.words(tokens.len(), source.text.len()) {
            self.open.pop();
            return self.fault(named, path.display().to_string(), "too much to read");
        }
        let mut cursor = Cursor { source: &source, tokens: &tokens, at: 0 };
        while cursor.at < tokens.len() && self.allowance.is_left() {
            self.statement(&mut cursor, when, 0);
        }
        self.open.pop();
    }

    fn statement(&mut self, cursor: &mut Cursor<'_>, when: &mut Vec<Condition>, depth: usize) {
        let from = cursor.at;
        match cursor.peek() {
            Some(Is::Word(word)) => {
                let word = word.clone();
                cursor.at += 1;
                match word.as_str() {
                    "include" => self.include(cursor, when),
                    "include_shell" => self.shell(cursor),
                    "else" => {
                        if matches!(cursor.peek(), Some(Is::Word(word)) if word == "if" || word == "elseif") {
                            cursor.at += 1;
                        }
                        self.conditional(cursor, when, depth);
                    }
                    "elseif" | "elsif" => self.conditional(cursor, when, depth),
                    _ => self.assign(word, cursor, when),
                }
            }
            Some(Is::Sign("$")) => self.conditional(cursor, when, depth),
            Some(Is::Sign(_) | Is::Text(_) | Is::Odd(_)) | None => self.odd(cursor),
        }
        if cursor.at == from {
            cursor.at += 1;
        }
    }

    /// `$HTTP["host"] == "x" {`, or `{` alone behind `else`.
    fn conditional(&mut self, cursor: &mut Cursor<'_>, when: &mut Vec<Condition>, depth: usize) {
        let from = cursor.at;
        let mut words = Vec::new();
        while !cursor.sign("{") {
            match cursor.peek() {
                Some(Is::Word(text)) => words.push(text.clone()),
                Some(Is::Text(text)) => words.push(format!("\"{text}\"")),
                Some(Is::Sign("$")) => {}
                Some(Is::Sign(sign)) => words.push((*sign).to_owned()),
                Some(Is::Odd(_)) | None => return self.odd(cursor),
            }
            cursor.at += 1;
            // No condition is so long: the brace is missing.
            if words.len() > 100 {
                return self.odd(cursor);
            }
        }
        if depth > DEPTH_MAX {
            let at = cursor.span(from);
            cursor.at = cursor.tokens.len();
            return self.fault(Some(&at), told(&at), "blocks within blocks, too many to follow");
        }
        cursor.take("{");
        let asks =
            words.iter().position(|word| matches!(word.as_str(), "==" | "!=" | "=~" | "!~" | "=^" | "=$"));
        let (of, is) = words.split_at(asks.unwrap_or(words.len()));
        when.push(Condition { of: of.concat(), is: is.join(" ") });
        while cursor.at < cursor.tokens.len() && !cursor.sign("}") {
            self.statement(cursor, when, depth + 1);
        }
        if !cursor.take("}") {
            let at = cursor.span(from);
            self.fault(Some(&at), told(&at), "a block that is not closed");
        }
        when.pop();
    }

    fn assign(&mut self, name: String, cursor: &mut Cursor<'_>, when: &[Condition]) {
        let adds = cursor.sign("+=");
        if !(cursor.take("=") || cursor.take("+=") || cursor.take(":=")) {
            cursor.at -= 1;
            return self.odd(cursor);
        }
        let from = cursor.at;
        let value = self.value(cursor, 0);
        let at = cursor.span(from);
        let around: usize = when.iter().map(|condition| condition.of.len() + condition.is.len()).sum();
        if !self.allowance.words(when.len(), value.weight() + around) {
            return self.fault(Some(&at), told(&at), "too much to read");
        }
        if let Some(var) = name.strip_prefix("var.") {
            let before = if adds { self.vars.remove(var) } else { None };
            let value = before.map_or(value.clone(), |before| before.plus(value));
            self.vars.insert(var.to_owned(), value);
        } else {
            self.last.insert(name.clone(), self.settings.len());
            self.settings.push(Setting { name, value, at, when: when.to_vec() });
        }
    }

    /// A value, or several joined by `+`.
    fn value(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Value {
        let mut value = self.one(cursor, depth);
        while cursor.take("+") {
            if !self.allowance.line(value.weight()) {
                return Value::Unknown;
            }
            value = value.plus(self.one(cursor, depth));
        }
        value
    }

    fn one(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Value {
        let from = cursor.at;
        let value = match cursor.peek() {
            Some(Is::Text(text)) => Value::Text(text.clone()),
            Some(Is::Word(word)) => {
                if let Some(var) = word.strip_prefix("var.") {
                    self.vars.get(var).cloned().unwrap_or(Value::Unknown)
                } else if word.starts_with("env.") {
                    Value::Unknown
                } else if let Some(set) = self.last.get(word) {
                    self.settings[*set].value.clone()
                } else {
                    Value::Text(word.clone())
                }
            }
            Some(Is::Sign("(")) if depth < DEPTH_MAX => return self.list(cursor, depth),
            Some(Is::Sign(_) | Is::Odd(_)) | None => {
                self.odd(cursor);
                return Value::Unknown;
            }
        };
        cursor.at = from + 1;
        value
    }

    fn list(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Value {
        let begin = cursor.at;
        cursor.take("(");
        let mut list = Vec::new();
        while cursor.at < cursor.tokens.len() && !cursor.sign(")") {
            let from = cursor.at;
            let first = self.value(cursor, depth + 1);
            let entry = if cursor.take("=>") {
                let from = cursor.at;
                let value = self.value(cursor, depth + 1);
                (first.text().map(str::to_owned), value, cursor.span(from))
            } else {
                (None, first, cursor.span(from))
            };
            list.push(entry);
            if !cursor.take(",") && !cursor.sign(")") {
                let at = cursor.span(begin);
                self.fault(Some(&at), told(&at), "a list that is not closed");
                return Value::Unknown;
            }
        }
        cursor.take(")");
        Value::List(list)
    }

    fn include(&mut self, cursor: &mut Cursor<'_>, when: &mut Vec<Condition>) {
        let from = cursor.at;
        let value = self.value(cursor, 0);
        let at = cursor.span(from);
        let Some(named) = value.text() else {
            return self.fault(Some(&at), told(&at), "which file is included is not known");
        };
        let beside = at.file.parent().unwrap_or(Path::new("/")).to_owned();
        match glob::expand(self.machine, &beside.join(named)) {
            Ok(files) => files.iter().for_each(|file| self.file(file, Some(&at), when)),
            Err(no) => self.fault(Some(&at), no.what, &no.why.to_string()),
        }
    }

    /// What a program would print is not known: it is not run.
    fn shell(&mut self, cursor: &mut Cursor<'_>) {
        let from = cursor.at;
        let value = self.value(cursor, 0);
        let at = cursor.span(from);
        self.runs = true;
        let command = value.text().unwrap_or_default();
        let file = command.split_whitespace().next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || " ./-".contains(c);
        if !(DEBIANS.contains(&file) && command.chars().all(plain)) {
            let what = format!("include_shell in {}", told(&at));
            self.fault(Some(&at), what, "the doctor runs no programs of others");
        }
    }

    fn odd(&mut self, cursor: &mut Cursor<'_>) {
        let from = cursor.at;
        let at = cursor.span(from);
        self.fault(Some(&at), told(&at), "not understood");
        cursor.skip_line();
    }

    /// Tells what could not be made sense of, once.
    pub fn fault(&mut self, at: Option<&Span>, what: String, why: &str) {
        let blind = Blind { what, why: why.to_owned(), at: at.cloned() };
        if self.blind.len() < 100 && !self.blind.contains(&blind) {
            self.blind.push(blind);
        }
    }
}

fn told(at: &Span) -> String {
    format!("{}:{}", at.file.display(), at.line)
}
