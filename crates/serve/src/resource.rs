//! Resource: what a request's path stands for in the pinned release.
//!
//! ```text
//!   a kept file?             -> File, without a system call
//!   /a/b.php/rest            -> Script b.php with PATH_INFO /rest, if the release has that very script
//!   a file                   -> File; PHP source never
//!   a directory              -> its index (Script or File), the listing, or a redirect to its slash
//!   nothing                  -> the front controller, else NotFound
//! ```

pub mod name;
pub mod path;
pub mod refused;
pub mod script;

use http::HeaderValue;

use crate::file::listing::Listing;
use crate::file::{FileRef, FoundFile, Ref};
use crate::resource::path::encode;
use crate::tree::beneath::Want;
use crate::tree::place::{Miss, Origin, Place};
use crate::tree::{Found, Tree, What, join};

pub use crate::resource::path::{PathError, UrlPath};
pub use crate::resource::refused::Refused;
pub use crate::resource::script::Script;

/// What a path stands for.
pub enum Resource {
    /// A file to be sent: [`crate::file::serve`].
    File(FileRef),
    /// A script to be run.
    Script(Script),
    /// Another URL of the same site, the value of `Location`: permanent (301).
    Redirect(HeaderValue),
    /// A directory that is shown: [`crate::file::listing::page`].
    Listing(Listing),
    /// It may not be served.
    Refused(Refused),
    /// There is nothing, and no front controller to ask.
    NotFound,
}

impl Resource {
    /// What `path` stands for in `tree`. `query`: what followed the `?`, to be kept by a redirect.
    /// Looks at the disk only where the release is unsealed or a link leads into shared/.
    pub fn resolve(tree: &Tree, path: &UrlPath<'_>, query: Option<&str>) -> Resource {
        Resource::there(tree, path, query).unwrap_or_else(|| front(tree).unwrap_or(Resource::NotFound))
    }

    /// The same without the front controller; `None`: there is nothing, and it may be asked.
    pub fn there(tree: &Tree, path: &UrlPath<'_>, query: Option<&str>) -> Option<Resource> {
        if let Some(entry) = tree.entries.get(path.as_bytes()) {
            return Some(Resource::File(FileRef(Ref::Kept(entry))));
        }
        if path.is_hidden() || path.as_bytes() == b"/cutover.toml" {
            return Some(Resource::Refused(Refused::Hidden));
        }
        match look(tree, path, query) {
            Ok(resource) => Some(resource),
            Err(Nothing::Here) => None,
            Err(Nothing::AtAll) => Some(Resource::NotFound),
            Err(Nothing::Refused(why)) => Some(Resource::Refused(why)),
        }
    }

    /// The file at an absolute path that the application named (X-Sendfile): in the pinned release or in shared/,
    /// wherever there; the docroot is no limit, but PHP source and dotfiles are not sent.
    pub fn sendfile(tree: &Tree, path: &[u8]) -> Resource {
        let clean = path.starts_with(b"/") && !path.contains(&0);
        let found = if clean { tree.find_absolute(path, Want::Bytes) } else { Err(Miss::Absent) };
        match found.map_err(Nothing::from).and_then(|found| {
            let name = found.place.name().to_vec();
            // It is remembered by a name that no URL path can have: else it could be asked for by its path on disk.
            file(&[b"\0", path].concat(), &name, found)
        }) {
            Ok(resource) => resource,
            Err(Nothing::Here | Nothing::AtAll) => Resource::NotFound,
            Err(Nothing::Refused(why)) => Resource::Refused(why),
        }
    }
}

/// Why a look gave no resource.
enum Nothing {
    /// There is nothing of that name; the front controller may know better.
    Here,
    /// Nor may the front controller be asked.
    AtAll,
    Refused(Refused),
}

impl From<Miss> for Nothing {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Absent | Miss::BelowFile => Nothing::Here,
            Miss::Leaves | Miss::Loop | Miss::Special | Miss::Denied | Miss::Failed(_) => {
                Nothing::Refused(Refused::Miss(miss))
            }
        }
    }
}

fn look(tree: &Tree, path: &UrlPath<'_>, query: Option<&str>) -> Result<Resource, Nothing> {
    let relative = path.relative();
    if memchr::memmem::find(relative, b".php").is_some()
        && let Some(script) = script::in_path(tree, path)?
    {
        return Ok(Resource::Script(script));
    }
    let name = relative.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let found = tree.find(relative, Want::Bytes)?;
    match &found.what {
        What::Dir => directory(tree, path, query, found.place),
        What::Sealed(_) | What::Open(..) | What::Seen => match path.names_directory() {
            true => Err(Nothing::Here),
            false => file(path.as_bytes(), name, found),
        },
    }
}

fn front(tree: &Tree) -> Option<Resource> {
    let front = tree.says().front.as_ref()?.as_bytes();
    match tree.find(front, Want::Presence) {
        Ok(found) if !matches!(found.what, What::Dir) => {
            match script::at(tree, [b"/", front].concat(), Vec::new(), &found) {
                Ok(script) => Some(Resource::Script(script)),
                Err(Nothing::Refused(why)) => Some(Resource::Refused(why)),
                Err(Nothing::Here | Nothing::AtAll) => None,
            }
        }
        Ok(_) | Err(Miss::Absent | Miss::BelowFile) => None,
        Err(miss) => Some(Resource::Refused(Refused::Miss(miss))),
    }
}

fn file(url: &[u8], name: &[u8], found: Found) -> Result<Resource, Nothing> {
    // The name a link leads to counts as much as the one that was asked for.
    let place = &found.place;
    if name::is_source(name) || name::is_source(place.name()) {
        return Err(Nothing::Refused(Refused::Source));
    }
    if name::is_private(&place.path) || (place.origin == Origin::Release && place.path == b"cutover.toml") {
        return Err(Nothing::Refused(Refused::Hidden));
    }
    if matches!(found.what, What::Dir) {
        return Err(Nothing::Here);
    }
    let Found { place, what } = found;
    let found = FoundFile { url: url.into(), name: name.into(), place, what };
    Ok(Resource::File(FileRef(Ref::Found(Box::new(found)))))
}

fn directory(
    tree: &Tree,
    path: &UrlPath<'_>,
    query: Option<&str>,
    place: Place,
) -> Result<Resource, Nothing> {
    let index = index(tree, path)?;
    let listed = tree.says().listing;
    if path.names_directory() {
        return match index {
            Some(resource) => Ok(resource),
            None if listed => Ok(Resource::Listing(Listing::new(path.as_bytes(), place))),
            None => Err(Nothing::Here),
        };
    }
    match index.is_some() || listed {
        true => Ok(Resource::Redirect(with_slash(path, query))),
        false => Err(Nothing::Here),
    }
}

/// The first of the index names that the directory has.
fn index(tree: &Tree, path: &UrlPath<'_>) -> Result<Option<Resource>, Nothing> {
    for index in &tree.says().index {
        let index = index.as_bytes();
        let relative = join(path.relative(), index);
        let want = if name::is_script(index) { Want::Presence } else { Want::Bytes };
        let found = match tree.find(&relative, want) {
            Ok(found) if matches!(found.what, What::Dir) => continue,
            Ok(found) => found,
            Err(Miss::Absent | Miss::BelowFile) => continue,
            Err(miss) => return Err(miss.into()),
        };
        if name::is_script(index) {
            let script = script::at(tree, [b"/", &relative[..]].concat(), Vec::new(), &found)?;
            return Ok(Some(Resource::Script(script)));
        }
        return file(path.as_bytes(), index, found).map(Some);
    }
    Ok(None)
}

/// The same path with a slash behind it. It begins with exactly one slash and a name, so it stays on this site.
fn with_slash(path: &UrlPath<'_>, query: Option<&str>) -> HeaderValue {
    let mut to = encode(path.as_bytes());
    to.push('/');
    if let Some(query) = query {
        to.push('?');
        to.push_str(query);
    }
    // The query was part of a header section already; if it cannot be part of one again, nobody is led astray.
    HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"))
}
