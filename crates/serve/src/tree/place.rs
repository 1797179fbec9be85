//! Place: where something really lies, without links; and why nothing was found.

use rustix::io::Errno;

/// One of the two directories that files may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The pinned release.
    Release,
    /// The app's directory of what outlives releases.
    Shared,
}

/// A path below one of them, with no link in it when it was looked at. Relative; empty: the directory itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Below which directory.
    pub origin: Origin,
    /// The path there, as bytes without slashes at the ends.
    pub path: Vec<u8>,
}

/// Why nothing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// There is nothing of that name.
    #[error("there is nothing of that name")]
    Absent,
    /// The path goes on below something that is a file.
    #[error("the path goes on below a file")]
    BelowFile,
    /// A link leads out of the release and not into shared/.
    #[error("a link leads out of the release, and not into shared/")]
    Leaves,
    /// Links lead in a circle, or there are more than 40.
    #[error("links lead in a circle")]
    Loop,
    /// Neither file nor directory: a FIFO, socket or device.
    #[error("it is neither a file nor a directory")]
    Special,
    /// We may not read it.
    #[error("permission denied")]
    Denied,
    /// The system could not tell: out of descriptors, a failing disk.
    #[error("{0}")]
    Failed(Errno),
}

impl Place {
    pub(crate) fn release(path: &[u8]) -> Place {
        Place { origin: Origin::Release, path: path.to_vec() }
    }

    /// The last segment.
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Goes up by one; false at the top.
    pub(crate) fn pop(&mut self) -> bool {
        if self.path.is_empty() {
            return false;
        }
        self.path.truncate(memchr::memrchr(b'/', &self.path).unwrap_or(0));
        true
    }
}

impl Miss {
    /// The status that tells it.
    pub fn status(self) -> u16 {
        match self {
            Miss::Absent | Miss::BelowFile | Miss::Loop | Miss::Special => 404,
            Miss::Leaves | Miss::Denied => 403,
            Miss::Failed(_) => 503,
        }
    }

    /// A sentence for the visitor, which tells nothing about the disk.
    pub fn sentence(self) -> &'static str {
        match self {
            Miss::Absent | Miss::BelowFile | Miss::Loop | Miss::Special => {
                "There is nothing at this address."
            }
            Miss::Leaves | Miss::Denied => "This may not be seen.",
            Miss::Failed(_) => "This cannot be read just now.",
        }
    }
}

impl From<Errno> for Miss {
    fn from(why: Errno) -> Self {
        match why {
            // A name that cannot be is not there.
            Errno::NOENT | Errno::NAMETOOLONG | Errno::INVAL => Miss::Absent,
            Errno::NOTDIR => Miss::BelowFile,
            Errno::LOOP => Miss::Loop,
            Errno::XDEV => Miss::Leaves,
            Errno::ACCESS | Errno::PERM => Miss::Denied,
            // Sockets and some devices.
            Errno::NXIO | Errno::NODEV => Miss::Special,
            why => Miss::Failed(why),
        }
    }
}
