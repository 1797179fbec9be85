//! Control: the socket by which `cutover reload`, `status`, `drain`, `upgrade` and `maintenance` reach a running
//! server. One request, one answer, each a line of JSON.

use std::io;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest line of a request, in bytes.
pub const LINE_BYTES: u64 = 64 * 1024;

/// What the server is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// What is served, and by which release.
    Status,
    /// Read the configuration again.
    Reload,
    /// Finish what is in hand and end.
    Drain,
    /// Hand the sockets to a new process of this program, then drain.
    Upgrade {
        /// The program; the one on disk under the running one's name where none is given.
        program: Option<PathBuf>,
    },
    /// The live release of one site was sealed: make anew what was made of it.
    Renew {
        /// The site.
        site: String,
    },
    /// Start a fresh php-fpm for a release that is to go live, or give the one that was started for it.
    Fresh {
        /// The site.
        site: String,
        /// The release.
        release: String,
    },
    /// End the fresh php-fpm of a release that does not go live after all.
    Discard {
        /// The site.
        site: String,
        /// The release; any where none is given.
        release: Option<String>,
    },
    /// Close idle connections to php-fpm, so that its workers count as idle.
    CloseIdle {
        /// The site.
        site: String,
    },
    /// Turn the maintenance page of one site on or off.
    Maintenance {
        /// The site.
        site: String,
        /// On or off.
        on: bool,
    },
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done(String),
    /// It was not done; all is as it was.
    Failed(String),
    /// To [`Command::Status`].
    Status(Status),
    /// To [`Command::Fresh`].
    Fresh(Box<MasterStatus>),
}

/// What a server is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// Seconds since it began.
    pub up_seconds: u64,
    /// Open connections.
    pub connections: usize,
    /// Whether it is about to end.
    pub draining: bool,
    /// How changes of the links are noticed.
    pub look: String,
    /// Its listening sockets, as bound.
    pub listen: Vec<String>,
    /// Its sites.
    pub sites: Vec<SiteStatus>,
}

/// What a server knows of one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Its name.
    pub name: String,
    /// The release that new requests get.
    pub release: Option<String>,
    /// Requests in flight on that release.
    pub in_flight: i64,
    /// Why the link names no release, if so.
    pub link_error: Option<String>,
    /// Whether visitors get the maintenance page.
    pub maintenance: bool,
    /// The releases that it has pinned: the live one, and those that old requests are still on.
    #[serde(default)]
    pub pinned: Vec<PinnedStatus>,
    /// Its own php-fpm masters; none: it has no PHP, or a pool of somebody else's.
    #[serde(default)]
    pub masters: Vec<MasterStatus>,
}

/// What a server knows of one release that it has pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedStatus {
    /// The release.
    pub release: String,
    /// Requests in flight on it. None, and yet pinned: a script goes on behind its response.
    pub in_flight: i64,
    /// How long ago it was first pinned, in seconds.
    pub seconds: u64,
}

/// What a server knows of one of its php-fpm masters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterStatus {
    /// `current` (it runs the live release), `fresh` (it waits for its release to go live) or `leaving`.
    pub role: String,
    /// Its process; `None` for the moment it takes to start it again.
    pub pid: Option<u32>,
    /// Where requests go.
    pub socket: PathBuf,
    /// Where requests for its status go.
    pub status: PathBuf,
    /// The releases whose scripts ran in it.
    pub releases: Vec<String>,
    /// The release that it was started for.
    pub made_for: Option<String>,
    /// Requests that it works on.
    pub busy: usize,
    /// How long ago its release ceased to be live, in seconds.
    pub leaving_seconds: Option<u64>,
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No server is there.
    #[error("no server answers on {}: is `cutover serve` running for this app?", .0.display())]
    NotRunning(PathBuf),
    /// The socket may not be used.
    #[error("cannot reach the server on {}", path.display())]
    Reach {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer is not understood.
    #[error("the server on {} gave an answer that cannot be read: is it another version?", .0.display())]
    Answer(PathBuf),
}

/// Asks the server behind `socket`, and waits for its answer at most `patience`.
pub fn ask(socket: &Path, command: &Command, patience: Duration) -> Result<Answer, ControlError> {
    let reach = |source: io::Error| {
        if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
            return ControlError::NotRunning(socket.to_owned());
        }
        ControlError::Reach { path: socket.to_owned(), source }
    };
    let mut stream = UnixStream::connect(socket).map_err(reach)?;
    stream.set_read_timeout(Some(patience)).map_err(reach)?;
    let mut line = serde_json::to_vec(command).map_err(|error| reach(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(reach)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(reach)?;
    serde_json::from_str(&answer).map_err(|_malformed| ControlError::Answer(socket.to_owned()))
}
