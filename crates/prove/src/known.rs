//! Known: pages of a site that cannot be changed, told by the hash that each release's answer has.
//!
//! ```toml
//! [[page]]
//! path = "/"
//! weight = 3                        # its share of the load; absent: 1
//! [page.answers]
//! r1 = { status = 200, blake3 = "7a2f…" }
//! r2 = { status = 200, blake3 = "b19c…" }
//! ```
//!
//! [`learn`] writes such a file by asking for each page while each release is live. A page that answers otherwise each
//! time (a date, a token) is left out, and said: it can be judged by a header only.

use crate::page::{Ask, Expect, Page, Print};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often each page is asked for while one release is live, to find those that answer otherwise each time.
const ASKED: usize = 3;

/// Pages, and what is known of their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The pages.
    #[serde(default)]
    pub page: Vec<KnownPage>,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownPage {
    /// What is asked for: path and query.
    pub path: String,
    /// Its share of the load.
    #[serde(default = "one")]
    pub weight: u32,
    /// By release.
    pub answers: BTreeMap<String, KnownAnswer>,
}

/// What one release answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownAnswer {
    /// The status.
    pub status: u16,
    /// The hash of the body, 64 hexadecimal digits.
    pub blake3: String,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The pages that can be judged.
    pub known: Known,
    /// What a person should know: pages that were left out, and those that tell nothing apart.
    pub notes: Vec<String>,
}

/// Why a site's pages are not known.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// The text is not of this form.
    #[error("this is no file of known pages: {0}")]
    Form(String),
    /// A page does not say what a release answers.
    #[error("the page {path} does not say what {release} answers: learn it again with all releases")]
    Missing {
        /// The page.
        path: String,
        /// The release.
        release: String,
    },
    /// A hash that is none.
    #[error("the page {path} of {release}: {blake3:?} is no BLAKE3 hash of 64 hexadecimal digits")]
    Hash {
        /// The page.
        path: String,
        /// The release.
        release: String,
        /// What stands there.
        blake3: String,
    },
    /// A release could not be put live.
    #[error("cannot put {release} live to learn its pages: {why}")]
    Flip {
        /// The release.
        release: String,
        /// Why not.
        why: String,
    },
    /// A page could not be had.
    #[error("cannot learn {path} of {release}: {why}")]
    Fetch {
        /// The page.
        path: String,
        /// The release.
        release: String,
        /// Why not.
        why: String,
    },
    /// There is no page that answers the same each time.
    #[error("no page can be judged by its hash: {0}")]
    Nothing(String),
}

impl Known {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When it is not of this form.
    pub fn parse(text: &str) -> Result<Self, KnownError> {
        let known: Self = toml::from_str(text).map_err(|why| KnownError::Form(why.to_string()))?;
        match known.page.iter().find(|page| !page.path.starts_with('/') || page.path.contains(' ')) {
            Some(page) => Err(KnownError::Form(format!("{:?} is no path", page.path))),
            None if known.page.is_empty() => Err(KnownError::Form("it has no [[page]]".to_owned())),
            None => Ok(known),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// When it cannot be written as TOML.
    pub fn to_text(&self) -> Result<String, KnownError> {
        toml::to_string(self).map_err(|why| KnownError::Form(why.to_string()))
    }

    /// The pages for a scenario with these releases.
    ///
    /// # Errors
    /// When a release's answer is not known, or its hash is none.
    pub fn pages(&self, releases: &[String]) -> Result<Vec<Page>, KnownError> {
        self.page.iter().map(|page| page.page(releases)).collect()
    }
}

impl KnownPage {
    fn page(&self, releases: &[String]) -> Result<Page, KnownError> {
        let print = |release: &String| {
            let answer = self
                .answers
                .get(release)
                .ok_or_else(|| KnownError::Missing { path: self.path.clone(), release: release.clone() })?;
            let hash = blake3::Hash::from_hex(&answer.blake3).map_err(|_| KnownError::Hash {
                path: self.path.clone(),
                release: release.clone(),
                blake3: answer.blake3.clone(),
            })?;
            Ok(Print { status: answer.status, hash: *hash.as_bytes() })
        };
        let prints = releases.iter().map(print).collect::<Result<_, _>>()?;
        let (name, ask) = (self.path.clone(), Ask::get(&self.path));
        Ok(Page { name, weight: self.weight, ask, expect: Expect::Hashed(prints) })
    }

    fn tells_apart(&self) -> bool {
        let mut answers = self.answers.values();
        let first = answers.next();
        answers.any(|other| Some(other) != first)
    }
}

/// Learns what each release answers to each path: `flip` puts a release live and returns when the site answers from it
/// (a server that caches may need a while), `fetch` asks for a path and gives the status and the body's hash.
///
/// # Errors
/// When a release cannot be put live, a page cannot be had or fails (500 and above), or no page is left.
pub fn learn(
    releases: &[String],
    paths: &[String],
    mut flip: impl FnMut(&str) -> Result<(), String>,
    mut fetch: impl FnMut(&str) -> Result<Print, String>,
) -> Result<Learnt, KnownError> {
    let page = |path: &String| KnownPage { path: path.clone(), weight: one(), answers: BTreeMap::new() };
    let mut pages: Vec<KnownPage> = paths.iter().map(page).collect();
    let mut notes = Vec::new();
    for release in releases {
        flip(release).map_err(|why| KnownError::Flip { release: release.clone(), why })?;
        let mut steady = Vec::new();
        for mut page in pages {
            match ask_again_and_again(&page.path, &mut fetch) {
                Ok(Some(print)) => {
                    page.answers.insert(release.clone(), KnownAnswer::of(print));
                    steady.push(page);
                }
                Ok(None) => notes.push(format!(
                    "{} is left out: while {release} was live it answered otherwise each time",
                    page.path
                )),
                Err(why) => {
                    return Err(KnownError::Fetch { path: page.path, release: release.clone(), why });
                }
            }
        }
        pages = steady;
    }
    if pages.is_empty() {
        return Err(KnownError::Nothing(notes.join("; ")));
    }
    if releases.len() > 1 && !pages.iter().any(KnownPage::tells_apart) {
        notes.push(
            "no page differs between the releases: was the flip seen? Only failures can be judged".to_owned(),
        );
    } else {
        let same = pages.iter().filter(|page| releases.len() > 1 && !page.tells_apart());
        notes.extend(
            same.map(|page| format!("{} is the same in all releases: it can show failures only", page.path)),
        );
    }
    Ok(Learnt { known: Known { page: pages }, notes })
}

/// `None`: the answers differ.
fn ask_again_and_again(
    path: &str,
    fetch: &mut impl FnMut(&str) -> Result<Print, String>,
) -> Result<Option<Print>, String> {
    let first = fetch(path)?;
    if first.status >= 500 {
        return Err(format!("it answers with status {}", first.status));
    }
    for _ in 1..ASKED {
        if fetch(path)? != first {
            return Ok(None);
        }
    }
    Ok(Some(first))
}

impl KnownAnswer {
    fn of(print: Print) -> Self {
        Self { status: print.status, blake3: blake3::Hash::from_bytes(print.hash).to_hex().to_string() }
    }
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// A site of which `/` differs, `/same` does not, and `/now` answers otherwise each time.
    fn learn_site(paths: &[&str]) -> Result<Learnt, KnownError> {
        let (live, asked) = (RefCell::new(String::new()), Cell::new(0));
        let flip = |release: &str| {
            release.clone_into(&mut live.borrow_mut());
            if release == "bad" { Err("no such release".to_owned()) } else { Ok(()) }
        };
        let fetch = |path: &str| {
            asked.set(asked.get() + 1);
            Ok(match path {
                "/same" => Print::of(200, b"same"),
                "/now" => Print::of(200, asked.get().to_string().as_bytes()),
                "/down" => Print::of(502, b""),
                _ => Print::of(200, live.borrow().as_bytes()),
            })
        };
        learn(&ids(&["r1", "r2"]), &ids(paths), flip, fetch)
    }

    #[test]
    fn what_is_learnt_is_written_read_and_judged_by() {
        let learnt = learn_site(&["/", "/now", "/same"]).unwrap();
        let text = learnt.known.to_text().unwrap();
        let known = Known::parse(&text).unwrap();
        assert_eq!(known, learnt.known);
        let pages = known.pages(&ids(&["r2", "r1"])).unwrap();
        let Expect::Hashed(prints) = &pages[0].expect else { panic!("hashed") };
        assert_eq!(prints.as_slice(), [Print::of(200, b"r2"), Print::of(200, b"r1")]);
        assert_eq!(pages.iter().map(|page| page.name.as_str()).collect::<Vec<_>>(), ["/", "/same"]);
        assert!(learnt.notes[0].starts_with("/now is left out"), "{:?}", learnt.notes);
        assert!(learnt.notes[1].starts_with("/same is the same"), "{:?}", learnt.notes);
    }

    #[test]
    fn releases_that_nothing_tells_apart_are_said() {
        assert!(learn_site(&["/same"]).unwrap().notes[0].contains("was the flip seen"));
    }

    #[test]
    fn a_site_that_cannot_be_learnt_says_which_page_of_which_release() {
        let told = |paths| learn_site(paths).unwrap_err().to_string();
        assert_eq!(told(&["/", "/down"]), "cannot learn /down of r1: it answers with status 502");
        assert!(told(&["/now"]).starts_with("no page can be judged by its hash: /now is left out"));
        let nobody =
            learn(&ids(&["r1"]), &ids(&["/"]), |_| Err("locked".to_owned()), |_| Ok(Print::of(200, b"")));
        assert_eq!(nobody.unwrap_err().to_string(), "cannot put r1 live to learn its pages: locked");
    }

    #[test]
    fn a_file_that_is_wrong_says_what_is() {
        let page = |rest: &str| format!("[[page]]\npath = \"/\"\n{rest}");
        for (text, says) in [
            (String::new(), "no [[page]]"),
            ("hello".to_owned(), "no file of known pages"),
            (page("wait = 1\n[page.answers]\n"), "wait"),
            ("[[page]]\npath = \"a\"\n[page.answers]\n".to_owned(), "\"a\" is no path"),
        ] {
            let error = Known::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let known = Known::parse(&page("[page.answers]\nr1 = { status = 200, blake3 = \"zz\" }\n")).unwrap();
        assert!(matches!(known.pages(&ids(&["r1"])), Err(KnownError::Hash { .. })));
        assert!(matches!(known.pages(&ids(&["r2"])), Err(KnownError::Missing { .. })));
    }
}
