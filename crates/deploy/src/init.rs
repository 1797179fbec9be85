//! Init: looks at a project and writes down, with its reasons, how to deploy and serve it.

mod text;

use std::path::{Path, PathBuf};

use crate::preset::{self, Preset};

pub use text::{Place, write};

/// What a project was taken for.
#[derive(Clone, Debug)]
pub struct Guess {
    /// Where it was looked at; `None`: there was nothing to look at.
    pub tree: Option<PathBuf>,
    /// What is written for it.
    pub preset: Preset,
    /// How sure that is.
    pub sure: Sure,
    /// What of it is served; `""`: all.
    pub docroot: String,
}

/// How sure a guess is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sure {
    /// It was recognised.
    Recognised {
        /// By what.
        by: Vec<String>,
    },
    /// It looks like several kinds; the first was taken.
    Doubtful {
        /// By what.
        by: Vec<String>,
        /// What else it looks like.
        also: Vec<String>,
    },
    /// Nothing was recognised; plain PHP is written.
    Unknown,
}

/// Looks at these trees and takes the first that is recognised, else the first that is there and not empty. `None`
/// only if the presets themselves are broken.
pub fn guess(trees: &[PathBuf]) -> Option<Guess> {
    let guesses: Vec<Guess> =
        trees.iter().filter(|tree| is_filled(tree)).filter_map(|tree| guess_at(tree)).collect();
    let known = guesses.iter().find(|guess| guess.sure != Sure::Unknown).or(guesses.first());
    match known {
        Some(guess) => Some(guess.clone()),
        None => {
            let preset = preset::plain_php()?;
            Some(Guess { tree: None, preset, sure: Sure::Unknown, docroot: String::new() })
        }
    }
}

/// Whether there is anything in it beside what makes it an app's root.
fn is_filled(tree: &Path) -> bool {
    let ours = ["cutover.toml", ".cutover", "releases", "shared", "current"];
    let theirs = |entry: std::fs::DirEntry| !ours.iter().any(|name| entry.file_name() == *name);
    std::fs::read_dir(tree).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(theirs)))
}

fn guess_at(tree: &Path) -> Option<Guess> {
    let mut seen: Vec<(Preset, Vec<String>)> = preset::all()
        .into_iter()
        .filter_map(|preset| preset.recognise(tree).map(|found| (preset, found.by)))
        .collect();
    let covered: Vec<String> = seen.iter().flat_map(|(preset, _)| preset.covers.clone()).collect();
    seen.retain(|(preset, _)| !covered.contains(&preset.name));
    let best = seen.iter().map(|(preset, _)| preset.rank).min();
    // What is more general than the best guess is part of it: a Laravel project has an index.php too.
    seen.retain(|(preset, _)| Some(preset.rank) == best);
    let mut seen = seen.into_iter();
    let (preset, sure) = match seen.next() {
        None => (preset::plain_php()?, Sure::Unknown),
        Some((preset, by)) => {
            let also: Vec<String> = seen.map(|(preset, _)| preset.name).collect();
            let sure = if also.is_empty() { Sure::Recognised { by } } else { Sure::Doubtful { by, also } };
            (preset, sure)
        }
    };
    let docroot = match &sure {
        Sure::Unknown => String::new(),
        Sure::Recognised { .. } | Sure::Doubtful { .. } => preset.docroot_in(tree),
    };
    Some(Guess { tree: Some(tree.to_owned()), preset, sure, docroot })
}

impl Guess {
    /// What it was taken for and why, in a sentence.
    pub fn told(&self) -> String {
        let name = &self.preset.name;
        match (&self.sure, &self.tree) {
            (Sure::Recognised { by }, _) => format!("this looks like {name}: {}", list(by)),
            (Sure::Doubtful { by, also }, _) => {
                format!("this looks like {name} ({}), but also like {}: check the file", list(by), list(also))
            }
            (Sure::Unknown, None) => format!("there is nothing to look at yet, so it was taken for {name}"),
            (Sure::Unknown, Some(_)) => {
                format!("this looks like nothing that is known, so it was taken for {name}: check the file")
            }
        }
    }
}

fn list(words: &[String]) -> String {
    words.join(", ")
}
