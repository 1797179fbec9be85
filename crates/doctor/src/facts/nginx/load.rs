//! Load: the main file with its includes in their places, as nginx reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::parse::{Block, Directive, Via, parse};
use crate::facts::glob;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::{Source, Sources, Span};

/// Includes in includes, at most.
const DEPTH_MAX: usize = 40;

/// Directives that all includes together may make, and words: some files that include each other twice make any number.
const DIRECTIVES_MAX: usize = 200_000;
const WORDS_MAX: usize = 1_000_000;

/// The configuration as one tree.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// What stands at the top.
    pub top: Vec<Directive>,
    /// Every file that was read, and by how many places.
    pub files: BTreeMap<Arc<Path>, usize>,
    /// What could not be read: the rest holds, but for what might stand there.
    pub blind: Vec<Blind>,
}

/// Why there is no tree.
#[derive(Debug, Clone)]
pub struct Broken(pub Blind);

/// Reads the main file, and what it includes.
pub fn load(machine: &dyn Machine, sources: &mut Sources, conf: &Path) -> Result<Tree, Broken> {
    let dir = conf.parent().unwrap_or(Path::new("/")).to_owned();
    let mut loader = Loader {
        machine,
        sources,
        dir,
        parsed: BTreeMap::new(),
        stack: Vec::new(),
        left: DIRECTIVES_MAX,
        words: WORDS_MAX,
        tree: Tree::default(),
    };
    let main = loader.file(conf, None)?;
    loader.stack.push(conf.to_owned());
    let top = loader.expanded(&main, None)?;
    Ok(Tree { top, ..loader.tree })
}

struct Loader<'m> {
    machine: &'m dyn Machine,
    sources: &'m mut Sources,
    /// What relative includes are relative to (`ngx_conf_full_name`).
    dir: PathBuf,
    parsed: BTreeMap<PathBuf, Rc<Vec<Directive>>>,
    stack: Vec<PathBuf>,
    left: usize,
    words: usize,
    tree: Tree,
}

impl Loader<'_> {
    /// A file's own directives.
    fn file(&mut self, path: &Path, named: Option<&Span>) -> Result<Rc<Vec<Directive>>, Broken> {
        if let Some(parsed) = self.parsed.get(path) {
            if let Some(times) = self.tree.files.get_mut(path) {
                *times += 1;
            }
            return Ok(Rc::clone(parsed));
        }
        let source = match self.sources.read(self.machine, path) {
            Ok(source) => source,
            Err(why) => {
                let blind = Blind { at: named.cloned(), ..why.into() };
                if named.is_none() {
                    return Err(Broken(blind));
                }
                // nginx would not start; but it may have started while the file was there, or as another user.
                self.tree.blind.push(blind);
                return Ok(Rc::default());
            }
        };
        let parsed = parse(&source).map_err(|fault| Broken(broken(&source, fault.why, Some(fault.at))))?;
        let parsed = Rc::new(parsed);
        self.tree.files.insert(Arc::clone(&source.path), 1);
        self.parsed.insert(path.to_owned(), Rc::clone(&parsed));
        Ok(parsed)
    }

    fn expanded(
        &mut self,
        directives: &[Directive],
        via: Option<&Arc<Via>>,
    ) -> Result<Vec<Directive>, Broken> {
        let mut all = Vec::with_capacity(directives.len());
        for directive in directives {
            if directive.is("include") && directive.args.len() == 1 && directive.block.is_none() {
                self.include(directive, via, &mut all)?;
                continue;
            }
            self.left = self.left.checked_sub(1).ok_or_else(|| too_much(directive.at()))?;
            let words = self.words.checked_sub(directive.args.len());
            self.words = words.ok_or_else(|| too_much(directive.at()))?;
            let block = match &directive.block {
                Some(block) => {
                    Some(Block { inner: self.expanded(&block.inner, via)?, close: block.close.clone() })
                }
                None => None,
            };
            all.push(Directive {
                name: directive.name.clone(),
                args: directive.args.clone(),
                end: directive.end.clone(),
                block,
                via: via.cloned(),
            });
        }
        Ok(all)
    }

    fn include(
        &mut self,
        include: &Directive,
        via: Option<&Arc<Via>>,
        all: &mut Vec<Directive>,
    ) -> Result<(), Broken> {
        let at = include.at_arg(0);
        let path = self.dir.join(include.arg(0));
        let paths = if glob::is_pattern(include.arg(0)) {
            match glob::expand(self.machine, &path) {
                Ok(paths) => paths,
                Err(why) => {
                    self.tree.blind.push(Blind { at: Some(at.clone()), ..why.into() });
                    return Ok(());
                }
            }
        } else {
            vec![path]
        };
        let via = Arc::new(Via { at: at.clone(), up: via.cloned() });
        for path in paths {
            let circle = self.stack.contains(&path);
            if circle || self.stack.len() >= DEPTH_MAX {
                let why = if circle { "is included by itself" } else { "is too many includes deep" };
                return Err(Broken(Blind {
                    what: path.display().to_string(),
                    why: why.into(),
                    at: Some(at.clone()),
                }));
            }
            // A pattern that matches an empty file, again and again, makes no directive.
            self.left = self.left.checked_sub(1).ok_or_else(|| too_much(at))?;
            let directives = self.file(&path, Some(at))?;
            self.stack.push(path);
            let inner = self.expanded(&directives, Some(&via))?;
            self.stack.pop();
            all.extend(inner);
        }
        Ok(())
    }
}

fn broken(source: &Source, why: String, at: Option<Span>) -> Blind {
    Blind { what: source.path.display().to_string(), why, at }
}

fn too_much(at: &Span) -> Broken {
    let why = format!("the includes make more than {DIRECTIVES_MAX} directives or {WORDS_MAX} words");
    Broken(Blind { what: at.file.display().to_string(), why, at: Some(at.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recorded;

    fn loaded(files: &[(&str, &str)]) -> Result<Tree, Broken> {
        let mut machine = Recorded::default();
        for (path, text) in files {
            machine.file(Path::new(path), text.as_bytes().to_vec());
        }
        load(&machine, &mut Sources::default(), Path::new("/etc/nginx/nginx.conf"))
    }

    #[test]
    fn includes_stand_where_they_are_included() {
        let tree = loaded(&[
            ("/etc/nginx/nginx.conf", "http { a; include conf.d/*.conf; include none/*.conf; b; }"),
            ("/etc/nginx/conf.d/1.conf", "one { include /srv/two; }"),
            ("/etc/nginx/conf.d/2.conf", "include /srv/two;"),
            ("/srv/two", "two;"),
        ])
        .unwrap();
        let http = tree.top[0].inner();
        let names: Vec<&str> = http.iter().map(|directive| &*directive.name.text).collect();
        assert_eq!(names, ["a", "one", "two", "b"]);
        let via = http[2].via.as_ref().unwrap();
        assert_eq!(via.at.file.to_str(), Some("/etc/nginx/conf.d/2.conf"));
        assert_eq!(via.up.as_ref().unwrap().at.file.to_str(), Some("/etc/nginx/nginx.conf"));
        assert_eq!(tree.files[Path::new("/srv/two")], 2);
    }

    #[test]
    fn circles_bombs_and_missing_files_are_told_and_end() {
        let Broken(blind) =
            loaded(&[("/etc/nginx/nginx.conf", "include a;"), ("/etc/nginx/a", "include nginx.conf;")])
                .unwrap_err();
        assert!(blind.why.contains("included by itself"), "{blind:?}");

        let tree = loaded(&[("/etc/nginx/nginx.conf", "include a; b;")]).unwrap();
        assert_eq!((tree.top.len(), tree.blind[0].why.as_str()), (1, "not there"));

        let files: Vec<(String, String)> = (0..30)
            .map(|n| (format!("/etc/nginx/{n}"), format!("include {0}; include {0};", n + 1)))
            .chain([
                ("/etc/nginx/nginx.conf".into(), "include 0;".into()),
                ("/etc/nginx/30".into(), String::new()),
            ])
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        assert!(loaded(&files).unwrap_err().0.why.contains("more than"));
    }
}
