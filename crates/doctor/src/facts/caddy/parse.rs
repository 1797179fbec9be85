//! Parse: a Caddyfile as lines and blocks, with its imports, snippets and environment put in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::lex::{Token, lines};
use crate::facts::allowance::Allowance;
use crate::facts::glob;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::{Source, Sources, Span};

/// A line, and the block that it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its words, without the brace.
    pub words: Vec<Word>,
    /// Where it stands.
    pub at: Span,
    /// Its block.
    pub body: Option<Vec<Line>>,
}

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub at: Span,
}

/// Blocks, imports and snippets within one another.
const DEPTH_MAX: usize = 50;
/// Bytes of a word, and words of a line, that come from what a snippet was given.
const TEXT_MAX: usize = 16 << 10;

/// What a snippet is given: more is not looked for in its words.
const ARGS_MAX: usize = 100;

/// Reads a Caddyfile and what it imports.
pub struct Reader<'a> {
    /// What is asked.
    pub machine: &'a dyn Machine,
    /// The files that were read.
    pub sources: &'a mut Sources,
    /// The environment, as far as it is known.
    pub environment: BTreeMap<String, String>,
    /// What could not be made sense of.
    pub blind: Vec<Blind>,
    /// Snippets by name.
    pub snippets: BTreeMap<String, Rc<Vec<Line>>>,
    /// The files that are being read.
    pub open: Vec<PathBuf>,
    /// How much may still be read.
    pub allowance: Allowance,
}

impl Line {
    /// The text of a word; empty, if there are not so many.
    pub fn word(&self, number: usize) -> &str {
        self.words.get(number).map_or("", |word| &word.text)
    }

    /// What it encloses.
    pub fn body(&self) -> &[Line] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The line in its block that begins with this word.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.body().iter().find(|line| line.word(0) == name)
    }
}

impl Reader<'_> {
    /// Reads a file.
    pub fn file(&mut self, path: &Path, named: Option<&Span>) -> Vec<Line> {
        if self.open.iter().any(|open| open == path) {
            self.fault(named, path.display().to_string(), "imports itself".into());
            return Vec::new();
        }
        let known = self.sources.get(path).cloned();
        let source = match known.map_or_else(|| self.sources.read(self.machine, path), Ok) {
            Ok(source) => source,
            Err(no) => {
                self.fault(named, no.what, no.why.to_string());
                return Vec::new();
            }
        };
        let parsed = self.blocks(&source);
        self.open.push(path.to_owned());
        let read = self.imported(parsed, path, self.open.len());
        self.open.pop();
        read
    }

    /// Lines and blocks, nothing put in yet.
    fn blocks(&mut self, source: &Source) -> Vec<Line> {
        let mut top = Vec::new();
        let mut open: Vec<Line> = Vec::new();
        let into = |open: &mut Vec<Line>, top: &mut Vec<Line>, line: Line| {
            open.last_mut().and_then(|above| above.body.as_mut()).unwrap_or(top).push(line);
        };
        for mut tokens in lines(&source.text) {
            let (first, last) = (tokens[0].at.start, tokens[tokens.len() - 1].at.end);
            let at = source.span(first..last);
            if !self.allowance.words(tokens.len(), last - first) {
                self.fault(Some(&at), told(&at), "too much to read".into());
                break;
            }
            let brace = |token: &Token, text: &str| !token.quoted && token.text == text;
            if tokens.len() == 1 && brace(&tokens[0], "}") {
                match open.pop() {
                    Some(line) => into(&mut open, &mut top, line),
                    None => self.fault(Some(&at), told(&at), "a brace that closes nothing".into()),
                }
                continue;
            }
            let opens = tokens.pop_if(|last| brace(last, "{")).is_some();
            let words = tokens.into_iter().map(|token| Word {
                text: self.filled(&token.text, &source.span(token.at.clone())),
                at: source.span(token.at),
            });
            let line = Line { words: words.collect(), at, body: opens.then(Vec::new) };
            if !opens {
                into(&mut open, &mut top, line);
            } else if open.len() < DEPTH_MAX {
                open.push(line);
            } else {
                self.fault(Some(&line.at), told(&line.at), "blocks within blocks, too many to follow".into());
                break;
            }
        }
        while let Some(line) = open.pop() {
            self.fault(Some(&line.at), told(&line.at), "a block that is not closed".into());
            into(&mut open, &mut top, line);
        }
        top
    }

    /// `{$NAME}` and `{$NAME:default}`, from the environment.
    fn filled(&mut self, text: &str, at: &Span) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, behind)) = rest.split_once("{$") {
            let Some((inner, after)) = behind.split_once('}') else { break };
            out.push_str(before);
            if out.len() > TEXT_MAX || !self.allowance.line(out.len()) {
                return out;
            }
            let (name, default) = inner.split_once(':').map_or((inner, None), |(name, is)| (name, Some(is)));
            match self.environment.get(name).map(String::as_str).or(default) {
                Some(value) => out.push_str(value),
                None => {
                    self.fault(
                        Some(at),
                        format!("{{${name}}} in {}", told(at)),
                        "not in a known environment".into(),
                    );
                    out.push_str(&format!("{{{name}}}"));
                }
            }
            rest = after;
        }
        out + rest
    }

    /// The same with what is imported in place of the imports; snippets are kept aside.
    fn imported(&mut self, parsed: Vec<Line>, path: &Path, depth: usize) -> Vec<Line> {
        let mut out = Vec::new();
        for mut line in parsed {
            if depth > DEPTH_MAX || !self.takes(&line) {
                let why = if depth > DEPTH_MAX { "too deep to follow" } else { "too much to read" };
                self.fault(Some(&line.at), told(&line.at), why.into());
                return out;
            }
            let first = line.word(0).to_owned();
            let snippet = first.strip_prefix('(').and_then(|name| name.strip_suffix(')'));
            if let (Some(name), Some(body)) = (snippet, &mut line.body) {
                self.snippets.insert(name.to_owned(), Rc::new(std::mem::take(body)));
            } else if first == "import" && line.words.len() > 1 {
                out.extend(self.import(&line, path, depth));
            } else {
                if let Some(body) = line.body.take() {
                    line.body = Some(self.imported(body, path, depth + 1));
                }
                out.push(line);
            }
        }
        out
    }

    fn import(&mut self, line: &Line, path: &Path, depth: usize) -> Vec<Line> {
        let named = line.word(1);
        if let Some(snippet) = self.snippets.get(named).cloned() {
            let given: Vec<&str> = line.words.iter().skip(2).map(|word| word.text.as_str()).collect();
            let filled = self.filled_in(&snippet, &given, line.body());
            return self.imported(filled, path, depth + 1);
        }
        let pattern = path.parent().unwrap_or(Path::new("/")).join(named);
        match glob::expand(self.machine, &pattern) {
            Ok(files) => files.iter().flat_map(|file| self.file(file, Some(&line.at))).collect(),
            Err(no) => {
                self.fault(Some(&line.at), no.what, no.why.to_string());
                Vec::new()
            }
        }
    }

    /// A snippet's lines with what it was given; `{block}` stands for the block behind `import`.
    fn filled_in(&mut self, body: &[Line], given: &[&str], block: &[Line]) -> Vec<Line> {
        let mut out = Vec::new();
        for line in body {
            if line.words.len() == 1 && line.word(0) == "{block}" {
                out.extend(block.iter().filter(|line| self.takes_all(line)).cloned());
                continue;
            }
            let words = with(&line.words, given);
            let filled = Line { words, at: line.at.clone(), body: None };
            if !self.takes(&filled) {
                self.fault(Some(&line.at), told(&line.at), "too much to read".into());
                break;
            }
            let body = line.body.as_ref().map(|body| self.filled_in(body, given, block));
            out.push(Line { body, ..filled });
        }
        out
    }

    /// Whether there is anything left for a line.
    fn takes(&mut self, line: &Line) -> bool {
        let bytes = line.words.iter().map(|word| word.text.len()).sum();
        self.allowance.words(line.words.len(), bytes)
    }

    /// Whether there is anything left for a line and all in it.
    fn takes_all(&mut self, line: &Line) -> bool {
        self.takes(line) && line.body().iter().all(|line| self.takes_all(line))
    }

    /// Tells what could not be made sense of, once.
    pub fn fault(&mut self, at: Option<&Span>, what: String, why: String) {
        let blind = Blind { what, why, at: at.cloned() };
        if self.blind.len() < 100 && !self.blind.contains(&blind) {
            self.blind.push(blind);
        }
    }
}

/// A snippet's words with what it was given: `{args[0]}`, and `{args.0}` as it was called before 2.7.
fn with(line: &[Word], given: &[&str]) -> Vec<Word> {
    let fill = |word: &Word| {
        let mut text = word.text.clone();
        for (number, value) in
            given.iter().enumerate().take(ARGS_MAX).take_while(|_| word.text.contains("{args"))
        {
            for name in [format!("{{args[{number}]}}"), format!("{{args.{number}}}")] {
                // What is put in may ask for more: somebody may have written what doubles for ever.
                if text.len() + text.matches(&name).count() * value.len() <= TEXT_MAX {
                    text = text.replace(&name, value);
                }
            }
        }
        let at = word.at.clone();
        Word { text, at }
    };
    let all = |word: &Word| matches!(word.text.as_str(), "{args[:]}" | "{args.*}");
    let mut words = Vec::new();
    for word in line {
        if all(word) && words.len() + given.len() < TEXT_MAX {
            words.extend(given.iter().map(|text| Word { text: (*text).to_owned(), at: word.at.clone() }));
        } else {
            words.push(fill(word));
        }
    }
    words
}

fn told(at: &Span) -> String {
    format!("{}:{}", at.file.display(), at.line)
}
