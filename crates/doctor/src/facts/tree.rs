//! Tree: what stands in a release, as far as that matters to PHP; bounded.

use std::path::{Path, PathBuf};

use crate::finding::Blind;
use crate::machine::{Kind, Machine, NoLook, Why};
use crate::source::{Source, Sources, Span};

/// A release's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// Its canonical path.
    pub root: PathBuf,
    /// PHP's files, by their paths in it.
    pub php: Vec<File>,
    /// Links in it that lead elsewhere, by their paths in it, with their texts.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Its longest path, in bytes, with its root.
    pub longest: PathBuf,
    /// Where code or configuration names the link by its path.
    pub names_link: Vec<Span>,
    /// Where code compiles into opcache.
    pub compiles: Vec<Span>,
    /// Where code empties opcache.
    pub resets: Vec<Span>,
    /// Whether code asks if a script is cached.
    pub asks_cached: bool,
    /// The framework, if it is known.
    pub framework: Option<&'static str>,
    /// What was left out.
    pub blind: Vec<Blind>,
}

/// A file of PHP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the release.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// Files of one release that are looked at; what is beyond is said to be left out.
const FILES_MAX: usize = 30_000;

/// Files whose text is searched, and bytes of each and of all of them.
const SEARCHED_MAX: usize = 4_000;
const TEXT_MAX: u64 = 256 << 10;
const TEXTS_MAX: u64 = 24 << 20;

/// Below these is other people's code: it is counted, not searched. Caches are searched: paths are baked into them.
const FOREIGN: [&str; 4] = ["vendor", "node_modules", "wp-includes", "wp-admin"];

/// Not PHP's.
const SKIPPED: [&str; 4] = [".git", "node_modules", ".svn", ".hg"];

/// What is searched for paths.
const TEXTS: [&str; 9] = ["php", "yml", "yaml", "json", "ini", "env", "xml", "neon", "inc"];

/// What tells a framework: the first that is there.
const FRAMEWORKS: [(&str, &str); 7] = [
    ("artisan", "Laravel"),
    ("bin/console", "Symfony"),
    ("wp-includes/version.php", "WordPress"),
    ("core/lib/Drupal.php", "Drupal"),
    ("web/core/lib/Drupal.php", "Drupal"),
    ("occ", "Nextcloud"),
    ("includes/Setup.php", "MediaWiki"),
];

impl Tree {
    /// Looks at a release; `link` is the link by which it is live.
    pub fn look(machine: &dyn Machine, sources: &mut Sources, root: &Path, link: &Path) -> Tree {
        let mut tree = Tree { root: root.to_owned(), longest: root.to_owned(), ..Tree::default() };
        let texts = tree.walk(machine);
        tree.search(machine, sources, link, texts);
        let known = FRAMEWORKS.iter().find(|(file, _)| machine.stat(&root.join(file)).is_ok());
        tree.framework = known.map(|(_, name)| *name);
        tree
    }

    /// Walks it; gives the files whose text is to be searched.
    fn walk(&mut self, machine: &dyn Machine) -> Vec<(PathBuf, u64)> {
        let (mut dirs, mut texts, mut seen) = (vec![PathBuf::new()], Vec::new(), 0);
        while let Some(dir) = dirs.pop() {
            let names = match machine.entries(&self.root.join(&dir)) {
                Ok(names) => names,
                Err(absent) if absent.is_absent() => continue,
                Err(why) => {
                    self.blind.push(why.into());
                    continue;
                }
            };
            for name in names {
                seen += 1;
                if seen > FILES_MAX {
                    self.left_out(format!("only {FILES_MAX} files of it were looked at"));
                    return texts;
                }
                let path = dir.join(&name);
                let whole = self.root.join(&path);
                // Gone meanwhile: caches come and go.
                let Ok(stat) = machine.stat(&whole) else { continue };
                if whole.as_os_str().len() > self.longest.as_os_str().len() {
                    self.longest = whole.clone();
                }
                match stat.kind {
                    Kind::Directory if SKIPPED.iter().any(|skipped| name == *skipped) => {}
                    Kind::Directory => dirs.push(path),
                    Kind::Link => self.links.extend(machine.link(&whole).ok().map(|to| (path, to))),
                    Kind::File => {
                        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
                        let named = TEXTS.contains(&ending) || name.to_string_lossy().starts_with(".env");
                        let foreign = path
                            .components()
                            .any(|part| FOREIGN.iter().any(|name| part.as_os_str() == *name));
                        if named && !foreign && stat.size <= TEXT_MAX {
                            texts.push((path.clone(), stat.size));
                        }
                        if matches!(ending, "php" | "phtml" | "inc") {
                            self.php.push(File { path, size: stat.size, mtime: stat.mtime });
                        }
                    }
                    Kind::Socket | Kind::Other => {}
                }
            }
        }
        texts
    }

    fn search(
        &mut self,
        machine: &dyn Machine,
        sources: &mut Sources,
        link: &Path,
        texts: Vec<(PathBuf, u64)>,
    ) {
        let link = link.display().to_string();
        let (mut count, mut bytes) = (0, 0);
        for (path, size) in texts {
            (count, bytes) = (count + 1, bytes + size);
            if count > SEARCHED_MAX || bytes > TEXTS_MAX {
                return self.left_out(format!("the text of only {} files of it was searched", count - 1));
            }
            let whole = self.root.join(&path);
            // Binary files that are called so, and files that went meanwhile, name no path.
            let Ok(text) = machine
                .read(&whole)
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| NoLook::at(&whole, Why::NotText)))
            else {
                continue;
            };
            if !sources.has_room_for(text.len()) {
                return self.left_out(format!("the text of only {} files of it was searched", count - 1));
            }
            self.asks_cached |= text.contains("opcache_is_script_cached");
            let wanted = [link.as_str(), "opcache_compile_file", "opcache_reset"];
            if !wanted.iter().any(|word| text.contains(word)) {
                continue;
            }
            let source = Source::new(&whole, text);
            self.names_link
                .extend(places(&source, &link).filter(|(_, after)| ends(*after)).map(|(at, _)| at));
            self.compiles.extend(places(&source, "opcache_compile_file(").map(|(at, _)| at));
            self.resets.extend(places(&source, "opcache_reset(").map(|(at, _)| at));
            sources.add(source);
        }
    }

    fn left_out(&mut self, why: String) {
        self.blind.push(Blind { what: self.root.display().to_string(), why, at: None });
    }
}

/// Where a word stands in code, with the byte behind it; lines that are comments are none.
fn places<'a>(source: &'a Source, word: &'a str) -> impl Iterator<Item = (Span, Option<u8>)> + 'a {
    source.text.match_indices(word).filter_map(move |(at, _)| {
        let span = source.span(at..at + word.len());
        let line = span.text.trim_start();
        let comment = ["//", "#", "*", "/*", ";"].iter().any(|begin| line.starts_with(begin));
        (!comment).then(|| (span, source.text.as_bytes().get(at + word.len()).copied()))
    })
}

/// Whether a path ends before this byte, or goes on below it: `/srv/shop/current2` is another.
pub fn ends(after: Option<u8>) -> bool {
    after.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-' | b'.'))
}
