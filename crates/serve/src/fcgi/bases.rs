//! Bases: by which paths a web server may name the docroot: the link's, those of any release, the pinned one's.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use release::{App, Lease};

use crate::tree::Tree;

/// Made once per pinned release.
pub struct Bases {
    /// Paths that lead to the docroot of this release.
    docroots: Vec<PathBuf>,
    /// Directories whose entries are releases or slots.
    parents: Vec<PathBuf>,
    /// The docroot below a release.
    below: Vec<PathBuf>,
    /// The link, and what it stands for in this release.
    link: (PathBuf, PathBuf),
    /// This release.
    root: PathBuf,
}

/// A path that was found to lie below a docroot.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The path relative to the docroot, with its leading slash.
    pub path: Vec<u8>,
    /// The docroot of another release that it names; `None`: the link's, or this release's.
    pub other: Option<PathBuf>,
}

impl Bases {
    /// Of a release that is served from `tree`.
    pub fn of(app: &App, lease: &Lease, tree: &Tree) -> Self {
        let says = &tree.says().docroot;
        let link = app.link().join(says);
        let own = lease.live().below.join(says);
        let canonical = tree.docroot().strip_prefix(tree.root()).unwrap_or(Path::new(""));
        let mut parents = vec![app.releases(), app.slots()];
        parents.extend(tree.root().parent().map(Path::to_owned));
        parents.extend(app.allow().iter().cloned());
        parents.dedup();
        let mut below = vec![own];
        if below[0] != canonical {
            below.push(canonical.to_owned());
        }
        let docroots = vec![tree.docroot().to_path_buf(), link];
        let link = (app.link().to_owned(), tree.root().join(&lease.live().below));
        Self { docroots, parents, below, link, root: tree.root().to_owned() }
    }

    /// A path by the link or of any release, as it is in this one; `None`: it is neither.
    pub fn pinned(&self, path: &[u8]) -> Option<Vec<u8>> {
        let path = Path::new(OsStr::from_bytes(path));
        let (link, leads_to) = &self.link;
        if let Ok(rest) = path.strip_prefix(link) {
            return Some(leads_to.join(rest).into_os_string().into_vec());
        }
        self.parents.iter().find_map(|parent| {
            let mut below = path.strip_prefix(parent).ok()?.components();
            below.next()?;
            Some(self.root.join(below.as_path()).into_os_string().into_vec())
        })
    }

    /// Where `path` (absolute) lies below a docroot; `None`: below none of them.
    pub fn find(&self, path: &[u8]) -> Option<Named> {
        let path = Path::new(OsStr::from_bytes(path));
        if let Some(rest) = self.docroots.iter().find_map(|docroot| path.strip_prefix(docroot).ok()) {
            return Some(Named { path: slashed(path, rest), other: None });
        }
        self.parents.iter().find_map(|parent| {
            let below = path.strip_prefix(parent).ok()?;
            let release = below.components().next()?;
            let root = parent.join(release);
            let within = path.strip_prefix(&root).ok()?;
            let (docroot, rest) =
                self.below.iter().find_map(|docroot| Some((docroot, within.strip_prefix(docroot).ok()?)))?;
            Some(Named { path: slashed(path, rest), other: Some(root.join(docroot)) })
        })
    }
}

/// `rest`, the end of `path`, with a slash in front, and behind it if `path` has one.
fn slashed(path: &Path, rest: &Path) -> Vec<u8> {
    let rest = rest.as_os_str().as_bytes();
    let mut slashed = Vec::with_capacity(rest.len() + 2);
    slashed.push(b'/');
    slashed.extend_from_slice(rest);
    if !rest.is_empty() && !rest.ends_with(b"/") && path.as_os_str().as_bytes().ends_with(b"/") {
        slashed.push(b'/');
    }
    slashed
}

/// A script's path as a web server names it, without what Apache puts in front of it: `proxy:fcgi://host/path`,
/// `proxy:balancer://name/path`, `proxy:unix:/socket|fcgi://host/path`; slashes that follow each other are one.
pub fn plain(named: &[u8]) -> Cow<'_, [u8]> {
    let path = match named.strip_prefix(b"proxy:") {
        Some(url) => {
            let url = match memchr::memchr(b'|', url) {
                Some(bar) if url.starts_with(b"unix:") => &url[bar + 1..],
                Some(_) | None => url,
            };
            let behind = memchr::memmem::find(url, b"://").map_or(url, |at| &url[at + 3..]);
            let path = memchr::memchr(b'/', behind).map_or(&b"/"[..], |at| &behind[at..]);
            // Apache's proxy appends the query of a rewritten request.
            memchr::memchr(b'?', path).map_or(path, |at| &path[..at])
        }
        None => named,
    };
    if memchr::memmem::find(path, b"//").is_none() {
        return Cow::Borrowed(path);
    }
    let mut merged = path.to_vec();
    merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
    Cow::Owned(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases() -> Bases {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect();
        Bases {
            docroots: paths(&["/srv/shop/releases/r2/public", "/srv/shop/current/public"]),
            parents: paths(&["/srv/shop/releases", "/srv/shop/slots"]),
            below: paths(&["public"]),
            link: ("/srv/shop/current".into(), "/srv/shop/releases/r2".into()),
            root: "/srv/shop/releases/r2".into(),
        }
    }

    #[test]
    fn a_script_is_found_by_the_link_by_its_release_and_by_any_other() {
        for (path, relative, other) in [
            ("/srv/shop/current/public/index.php", "/index.php", None),
            ("/srv/shop/releases/r2/public/a/b.php/c", "/a/b.php/c", None),
            ("/srv/shop/releases/r1/public/index.php", "/index.php", Some("/srv/shop/releases/r1/public")),
            ("/srv/shop/slots/a/public/x.php", "/x.php", Some("/srv/shop/slots/a/public")),
            ("/srv/shop/current/public", "/", None),
            ("/srv/shop/current/public/dir/", "/dir/", None),
        ] {
            let named = Named { path: relative.into(), other: other.map(PathBuf::from) };
            assert_eq!(bases().find(path.as_bytes()), Some(named), "{path}");
        }
    }

    #[test]
    fn a_path_of_another_release_is_told_as_it_is_in_this_one() {
        for (path, pinned) in [
            ("/srv/shop/current/data/film", Some("/srv/shop/releases/r2/data/film")),
            ("/srv/shop/releases/r1/data/film", Some("/srv/shop/releases/r2/data/film")),
            ("/srv/shop/shared/film", None),
            ("/srv/shop/releases", None),
        ] {
            assert_eq!(bases().pinned(path.as_bytes()), pinned.map(Into::into), "{path}");
        }
    }

    #[test]
    fn what_lies_below_no_docroot_is_not_found() {
        for path in [
            "/srv/shop/current/publicity/x.php",
            "/srv/shop/current/config/x.php",
            "/srv/shop/releases/r1/x.php",
            "/srv/shop/releases",
            "/usr/share/tool/index.php",
            "/index.php",
            "",
        ] {
            assert_eq!(bases().find(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn what_apache_puts_in_front_of_a_path_is_taken_off() {
        for (named, path) in [
            ("/srv/a.php", "/srv/a.php"),
            ("proxy:fcgi://127.0.0.1:9001/srv/a.php", "/srv/a.php"),
            ("proxy:fcgi://localhost//srv/a.php", "/srv/a.php"),
            ("proxy:balancer://php/srv/a.php/info", "/srv/a.php/info"),
            ("proxy:unix:/run/x.sock|fcgi://localhost/srv/a.php?q=1", "/srv/a.php"),
            ("proxy:fcgi://127.0.0.1:9001", "/"),
            ("//i.php", "/i.php"),
            ("/srv//a///b.php", "/srv/a/b.php"),
            ("/srv/a?b.php", "/srv/a?b.php"),
        ] {
            assert_eq!(plain(named.as_bytes()), path.as_bytes(), "{named}");
        }
    }
}
