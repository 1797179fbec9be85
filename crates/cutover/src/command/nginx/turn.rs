//! Turn: in reload mode, the included file: the release that was live, the one that comes, and the mark that says which.
//!
//! Old workers and new ones take connections side by side for a tenth of a second (ngx_master_process_cycle). So what is
//! reloaded still answers by the release that was live; only when no old worker takes connections any more, the mark is
//! made: an empty file, whose appearance is the flip. A request looks for it once.

use std::path::{Path, PathBuf};

use super::quote::{plain, quoted};
use super::text::Nginx;
use crate::webserver::lines::put;

/// What nginx knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The name of the mark, beside the included file.
    pub mark: String,
    /// What it serves without the mark.
    pub before: Place,
    /// What it serves when the mark is there.
    pub after: Place,
}

/// A release and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub id: String,
    /// Where the link leads for it, canonical.
    pub dir: PathBuf,
}

impl Turn {
    /// What a file of ours says; `None`: it is none.
    pub fn parse(text: &str) -> Option<Turn> {
        let said = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(' '))
        };
        let place = |key: &str| {
            let (id, dir) = said(key)?.split_once(' ')?;
            Some(Place { id: id.to_owned(), dir: dir.into() })
        };
        Some(Turn { mark: said("mark")?.to_owned(), before: place("before")?, after: place("after")? })
    }
}

impl Nginx<'_> {
    /// What stands in the included file.
    pub fn turn(&self, turn: &Turn) -> Result<String, String> {
        let mut out = String::new();
        put(&mut out, "# Written by cutover at each flip; what is changed here is lost.");
        put(&mut out, &format!("# mark {}", turn.mark));
        for (key, place) in [("before", &turn.before), ("after", &turn.after)] {
            put(&mut out, &format!("# {key} {} {}", place.id, plain(&place.dir)?));
        }
        let dir = self.included.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));
        let mark = quoted(&plain(&dir.join(&turn.mark))?)?;
        put(&mut out, &format!("map $server_name {} {{ default {mark}; }}", self.var("mark")));
        let docroot = |place: &Place| place.dir.join(&self.config.says.docroot);
        self.either(&mut out, "root", turn, |place| plain(&self.seen(&docroot(place))))?;
        self.either(&mut out, "release", turn, |place| Ok(place.id.clone()))?;
        if self.config.host.php.is_some() {
            put(&mut out, "# As PHP sees them.");
            self.either(&mut out, "seen", turn, |place| plain(&self.by_php(&docroot(place))))?;
            self.either(&mut out, "dir_seen", turn, |place| plain(&self.by_php(&place.dir)))?;
        }
        Ok(out)
    }

    /// A variable that is one thing before the flip and another after it.
    fn either(
        &self,
        out: &mut String,
        name: &str,
        turn: &Turn,
        of: impl Fn(&Place) -> Result<String, String>,
    ) -> Result<(), String> {
        let (before, after) = (quoted(&of(&turn.before)?)?, quoted(&of(&turn.after)?)?);
        let (turn, name) = (self.var("turn"), self.var(name));
        put(out, &format!("map {turn} {name} {{ default {before}; after {after}; }}"));
        Ok(())
    }

    /// What a server asks before all else: has the flip happened? What is found first stays for the request, its
    /// internal redirects and its subrequests, which all pass here again.
    pub(super) fn asks(&self, out: &mut String) {
        let (turn, look, mark) = (self.var("turn"), self.var("look"), self.var("mark"));
        put(out, &format!("set {look} {turn};"));
        put(out, &format!("if (-e {mark}) {{ set {look} \"${{{}}}+\"; }}", look.trim_start_matches('$')));
        put(out, &format!("if ({look} = \"\") {{ set {turn} before; }}"));
        put(out, &format!("if ({look} = \"+\") {{ set {turn} after; }}"));
    }

    /// A path of a release as nginx sees it.
    fn seen(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.here).map_or_else(|_| path.to_owned(), |below| self.releases.join(below))
    }

    /// A path here as PHP sees it.
    pub(super) fn by_php(&self, path: &Path) -> PathBuf {
        let map = self.config.host.php.as_ref().map_or(&[][..], |php| &php.path_map);
        let mapped = map.iter().find_map(|(here, there)| Some(there.join(path.strip_prefix(here).ok()?)));
        mapped.unwrap_or_else(|| path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_is_read_back_and_other_files_are_none_of_ours() {
        let text = "# mark turned-1\n# before r1 /srv/a b/releases/r1\n# after r2 /srv/a b/releases/r2\nmap x y {}\n";
        let turn = Turn::parse(text).unwrap();
        assert_eq!((turn.mark.as_str(), turn.before.id.as_str()), ("turned-1", "r1"));
        assert_eq!(turn.after.dir, Path::new("/srv/a b/releases/r2"));
        assert_eq!(Turn::parse("server { listen 80; }\n"), None);
    }
}
