//! Live: a site as it is seen from outside, where its configuration cannot be read: a few harmless requests, and what
//! can and cannot be concluded from them.
//!
//! ```text
//!   the page, twice ──> a file that it names ──> a path that is not there ──> the probe, if it is allowed
//! ```
//!
//! From outside one sees answers, not how they came about: most of what the checks look for cannot be seen so, and that
//! is said. Only a probe, a script that is put into the site's directory for a moment, tells which paths PHP is given.

mod ask;
mod etag;
mod judge;
mod page;
mod probe;

use std::path::Path;

pub use ask::{Answer, NoAnswer};

use crate::finding::Sure;

/// What was seen of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The page that was asked for.
    pub url: String,
    /// What was seen, and what it means.
    pub seen: Vec<Seen>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
    /// Requests that were made.
    pub requests: usize,
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The check that looks for the same in configurations; `None`: it is as it should be, or only good to know.
    pub check: Option<&'static str>,
    /// What was seen, in the words of the answers.
    pub what: String,
    /// What follows.
    pub means: String,
    /// How sure that is.
    pub sure: Sure,
}

/// All answers that a conclusion may go by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// The page, each time that it was asked for.
    pub page: Vec<Answer>,
    /// A file that the page names.
    pub file: Option<Answer>,
    /// A path that is not there.
    pub missing: Option<Answer>,
    /// What the probe said of itself.
    pub probe: Option<Result<probe::Told, String>>,
}

/// How often the page is asked for: a second answer shows whether another machine, or another release, gives it.
const PAGES: usize = 3;

/// Looks at a site. `probe` is the directory that it serves, and allows a script to be put there for a moment.
pub fn look(url: &str, probe: Option<&Path>) -> Result<Live, NoAnswer> {
    let asker = ask::Asker::new(url)?;
    let mut answers = Answers::default();
    for _ in 0..PAGES {
        answers.page.push(asker.get(asker.page())?);
    }
    let named = answers.page.first().and_then(|page| page::file(&page.body, asker.page()));
    answers.file = named.and_then(|file| asker.get(&file).ok());
    answers.missing = asker.get(&asker.beside(&format!("cutover-doctor-{}", std::process::id()))).ok();
    answers.probe = probe.map(|dir| probe::ask(&asker, dir));
    let (seen, unseen) = judge::of(&answers);
    Ok(Live { url: url.to_owned(), seen, unseen, requests: asker.asked() })
}
