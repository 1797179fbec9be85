//! Expand: an Apache configuration as the server reads it: includes, variables, conditions and macros resolved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::condition;
use super::directive::{Directive, Word};
use super::modules::{Module, Modules};
use super::syntax::{self, Node, place, words};
use crate::facts::allowance::Allowance;
use crate::facts::glob;
use crate::finding::Blind;
use crate::machine::{Kind, Machine};
use crate::source::{Source, Sources, Span};

/// Files that include one another, as deep as Apache follows them (`AP_MAX_INCLUDE_DEPTH`).
const INCLUDES_MAX: usize = 20;
/// Sections, includes and macros within one another.
const DEPTH_MAX: usize = 60;
/// Bytes of a directive; what is put in may have doubled itself.
const TEXT_MAX: usize = 64 << 10;
/// Parameters of a macro.
const PARAMETERS_MAX: usize = 100;
/// Faults that are told of one configuration.
const FAULTS_MAX: usize = 100;

/// Lines that are written once, with parameters.
pub struct Macro {
    parameters: Vec<String>,
    body: Vec<Node>,
}

/// Reads a configuration in the order in which Apache does, since what is defined above decides what is read below.
pub struct Expander<'a> {
    /// What is asked.
    pub machine: &'a dyn Machine,
    /// The files that were read.
    pub sources: &'a mut Sources,
    /// `ServerRoot`.
    pub root: PathBuf,
    /// What `Define` and `-D` set.
    pub defines: BTreeMap<String, String>,
    /// The environment that the server is started with.
    pub environment: BTreeMap<String, String>,
    /// The modules that are loaded.
    pub modules: Modules,
    /// The server's version, as far as it is known.
    pub version: Vec<u32>,
    /// The files that were included, each with where that is said.
    pub included: Vec<(PathBuf, Span)>,
    /// What could not be made sense of.
    pub blind: Vec<Blind>,
    /// Macros by their name in lower case.
    pub macros: BTreeMap<String, Rc<Macro>>,
    /// How much may still be read.
    pub allowance: Allowance,
    /// The files that are being read.
    pub open: Vec<PathBuf>,
}

impl Expander<'_> {
    /// Reads a file; what it says is added.
    pub fn file(&mut self, path: &Path, named: Option<&Span>, depth: usize, out: &mut Vec<Directive>) {
        if self.open.iter().any(|open| open == path) {
            return self.fault(named, path.display().to_string(), "includes itself".into());
        }
        if self.open.len() > INCLUDES_MAX {
            return self.fault(named, path.display().to_string(), "included too deep to follow".into());
        }
        let known = self.sources.get(path).cloned();
        let source: Source = match known.map_or_else(|| self.sources.read(self.machine, path), Ok) {
            Ok(source) => source,
            Err(no) => return self.fault(named, no.what, no.why.to_string()),
        };
        let (nodes, faults) = syntax::parse(&source);
        for fault in faults {
            self.push(fault);
        }
        if let Some(named) = named {
            self.included.push((path.to_owned(), named.clone()));
        }
        self.open.push(path.to_owned());
        self.nodes(&nodes, &source, depth, out);
        self.open.pop();
    }

    fn nodes(&mut self, nodes: &[Node], source: &Source, depth: usize, out: &mut Vec<Directive>) {
        for node in nodes {
            if depth > DEPTH_MAX || !self.allowance.is_left() {
                let why = if depth > DEPTH_MAX { "too deep to follow" } else { "too much to read" };
                return self.fault(Some(&node.at), place(&node.at), why.into());
            }
            self.node(node, source, depth, out);
        }
    }

    fn node(&mut self, node: &Node, source: &Source, depth: usize, out: &mut Vec<Directive>) {
        let directive = self.directive(node, source);
        let body = node.body.as_deref().unwrap_or_default();
        match directive.name.as_str() {
            "include" | "includeoptional" if node.body.is_none() => self.include(&directive, depth, out),
            "define" => {
                let value = directive.words.get(1).map_or(String::new(), |word| word.text.clone());
                self.defines.insert(directive.word(0).to_owned(), value);
            }
            "undefine" => {
                self.defines.remove(directive.word(0));
            }
            "serverroot" => {
                self.root = PathBuf::from(directive.word(0));
                out.push(directive);
            }
            "loadmodule" => {
                let file = self.root.join(directive.word(1));
                self.modules.load(Module {
                    id: directive.word(0).to_owned(),
                    file,
                    at: directive.at.clone(),
                });
                out.push(directive);
            }
            "macro" if node.body.is_some() => {
                let mut names = directive.words.iter().map(|word| word.text.clone());
                let name = names.next().unwrap_or_default().to_lowercase();
                let parameters = names.collect();
                self.macros.insert(name, Rc::new(Macro { parameters, body: body.to_vec() }));
            }
            "use" => self.r#use(&directive, source, depth, out),
            _ => match condition::holds(&directive, self) {
                // A section that is read or left out as a whole leaves no trace.
                Some(Ok(true)) => self.nodes(body, source, depth + 1, out),
                Some(Ok(false)) => {}
                Some(Err(why)) => {
                    self.fault(Some(&directive.at), place(&directive.at), why);
                    self.nodes(body, source, depth + 1, out);
                }
                None => {
                    let mut directive = directive;
                    if node.body.is_some() {
                        let mut inner = Vec::new();
                        self.nodes(body, source, depth + 1, &mut inner);
                        directive.body = Some(inner);
                    }
                    out.push(directive);
                }
            },
        }
    }

    /// A line with its variables resolved and its words split.
    fn directive(&mut self, node: &Node, source: &Source) -> Directive {
        let rest = self.resolved(&node.rest, &node.at);
        let words = words(&rest);
        // What is not left for it is not left for the next one either, which is where that is told.
        // Its text is kept several times: in its words, in the names of a site, in what a site says.
        let _enough = self.allowance.words(words.len(), rest.len() * 6);
        // Words are where they are written only if nothing was put in.
        let begin = node.rest_at.filter(|_| rest == node.rest);
        let word = |(text, range): syntax::Piece| Word {
            text,
            at: begin
                .map_or_else(|| node.at.clone(), |begin| source.span(begin + range.start..begin + range.end)),
        };
        Directive {
            name: node.name.to_lowercase(),
            words: words.into_iter().map(word).collect(),
            at: node.at.clone(),
            body: None,
        }
    }

    /// `${NAME}`: what was defined, or the environment; left alone where nobody knows it, as Apache does.
    fn resolved(&mut self, text: &str, at: &Span) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((name, after)) = behind.split_once('}') else { break };
            out.push_str(before);
            if out.len() > TEXT_MAX || !self.allowance.line(out.len()) {
                self.fault(Some(at), place(at), "too long with its variables in their places".into());
                return out;
            }
            // `${name:default}` and expressions belong to maps of mod_rewrite, not to the configuration.
            match self.defines.get(name).or_else(|| self.environment.get(name)) {
                Some(value) => out.push_str(value),
                None => {
                    if !name.contains([':', '{', '$', '%']) {
                        self.fault(
                            Some(at),
                            format!("${{{name}}} in {}", place(at)),
                            "defined nowhere".into(),
                        );
                    }
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = after;
        }
        out + rest
    }

    fn include(&mut self, directive: &Directive, depth: usize, out: &mut Vec<Directive>) {
        let at = &directive.at;
        let pattern = super::directive::below(&self.root, directive.word(0));
        let files = match glob::expand(self.machine, &pattern) {
            Ok(files) => files,
            Err(no) => return self.fault(Some(at), no.what, no.why.to_string()),
        };
        let optional = directive.name == "includeoptional";
        if files.is_empty() && !optional {
            let why = "names no file, and Apache does not start without one";
            return self.fault(Some(at), pattern.display().to_string(), why.into());
        }
        for file in files {
            // A directory stands for all files below it.
            let dir = self.machine.entries(&file).is_ok();
            let absent = !dir && self.machine.stat(&file).is_err_and(|no| no.is_absent());
            let inside = if dir { glob::below(self.machine, &file) } else { Ok(vec![file]) };
            match inside {
                Ok(_) if absent && optional => {}
                Ok(inside) => inside.iter().for_each(|file| self.file(file, Some(at), depth + 1, out)),
                Err(no) => self.fault(Some(at), no.what, no.why.to_string()),
            }
        }
    }

    fn r#use(&mut self, directive: &Directive, source: &Source, depth: usize, out: &mut Vec<Directive>) {
        let name = directive.word(0).to_lowercase();
        let Some(defined) = self.macros.get(&name).cloned() else {
            let what = format!("Use {} in {}", directive.word(0), place(&directive.at));
            return self.fault(Some(&directive.at), what, "no macro of this name is known".into());
        };
        let mut pairs: Vec<(&str, &str)> = defined
            .parameters
            .iter()
            .zip(directive.words.iter().skip(1))
            .map(|(name, word)| (name.as_str(), word.text.as_str()))
            .collect();
        if pairs.len() > PARAMETERS_MAX {
            let why = format!("more than {PARAMETERS_MAX} parameters");
            return self.fault(Some(&directive.at), place(&directive.at), why);
        }
        // The longest first, so that `$host` is not taken for `$hostname`.
        pairs.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let body = self.filled(&defined.body, &pairs);
        self.nodes(&body, source, depth + 1, out);
    }

    /// A macro's lines with its parameters filled in.
    fn filled(&mut self, nodes: &[Node], pairs: &[(&str, &str)]) -> Vec<Node> {
        let mut out = Vec::new();
        for node in nodes {
            let (Some(name), Some(rest)) = (fill(&node.name, pairs), fill(&node.rest, pairs)) else {
                let why = "too long with its parameters in their places";
                self.fault(Some(&node.at), place(&node.at), why.into());
                continue;
            };
            if !self.allowance.line(name.len() + rest.len()) {
                self.fault(Some(&node.at), place(&node.at), "too much to read".into());
                break;
            }
            out.push(Node {
                name,
                rest_at: node.rest_at.filter(|_| rest == node.rest),
                rest,
                at: node.at.clone(),
                body: node.body.as_ref().map(|body| self.filled(body, pairs)),
            });
        }
        out
    }

    fn fault(&mut self, at: Option<&Span>, what: String, why: String) {
        self.push(Blind { what, why, at: at.cloned() });
    }

    fn push(&mut self, blind: Blind) {
        if self.blind.len() < FAULTS_MAX && !self.blind.contains(&blind) {
            self.blind.push(blind);
        }
    }

    /// Whether a file is there, for `<IfFile>`.
    pub fn is_file(&self, path: &str) -> bool {
        let path = super::directive::below(&self.root, path);
        self.machine.stat(&path).is_ok_and(|stat| stat.kind != Kind::Directory)
    }
}

/// A text with a macro's parameters filled in. What is put in may hold the next parameter: somebody may have written what
/// doubles for ever.
fn fill(text: &str, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().filter(|(name, _)| !name.is_empty()).try_fold(text.to_owned(), |text, (name, value)| {
        let times = text.matches(name).count();
        (text.len() + times * value.len() <= TEXT_MAX).then(|| text.replace(name, value))
    })
}
