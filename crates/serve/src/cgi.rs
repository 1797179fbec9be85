//! Cgi: executable files of the pinned release below a configured path, run per request (RFC 3875).
//!
//! ```text
//! /cgi-bin/a/b -> the file `a`, PATH_INFO /b -> the body in a file -> run -> head -> body as it comes
//! ```
//! Not supported: `nph-` programs, arguments from a query without `=`, and redirects within the server
//! (a `Location` without a scheme is sent to the client), X-Sendfile.

mod output;
pub mod program;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use http::{Method, Response, header};
use rustix::process::geteuid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::Body;
use crate::fpm::account;
use crate::gateway::intake::{Intake, IntakeError, Rules};
use crate::gateway::said::Said;
use crate::handle::Visit;
use crate::params::{PathMap, ScriptFacts, cgi_variables};
use crate::resource::path::{UrlPath, encode};
use crate::resource::{Script, script};
use crate::tree::Tree;
use crate::upload::Upload;

use self::program::{Job, Log, ProgramError};

/// Programs find others by it, unless the configuration says otherwise.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The CGI programs of a site.
pub struct Cgi {
    config: config::host::Cgi,
    /// URL path of the directory they lie in, below the docroot; with its slashes at both ends.
    directory: Vec<u8>,
    places: Arc<Semaphore>,
    /// Theirs are our paths.
    paths: PathMap,
}

impl Cgi {
    /// As configured.
    pub fn new(config: config::host::Cgi) -> Self {
        let directory = slashed(config.dir.as_os_str().as_encoded_bytes());
        let places = Arc::new(Semaphore::new(config.processes.clamp(1, Semaphore::MAX_PERMITS)));
        Self { config, directory, places, paths: PathMap::default() }
    }

    /// Whether this path is one of a program's.
    pub fn covers(&self, path: &[u8]) -> bool {
        self.config.path.covers(path)
    }

    /// Runs the program that the path leads to. `Err`: a status, once it is logged why.
    pub async fn run(
        &self,
        visit: &Visit<'_>,
        tree: &Tree,
        path: &UrlPath<'_>,
        body: Upload,
    ) -> Result<Response<Body>, u16> {
        let complain = |status: u16, why: &dyn std::fmt::Display| {
            visit.site.log.error(&visit.site.name, format_args!("{}: {why}", path.to_text()));
            status
        };
        let script = self.find(tree, path)?;
        if !script.file.starts_with(tree.root()) {
            return Err(complain(403, &"programs in shared/ are not run"));
        }
        let account = whom().ok_or_else(|| complain(500, &"programs are not run as root: set serve.user"))?;
        // No program waits for a slow client, and the length is known before it starts.
        let rules = Rules { most: visit.site.config.host.serve.limits.body, memory: 0, whole: true };
        let intake = Intake::take(&visit.request.headers, body, rules).await.map_err(|why| match &why {
            IntakeError::TooLong(_) => 413,
            IntakeError::Cut(_) => 400,
            IntakeError::Kept(_) => complain(500, &why),
        })?;
        let length = intake.length();
        let stdin = stdin(intake).map_err(|why| complain(500, &why))?;
        let place = self.place().await.ok_or_else(|| {
            complain(503, &format_args!("all {} places for programs are taken", self.config.processes))
        })?;
        let (log, about, name) = (
            visit.site.log.clone(),
            visit.site.name.clone(),
            String::from_utf8_lossy(&script.name).into_owned(),
        );
        let log: Log = Arc::new(move |line| log.warn(&about, format_args!("{name}: {line}")));
        let job = Job {
            env: self.environment(visit, tree, &script, length),
            file: script.file,
            stdin,
            account,
            timeout: self.config.timeout,
            place,
            log: Arc::clone(&log),
            hold: Box::new(Arc::clone(visit.pin)),
        };
        let (head, run) = program::run(job).await.map_err(|why| complain(status_of(&why), &why))?;
        let status = head.status;
        let unusable = || complain(502, &format_args!("a program cannot answer with status {status}"));
        let said = Said::of(head, false).ok_or_else(unusable)?;
        if said.send.is_some() {
            return Err(complain(502, &"X-Sendfile and X-Accel-Redirect are for PHP"));
        }
        let is_bodiless = said.is_bodiless();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = said.status;
        *response.headers_mut() = said.headers;
        if let Some(length) = said.length.filter(|_| !is_bodiless) {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        if visit.request.method == Method::HEAD || is_bodiless {
            tokio::spawn(run.discard());
        } else {
            *response.body_mut() = output::body(run, log);
        }
        Ok(response)
    }

    /// The program that a path leads to, by its URL.
    fn find(&self, tree: &Tree, path: &UrlPath<'_>) -> Result<Script, u16> {
        let below = self.config.path.rest(path.as_bytes()).ok_or(404u16)?;
        let prefix_len = path.as_bytes().len() - below.len();
        let own = slashed(&path.as_bytes()[..prefix_len]);
        if own == self.directory {
            return script::program(tree, path, &own).map_err(|why| why.status());
        }
        // Elsewhere on disk than in the URL: looked up there, told by its URL.
        let below = below.strip_prefix(b"/").unwrap_or(below);
        let there = encode(&[&self.directory, below].concat());
        let there = UrlPath::parse(&there).map_err(|why| why.status())?;
        let mut script = script::program(tree, &there, &self.directory).map_err(|why| why.status())?;
        script.name.splice(..self.directory.len(), own);
        Ok(script)
    }

    /// A place, as soon as one is free.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let waiting = Arc::clone(&self.places).acquire_owned();
        tokio::time::timeout(self.config.timeout, waiting).await.ok()?.ok()
    }

    fn environment(
        &self,
        visit: &Visit<'_>,
        tree: &Tree,
        script: &Script,
        content_length: Option<u64>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let facts = visit.facts(content_length);
        let script = ScriptFacts {
            file: &script.file,
            docroot: &script.docroot,
            name: &script.name,
            path_info: &script.path_info,
            release: visit.pin.id().as_ref(),
            release_root: tree.root(),
            paths: &self.paths,
        };
        let mut env = BTreeMap::from([(b"PATH".to_vec(), PATH.as_bytes().to_vec())]);
        env.extend(self.config.env.iter().map(|(name, value)| (name.clone().into(), value.clone().into())));
        cgi_variables(&facts, &script, |name, value| {
            // Who logged in here need not show the password once more (RFC 3875, 4.1.18).
            if !(name == b"HTTP_AUTHORIZATION" && facts.user.is_some()) {
                env.insert(name.to_vec(), value.to_vec());
            }
        });
        env.into_iter().collect()
    }
}

fn status_of(why: &ProgramError) -> u16 {
    match why {
        ProgramError::Start { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => 403,
        ProgramError::Start { .. } => 500,
        ProgramError::Read { .. } | ProgramError::Head { .. } => 502,
        ProgramError::Late { .. } => 504,
    }
}

/// Whom a program runs as: who serves, but never root. `None`: there is nobody else.
fn whom() -> Option<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Some(None);
    }
    account::usual().map(|user| Some((user.uid.as_raw(), user.gid.as_raw())))
}

/// The body as a file, from its first byte: what a program reads.
fn stdin(intake: Intake) -> io::Result<Option<File>> {
    match intake {
        Intake::None => Ok(None),
        Intake::Memory(bytes) if bytes.is_empty() => Ok(None),
        Intake::Memory(bytes) => {
            let mut file = tempfile::tempfile()?;
            file.write_all(&bytes)?;
            file.rewind()?;
            Ok(Some(file))
        }
        Intake::Disk(file, _) => {
            let mut file = Arc::into_inner(file).ok_or(io::ErrorKind::ResourceBusy)?;
            file.rewind()?;
            Ok(Some(file))
        }
        Intake::Live(..) => Err(io::Error::other("the body was not taken whole")),
    }
}

/// A path with one slash at both ends.
fn slashed(path: &[u8]) -> Vec<u8> {
    let mut slashed = vec![b'/'];
    for segment in path.split(|byte| *byte == b'/').filter(|segment| !matches!(*segment, b"" | b".")) {
        slashed.extend_from_slice(segment);
        slashed.push(b'/');
    }
    slashed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_told_with_its_slashes() {
        for (path, expected) in
            [("", "/"), ("/", "/"), ("cgi-bin", "/cgi-bin/"), ("/a/b/", "/a/b/"), ("./a//b", "/a/b/")]
        {
            assert_eq!(slashed(path.as_bytes()), expected.as_bytes());
        }
    }
}
