//! Preset: what is known about one kind of project: how to recognise it, what to write for it, and why.
//!
//! Each is a small TOML file in `preset/`:
//!
//! ```text
//! name = "Laravel"
//! rank = 1                        1 applications, 2 site builders, 3 to 5 what is left; the lowest wins
//! covers = []                     other presets' names that this one is a kind of
//! php = true
//! looks_like = [[{ path = "artisan" }, { path = "composer.json", contains = "…" }], …]   any list, all its signs
//! docroot = ["public", "web"]     the first that has one of docroot_has ("a|b"); else the first that is there
//! front = "index.php"
//! [[key]]                         in = "app", key = "shared_dirs", value = […], why = "…"
//!                                 when = "a path that must be there"; suggested = true: written as a comment
//! [[site]]                        header = "[[site.cache]]", lines = […], why = "…"
//! ```

use std::path::Path;

use serde::Deserialize;

/// One kind of project.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// What people call it.
    pub name: String,
    /// 1 for applications; greater for what is more general.
    pub rank: u8,
    /// Names of presets that this one is a special case of.
    #[serde(default)]
    pub covers: Vec<String>,
    /// Whether it needs PHP.
    #[serde(default = "yes")]
    pub php: bool,
    looks_like: Vec<Vec<Sign>>,
    docroot: Vec<String>,
    docroot_has: Option<String>,
    docroot_else: Option<String>,
    /// The front controller, below the docroot.
    pub front: Option<String>,
    /// Keys to write.
    #[serde(default, rename = "key")]
    pub keys: Vec<Key>,
    /// Tables of `[site]` to write.
    #[serde(default, rename = "site")]
    pub site: Vec<SiteTable>,
}

/// Something that is there in projects of this kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    path: String,
    contains: Option<String>,
}

/// One key of cutover.toml. Several of one name add to one list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The table it stands in.
    #[serde(rename = "in")]
    pub table: String,
    /// Its name.
    pub key: String,
    /// Its value; `{docroot}` in it is the docroot with a slash behind it, or nothing.
    pub value: toml::Value,
    /// Why it is so, in a sentence or two.
    pub why: String,
    /// What must be there for it to be written.
    pub when: Option<String>,
    /// Whether it is written as a comment.
    #[serde(default)]
    pub suggested: bool,
}

/// A table of `[site]`, as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteTable {
    /// Such as `[[site.cache]]`.
    pub header: String,
    /// What stands below it.
    pub lines: Vec<String>,
    /// Why.
    pub why: String,
}

/// What a tree was recognised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The signs that were seen, as a person would name them.
    pub by: Vec<String>,
}

fn yes() -> bool {
    true
}

/// The files of [`all`], each with its name.
const FILES: [(&str, &str); 20] = [
    ("bedrock", include_str!("preset/bedrock.toml")),
    ("cakephp", include_str!("preset/cakephp.toml")),
    ("cgi", include_str!("preset/cgi.toml")),
    ("codeigniter", include_str!("preset/codeigniter.toml")),
    ("craft", include_str!("preset/craft.toml")),
    ("dokuwiki", include_str!("preset/dokuwiki.toml")),
    ("drupal", include_str!("preset/drupal.toml")),
    ("hugo", include_str!("preset/hugo.toml")),
    ("jekyll", include_str!("preset/jekyll.toml")),
    ("joomla", include_str!("preset/joomla.toml")),
    ("laravel", include_str!("preset/laravel.toml")),
    ("magento", include_str!("preset/magento.toml")),
    ("mediawiki", include_str!("preset/mediawiki.toml")),
    ("php", include_str!("preset/php.toml")),
    ("statamic", include_str!("preset/statamic.toml")),
    ("static", include_str!("preset/static.toml")),
    ("symfony", include_str!("preset/symfony.toml")),
    ("typo3", include_str!("preset/typo3.toml")),
    ("vite", include_str!("preset/vite.toml")),
    ("wordpress", include_str!("preset/wordpress.toml")),
];

/// Every preset, sorted by the name of its file. A test reads each of them, so none is left out.
pub fn all() -> Vec<Preset> {
    FILES.iter().filter_map(|(_, text)| toml::from_str(text).ok()).collect()
}

/// The preset for what no other knows.
pub fn plain_php() -> Option<Preset> {
    all().into_iter().find(|preset| preset.rank == 4)
}

impl Preset {
    /// Whether the tree is of this kind, and by which signs.
    pub fn recognise(&self, tree: &Path) -> Option<Recognised> {
        let met = self.looks_like.iter().find(|signs| signs.iter().all(|sign| sign.is_met(tree)))?;
        Some(Recognised { by: met.iter().map(Sign::told).collect() })
    }

    /// What of it is served: a path inside it, or `""`.
    pub fn docroot_in(&self, tree: &Path) -> String {
        let marks = self.docroot_has.as_deref().or(self.front.as_deref());
        let marked = |docroot: &&String| {
            let place = tree.join(docroot);
            marks.is_some_and(|marks| marks.split('|').any(|mark| place.join(mark).exists()))
        };
        let there = |docroot: &&String| !docroot.is_empty() && tree.join(docroot).is_dir();
        let seen = self.docroot.iter().find(marked).or_else(|| self.docroot.iter().find(there));
        seen.or(self.docroot_else.as_ref()).or(self.docroot.first()).cloned().unwrap_or_default()
    }
}

impl Sign {
    fn is_met(&self, tree: &Path) -> bool {
        let path = tree.join(&self.path);
        match &self.contains {
            None => path.exists(),
            // A file that cannot be read is no sign.
            Some(text) => std::fs::read_to_string(path).is_ok_and(|content| content.contains(text)),
        }
    }

    fn told(&self) -> String {
        match &self.contains {
            None => self.path.clone(),
            Some(text) => format!("{} that has {}", self.path, text.trim_matches('"')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_preset_and_each_covers_what_there_is() {
        for (name, text) in FILES {
            let preset: Preset = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!preset.looks_like.is_empty() && !preset.docroot.is_empty(), "{name}");
            for covered in &preset.covers {
                assert!(all().iter().any(|other| other.name == *covered), "{name} covers {covered}");
            }
        }
        assert_eq!(all().len(), FILES.len());
        assert_eq!(plain_php().unwrap().name, "plain PHP");
    }
}
