//! Walk: follows the links in a path, link by link, and only to places below the release or its shared directory.

use rustix::fd::AsFd;
use rustix::fs::readlinkat;
use rustix::io::Errno;

use release::manifest::Kind;

use crate::tree::place::{Miss, Origin, Place};
use crate::tree::{Tree, join};

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A path being followed. `done` has no links; `todo` holds the segments to come, the next one last.
struct Walk<'a> {
    tree: &'a Tree,
    at: At,
    todo: Vec<Vec<u8>>,
    /// How many of them the visitor named; the others come from links.
    own: usize,
    links: usize,
    shared_entered: bool,
}

enum At {
    Below(Place),
    /// Above or beside both directories, at this absolute path: nothing is opened here, it is only passed through.
    Outside(Vec<Vec<u8>>),
}

/// The place that `path`, relative to the release, leads to when its links are followed. Nothing is opened.
///
/// A link may leave the release only for the app's shared directory, and nothing leads out of that again. Whoever
/// changes a directory meanwhile may make us read a link's text elsewhere; the bytes of a file are read from the
/// place alone, which is opened without following anything.
pub(crate) fn follow(tree: &Tree, path: &[u8]) -> Result<Place, Miss> {
    let start = At::Below(Place { origin: Origin::Release, path: Vec::new() });
    let mut walk = Walk::new(tree, start, path);
    walk.own = walk.todo.len();
    walk.run()
}

/// The same for an absolute path, as an application names a file (X-Sendfile).
pub(crate) fn follow_absolute(tree: &Tree, path: &[u8]) -> Result<Place, Miss> {
    Walk::new(tree, At::Outside(Vec::new()), path).run()
}

impl<'a> Walk<'a> {
    fn new(tree: &'a Tree, at: At, path: &[u8]) -> Self {
        let mut walk = Walk { tree, at, todo: Vec::new(), own: 0, links: 0, shared_entered: false };
        walk.push(path);
        walk
    }

    fn push(&mut self, path: &[u8]) {
        let segments = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        self.todo.extend(segments.rev().map(<[u8]>::to_vec));
    }

    fn run(mut self) -> Result<Place, Miss> {
        while let Some(name) = self.todo.pop() {
            let own = self.todo.len() < self.own;
            self.own = self.own.min(self.todo.len());
            match &mut self.at {
                // A link may pass through the outside; a visitor does not choose the way from there.
                At::Outside(_) if own => return Err(Miss::Leaves),
                At::Outside(above) => {
                    if name == b".." {
                        above.pop();
                    } else {
                        above.push(name);
                    }
                    self.enter()?;
                }
                At::Below(place) if name == b".." => {
                    if !place.pop() {
                        let mut above = segments(self.tree.ground(place.origin)?.path());
                        above.pop();
                        self.at = At::Outside(above);
                    }
                }
                At::Below(place) => {
                    let next = join(&place.path, &name);
                    match link_at(self.tree, place.origin, &next, !self.todo.is_empty())? {
                        Some(target) => self.hop(&target)?,
                        None => place.path = next,
                    }
                }
            }
        }
        match self.at {
            At::Below(place) => Ok(place),
            At::Outside(_) => Err(Miss::Leaves),
        }
    }

    fn hop(&mut self, target: &[u8]) -> Result<(), Miss> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Miss::Loop);
        }
        if target.starts_with(b"/") {
            self.at = At::Outside(Vec::new());
        }
        self.push(target);
        Ok(())
    }

    /// Takes up the path again where it comes below one of the two directories; refuses it where it never can.
    fn enter(&mut self) -> Result<(), Miss> {
        let At::Outside(above) = &self.at else { return Ok(()) };
        let mut on_the_way = false;
        for origin in [Origin::Release, Origin::Shared] {
            if origin == Origin::Release && self.shared_entered {
                // What visitors wrote into shared/ does not lead into the code.
                continue;
            }
            let Ok(ground) = self.tree.ground(origin) else { continue };
            for known in ground.known_as() {
                let known = segments(known);
                if known == *above {
                    self.shared_entered |= origin == Origin::Shared;
                    self.at = At::Below(Place { origin, path: Vec::new() });
                    return Ok(());
                }
                on_the_way |= known.starts_with(above);
            }
        }
        if on_the_way { Ok(()) } else { Err(Miss::Leaves) }
    }
}

fn segments(path: &std::path::Path) -> Vec<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The text of the link that stands here, if one does. `more`: the path goes on behind it.
fn link_at(tree: &Tree, origin: Origin, path: &[u8], more: bool) -> Result<Option<Vec<u8>>, Miss> {
    if let (Origin::Release, Some(seal)) = (origin, tree.seal()) {
        return match seal.get(path).map(|entry| &entry.kind) {
            Some(Kind::Link { target }) => Ok(Some(target.to_vec())),
            Some(Kind::File { .. }) if more => Err(Miss::BelowFile),
            Some(Kind::File { .. } | Kind::Dir) => Ok(None),
            None => Err(Miss::Absent),
        };
    }
    match readlinkat(tree.ground(origin)?.dir().as_fd(), path, Vec::new()) {
        Ok(text) => Ok(Some(text.into_bytes())),
        Err(Errno::INVAL) => Ok(None),
        Err(why) => Err(Miss::from(why)),
    }
}
