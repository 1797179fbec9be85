//! Live: which release the link names at this moment, or exactly why none.

use crate::app::App;
use crate::id::ReleaseId;
use crate::walk::{Lost, Walk};
use rustix::fs::{AtFlags, CWD, FileType, Stat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A release as the link named it when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The release's name: the first part of the path below the allowed root it stands in; of a release in a slot the
    /// name of the link in `releases/`.
    pub id: ReleaseId,
    /// The text of the link itself.
    pub text: PathBuf,
    /// The release's own directory: canonical, absolute. Of a release in a slot: the slot.
    pub dir: PathBuf,
    /// Where the release bears its name: `dir`, or of a release in a slot the link in `releases/` that leads there.
    pub place: PathBuf,
    /// What lies between `dir` and where the link leads: empty, unless the link leads into a release. A docroot is
    /// counted from here: `dir`/`below`/docroot.
    pub below: PathBuf,
    /// The device of the directory that the link leads to.
    pub dev: u64,
    /// The inode of the directory that the link leads to.
    pub ino: u64,
    /// How many links were followed on the way from the app's link; 1 where only the app's own link was.
    pub links: u32,
    /// Directories in which a change may change the answer.
    pub parents: Vec<PathBuf>,
}

/// Why the link names no release. Each says where it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// The link is not there.
    Missing {
        /// The link.
        link: PathBuf,
    },
    /// Something else stands where the link should.
    NotALink {
        /// The link.
        link: PathBuf,
        /// What it is: `a directory`, `a file`…
        is: &'static str,
    },
    /// The link leads to something that is not there.
    Dangling {
        /// The link.
        link: PathBuf,
        /// The first part of its way that is missing.
        missing: PathBuf,
    },
    /// The link leads to something that is no directory.
    NotADirectory {
        /// The link.
        link: PathBuf,
        /// What it leads to.
        leads_to: PathBuf,
    },
    /// More than 40 links lead to each other.
    Loop {
        /// The link.
        link: PathBuf,
    },
    /// The link leads outside `releases/`, `slots/` and what `app.allow` adds.
    Outside {
        /// The link.
        link: PathBuf,
        /// What it leads to.
        leads_to: PathBuf,
    },
    /// The directory's name cannot be a release's.
    BadName {
        /// The link.
        link: PathBuf,
        /// The directory.
        leads_to: PathBuf,
    },
    /// Something on the way could not be read.
    Unreadable {
        /// What was looked at.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
}

/// One reading of the link: the answer, and where a change may change it (also when there is no answer).
#[derive(Clone, Debug)]
pub struct Trace {
    /// Directories in which a change may change the answer.
    pub parents: Vec<PathBuf>,
    /// The answer.
    pub answer: Result<Live, LiveError>,
}

/// How often a reading that met a change in its middle is begun anew. Nobody flips faster than this for long.
const ATTEMPTS: usize = 32;

/// Reads the link now.
pub fn read(app: &App) -> Result<Live, LiveError> {
    trace(app).answer
}

/// Reads the link now, and says where to watch.
///
/// An error counts only when it is seen twice: a release that was pruned between the reading of the link and the
/// look at where it leads is no broken link.
pub fn trace(app: &App) -> Trace {
    trace_as(app, None)
}

/// As [`trace`], but as if the link had this text, if one is given.
pub(crate) fn trace_as(app: &App, text: Option<&Path>) -> Trace {
    let mut before: Option<LiveError> = None;
    let mut last = trace_once(app, text);
    for _ in 0..ATTEMPTS {
        match &last.answer {
            Ok(_) => return last,
            Err(error) if before.as_ref() == Some(error) => return last,
            Err(error) => before = Some(error.clone()),
        }
        last = trace_once(app, text);
    }
    last
}

/// The release that bears its name at this path, whatever the link says; one in a slot bears it in `releases/`.
/// Its `text` is empty: no link was read.
pub fn at(app: &App, place: &Path) -> Result<Live, LiveError> {
    let lost = |lost| match lost {
        Lost::Loop => LiveError::Loop { link: place.to_owned() },
        Lost::Missing(missing) => LiveError::Dangling { link: place.to_owned(), missing },
        Lost::NotADirectory(leads_to) => LiveError::NotADirectory { link: place.to_owned(), leads_to },
        Lost::Unreadable(path, why) => LiveError::Unreadable { path, why },
    };
    let outside = || LiveError::Outside { link: app.link().to_owned(), leads_to: place.to_owned() };
    let (Some(above), Some(last)) = (place.parent(), place.file_name()) else { return Err(outside()) };
    let above = Walk::default().follow(Path::new("/"), above).map_err(lost)?;
    let mut walk = Walk::default();
    let end = walk.follow(&above, Path::new(last)).map_err(lost)?;
    let Named { id, dir, place: named, below } = name(app, &end, &walk.passed)?;
    // The link itself, or something within a release.
    if named != above.join(last) || !below.as_os_str().is_empty() {
        return Err(outside());
    }
    let stat = statat(CWD, &end, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|why| LiveError::Unreadable { path: end.clone(), why })?;
    if !is_directory(&stat) {
        return Err(LiveError::NotADirectory { link: place.to_owned(), leads_to: end });
    }
    let (dev, ino, links, parents) = (stat.st_dev, stat.st_ino, walk.links, walk.parents);
    Ok(Live { id, text: PathBuf::new(), dir, place: named, below, dev, ino, links, parents })
}

/// The canonical path of a directory of the app: every link in it followed. `None`: not there.
pub(crate) fn canonical(path: &Path) -> Option<PathBuf> {
    Walk::default().follow(Path::new("/"), path).ok()
}

fn trace_once(app: &App, text: Option<&Path>) -> Trace {
    let mut walk = Walk::default();
    let answer = follow(app, text, &mut walk);
    Trace { parents: walk.parents, answer }
}

fn follow(app: &App, text: Option<&Path>, walk: &mut Walk) -> Result<Live, LiveError> {
    let link = app.link();
    let parent = walk.follow(Path::new("/"), app.link_parent()).map_err(|lost| match lost {
        Lost::Loop => LiveError::Loop { link: link.to_owned() },
        Lost::Missing(_) => LiveError::Missing { link: link.to_owned() },
        Lost::NotADirectory(path) => LiveError::NotADirectory { link: link.to_owned(), leads_to: path },
        Lost::Unreadable(path, why) => LiveError::Unreadable { path, why },
    })?;
    let text = match text {
        Some(text) => text.to_owned(),
        None => read_text(&parent, link, walk)?,
    };
    let before = walk.links;
    walk.links += 1;
    let end = walk.follow(&parent, &text).map_err(|lost| match lost {
        Lost::Loop => LiveError::Loop { link: link.to_owned() },
        Lost::Missing(missing) => LiveError::Dangling { link: link.to_owned(), missing },
        Lost::NotADirectory(path) => LiveError::NotADirectory { link: link.to_owned(), leads_to: path },
        Lost::Unreadable(path, why) => LiveError::Unreadable { path, why },
    })?;
    if let Some(above) = end.parent() {
        walk.note(above);
    }
    let stat = match statat(CWD, &end, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Err(LiveError::Dangling { link: link.to_owned(), missing: end }),
        Err(why) => return Err(LiveError::Unreadable { path: end, why }),
    };
    if !is_directory(&stat) {
        return Err(LiveError::NotADirectory { link: link.to_owned(), leads_to: end });
    }
    let Named { id, dir, place, below } = name(app, &end, &walk.passed)?;
    if let Some(above) = dir.parent() {
        walk.note(above);
    }
    let links = walk.links - before;
    Ok(Live {
        id,
        text,
        dir,
        place,
        below,
        dev: stat.st_dev,
        ino: stat.st_ino,
        links,
        parents: walk.parents.clone(),
    })
}

/// Reads the text of the app's link, which stands in the canonical directory `parent`.
fn read_text(parent: &Path, link: &Path, walk: &mut Walk) -> Result<PathBuf, LiveError> {
    walk.note(parent);
    let at = parent.join(link.file_name().unwrap_or_default());
    match readlinkat(CWD, &at, Vec::new()) {
        Ok(text) => Ok(PathBuf::from(OsStr::from_bytes(text.as_bytes()))),
        Err(Errno::NOENT) => Err(LiveError::Missing { link: link.to_owned() }),
        Err(Errno::INVAL) => {
            let is = match statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_directory(&stat) => "a directory",
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => "a file",
                Ok(_) => "a special file",
                Err(why) => return Err(LiveError::Unreadable { path: at, why }),
            };
            Err(LiveError::NotALink { link: link.to_owned(), is })
        }
        Err(why) => Err(LiveError::Unreadable { path: at, why }),
    }
}

/// Which release a directory belongs to.
struct Named {
    id: ReleaseId,
    dir: PathBuf,
    place: PathBuf,
    below: PathBuf,
}

/// Which release the canonical directory `end` belongs to. `passed` are the links on the way there: a slot does not
/// say whose turn it is, the link in `releases/` does.
fn name(app: &App, end: &Path, passed: &[PathBuf]) -> Result<Named, LiveError> {
    if let (Some(releases), Some(slots)) = (canonical(&app.releases()), canonical(&app.slots()))
        && let Some(slot) = end.strip_prefix(&slots).ok().and_then(|rest| rest.components().next())
        && let Some(place) = passed.iter().rev().find(|link| link.parent() == Some(&releases))
        && let Some(id) = place.file_name().and_then(id_of)
    {
        let dir = slots.join(slot);
        let below = end.strip_prefix(&dir).unwrap_or(Path::new("")).to_owned();
        return Ok(Named { id, dir, place: place.clone(), below });
    }
    let own = [app.releases(), app.slots()];
    for (root, itself) in
        own.iter().map(|root| (root, false)).chain(app.allow().iter().map(|root| (root, true)))
    {
        let Some(root) = canonical(root) else { continue };
        let Ok(rest) = end.strip_prefix(&root) else { continue };
        let mut parts = rest.components();
        let dir = match parts.next() {
            Some(first) => root.join(first),
            None if itself => root,
            None => continue,
        };
        return match dir.file_name().and_then(id_of) {
            Some(id) => Ok(Named { id, place: dir.clone(), dir, below: parts.as_path().to_owned() }),
            None => Err(LiveError::BadName { link: app.link().to_owned(), leads_to: dir }),
        };
    }
    Err(LiveError::Outside { link: app.link().to_owned(), leads_to: end.to_owned() })
}

fn id_of(name: &OsStr) -> Option<ReleaseId> {
    ReleaseId::parse(name.to_str()?).ok()
}

pub(crate) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Live {
    /// Whether the link still says the same, by one reading of its text and one look at what it leads to. Strict
    /// for the usual layout; a chain of links has to be walked anew, so for that the answer is always no.
    pub fn still_named(&self, app: &App) -> bool {
        if !self.is_straight() || !self.below.as_os_str().is_empty() {
            return false;
        }
        let mut buffer = [std::mem::MaybeUninit::<u8>::uninit(); 4096];
        let same_text = match rustix::fs::readlinkat_raw(CWD, app.link(), &mut buffer) {
            Ok((text, _)) => *text == *self.text.as_os_str().as_bytes(),
            Err(_) => false,
        };
        same_text
            && statat(CWD, app.link(), AtFlags::empty())
                .is_ok_and(|stat| stat.st_dev == self.dev && stat.st_ino == self.ino)
    }

    /// Whether two readings name the same tree by the same text.
    pub fn same_as(&self, other: &Live) -> bool {
        let key = |live: &Live| (live.dev, live.ino);
        // The id too: successive releases take turns in one slot, and the text may lead through another link.
        key(self) == key(other) && (&self.id, &self.text, &self.dir) == (&other.id, &other.text, &other.dir)
    }

    /// Whether the release stands in a slot, which other releases had before and will have again.
    pub fn in_slot(&self) -> bool {
        self.place != self.dir
    }

    /// Whether no link was followed but the app's own, and that of the slot.
    pub(crate) fn is_straight(&self) -> bool {
        self.links == if self.in_slot() { 2 } else { 1 }
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LiveError::Missing { link } => write!(f, "{} is not there", link.display()),
            LiveError::NotALink { link, is } => {
                write!(f, "{} is {is}, not a link to a release", link.display())
            }
            LiveError::Dangling { link, missing } => {
                write!(f, "{} leads to {}, which is not there", link.display(), missing.display())
            }
            LiveError::NotADirectory { link, leads_to } => {
                write!(f, "{} leads to {}, which is no directory", link.display(), leads_to.display())
            }
            LiveError::Loop { link } => write!(f, "{} leads in a circle", link.display()),
            LiveError::Outside { link, leads_to } => write!(
                f,
                "{} leads to {}, outside of releases/ (add its directory to app.allow if that is meant)",
                link.display(),
                leads_to.display()
            ),
            LiveError::BadName { link, leads_to } => {
                write!(
                    f,
                    "{} leads to {}, whose name cannot be a release's",
                    link.display(),
                    leads_to.display()
                )
            }
            LiveError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for LiveError {}
