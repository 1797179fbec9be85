//! Files: php.ini and the files that are read with it, in PHP's order: what comes later wins.

use std::path::{Path, PathBuf};

use crate::facts::ini::{Entry, Ini, is_place};
use crate::finding::Blind;
use crate::machine::{Machine, NoLook, Why};
use crate::source::{Sources, Span};

/// The files that set up one PHP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    /// In the order in which PHP reads them.
    pub files: Vec<Ini>,
    /// Those that could not be read.
    pub blind: Vec<Blind>,
}

impl Files {
    /// Those of a directory as Debian lays it out: `php.ini` and `conf.d/*.ini`.
    pub fn beside(machine: &dyn Machine, sources: &mut Sources, dir: &Path) -> Files {
        let mut paths = vec![dir.join("php.ini")];
        let mut blind = Vec::new();
        let scanned = dir.join("conf.d");
        match machine.entries(&scanned) {
            Ok(names) => {
                let ini =
                    names.iter().filter(|name| Path::new(name).extension().is_some_and(|ext| ext == "ini"));
                paths.extend(ini.map(|name| scanned.join(name)));
            }
            Err(absent) if absent.is_absent() => {}
            Err(why) => blind.push(why.into()),
        }
        let mut files = Files::read(machine, sources, &paths);
        files.blind.extend(blind);
        files
    }

    /// These files; one that is not there says nothing.
    pub fn read(machine: &dyn Machine, sources: &mut Sources, paths: &[PathBuf]) -> Files {
        let mut files = Files::default();
        for path in paths {
            match sources.read(machine, path) {
                Ok(source) => {
                    let ini = Ini::parse(&source);
                    if ini.cut {
                        files.blind.push(NoLook::at(path, Why::TooMuch).into());
                    }
                    files.files.push(ini);
                }
                Err(absent) if absent.is_absent() => {}
                Err(why) => files.blind.push(why.into()),
            }
        }
        files
    }

    /// The line that sets a key: the last one. What stands below `[PATH=…]` or `[HOST=…]` is not for everybody.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().rfind(|entry| entry.key == key)
    }

    /// Whether an extension is loaded here: `extension=apcu.so`, `zend_extension=/usr/lib/php/opcache.so`.
    pub fn loads(&self, extension: &str) -> bool {
        let loads = |entry: &Entry| {
            let file = Path::new(&entry.value).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
            matches!(entry.key.as_str(), "extension" | "zend_extension")
                && file.strip_prefix("php_").unwrap_or(file) == extension
        };
        self.entries().any(loads)
    }

    /// Below which line another may be written, so that it wins: the last of the file that is read last and has to do
    /// with the key's area, else of php.ini.
    pub fn home(&self, key: &str) -> Option<Span> {
        let area = key.split_once('.').map(|(area, _)| format!("{area}."));
        let near = |entry: &&Entry| area.as_ref().is_some_and(|area| entry.key.starts_with(area.as_str()));
        let near = self.entries().rfind(near).map(|entry| entry.at.clone());
        near.or_else(|| self.files.first().and_then(|ini| ini.last.clone()))
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.files.iter().flat_map(|ini| &ini.entries).filter(|entry| !is_place(&entry.section))
    }
}
