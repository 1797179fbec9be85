//! Script: a program of the pinned release that a path names, with what follows in the path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::resource::Nothing;
use crate::resource::name::is_script;
use crate::resource::path::UrlPath;
use crate::resource::refused::Refused;
use crate::tree::beneath::Want;
use crate::tree::place::{Miss, Origin};
use crate::tree::{Found, Tree, What};

/// A script of the release, or of shared/ where those may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The script's own URL path, decoded (SCRIPT_NAME): `/index.php`.
    pub name: Vec<u8>,
    /// Its canonical path on this machine (SCRIPT_FILENAME), in the pinned release.
    pub file: PathBuf,
    /// What follows in the URL path, decoded, with its leading slash (PATH_INFO); often empty.
    pub path_info: Vec<u8>,
    /// The docroot's canonical path (DOCUMENT_ROOT).
    pub docroot: Arc<Path>,
}

/// The file that a path leads to first, whatever its name, for CGI: `/cgi-bin/a/b` is `a` with PATH_INFO `/b` if `a`
/// is a file. `from`: the URL directory that programs lie below, with its slashes at both ends.
pub fn program(tree: &Tree, path: &UrlPath<'_>, from: &[u8]) -> Result<Script, Refused> {
    let bytes = path.as_bytes();
    if path.is_hidden() {
        return Err(Refused::Hidden);
    }
    let Some(below) = bytes.strip_prefix(from) else { return Err(Miss::Absent.into()) };
    let start = bytes.len() - below.len();
    for end in memchr::memchr_iter(b'/', below).chain([below.len()]).map(|end| start + end) {
        match tree.find(&bytes[1..end], Want::Presence)? {
            Found { what: What::Dir, .. } => {}
            Found { place, what: What::Sealed(_) | What::Open(..) | What::Seen } => {
                if place.origin == Origin::Shared && !tree.executes_shared() {
                    return Err(Refused::SharedScript);
                }
                let (name, path_info) = (bytes[..end].to_vec(), bytes[end..].to_vec());
                return Ok(Script {
                    name,
                    file: tree.path_of(&place),
                    path_info,
                    docroot: Arc::clone(tree.docroot()),
                });
            }
        }
    }
    Err(Miss::Absent.into())
}

/// `/dir/script.php/path/info`: the first segment with a script's name that is a file in the release.
pub(super) fn in_path(tree: &Tree, path: &UrlPath<'_>) -> Result<Option<Script>, Nothing> {
    let bytes = path.as_bytes();
    let ends = memchr::memchr_iter(b'/', bytes).skip(1).chain([bytes.len()]);
    let mut start = 1;
    for end in ends {
        let segment = &bytes[start..end.max(start)];
        start = end + 1;
        if !is_script(segment) {
            continue;
        }
        match tree.find(&bytes[1..end], Want::Presence) {
            Ok(Found { what: What::Dir, .. }) => {}
            Ok(found) => {
                return at(tree, bytes[..end].to_vec(), bytes[end..].to_vec(), &found).map(Some);
            }
            Err(Miss::Absent) => return Ok(None),
            // `/picture.jpg/x.php`: what PHP's cgi.fix_pathinfo would run is the picture.
            Err(Miss::BelowFile) => return Err(Nothing::AtAll),
            Err(miss) => return Err(miss.into()),
        }
    }
    Ok(None)
}

pub(super) fn at(tree: &Tree, name: Vec<u8>, path_info: Vec<u8>, found: &Found) -> Result<Script, Nothing> {
    if found.place.origin == Origin::Shared && !tree.executes_shared() {
        return Err(Nothing::Refused(Refused::SharedScript));
    }
    // A link of a script's name that leads to something else runs that as a script: never.
    if !is_script(found.place.name()) {
        return Err(Nothing::Refused(Refused::Source));
    }
    let file = tree.path_of(&found.place);
    Ok(Script { name, file, path_info, docroot: Arc::clone(tree.docroot()) })
}
