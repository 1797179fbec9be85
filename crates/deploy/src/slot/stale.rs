//! Stale: files of slots that PHP may still have compiled as they were before: `.cutover/stale`.
//!
//! ```text
//! "cutover stale 1" NUL, then for each file: its path below slots/ NUL inode NUL ctime in nanoseconds NUL
//! ```
//! Written before a slot is touched, with every file that stands there; taken away when each file that is another now
//! has been invalidated in every pool. Killed in between, the next deploy invalidates them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use config::host::Php;
use fastcgi::Address;
use release::atomic::{self, AtomicError};
use release::{App, SlotName};
use rustix::fs::CWD;
use rustix::io::Errno;

use crate::opcache::{Cache, OpcacheError, Unusable};
use crate::slot::base::Base;
use crate::stage::create::open_dir;
use crate::store::index::time;

/// Why PHP may still run what stood in a slot before. The release must not be made live then.
#[derive(Debug, thiserror::Error)]
pub enum StaleError {
    /// A pool did not forget them.
    #[error("PHP may still have the slot's old scripts compiled: {0}")]
    Pool(OpcacheError),
    /// The list could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list or the script could not be written.
    #[error(transparent)]
    Disk(#[from] AtomicError),
}

const MAGIC: &[u8] = b"cutover stale 1";
/// Files per request.
const BATCH: usize = 500;
/// Which file it was: inode and ctime.
type Mark = (u64, i64);
type Lines = BTreeMap<Vec<u8>, Mark>;

/// Notes every file of a slot that is about to be rewritten. What was noted before stays as it was noted.
pub(super) fn note(app: &App, slot: &SlotName, base: &Base) -> Result<(), StaleError> {
    let mut lines = read(app)?;
    for (path, stood) in &base.files {
        let path = [slot.as_str().as_bytes(), b"/", path].concat();
        lines.entry(path).or_insert((stood.ino, stood.ctime_ns));
    }
    let mut out = MAGIC.to_vec();
    out.push(0);
    for (path, (ino, ctime_ns)) in lines {
        out.extend_from_slice(&path);
        out.extend_from_slice(format!("\0{ino}\0{ctime_ns}\0").as_bytes());
    }
    Ok(atomic::replace(&app.stale(), &out)?)
}

/// Notes every file of a slot that is about to go for good; an error is what to tell people.
pub fn note_all(app: &App, slot: &SlotName) -> Result<(), String> {
    let path = app.slot(slot);
    let top = open_dir(CWD, &path).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    let base = Base::scan(&top, &path, None).map_err(|error| error.to_string())?;
    note(app, slot, &base).map_err(|error| error.to_string())
}

/// Has every pool forget what is not what it compiled, now that the slot is not written to any more; gives how many
/// files that are. With no pool that runs, the list stays for the next.
pub fn settle(app: &App, php: Option<&Php>, pools: &[Address]) -> Result<u64, StaleError> {
    let lines = read(app)?;
    if lines.is_empty() || php.is_some() && pools.is_empty() {
        return Ok(0);
    }
    let stale = stale(app, &lines);
    for pool in pools {
        let map = php.map_or(&[][..], |php| &php.path_map);
        forget(&Cache::of(app, map, pool).map_err(StaleError::Pool)?, &stale)?;
    }
    atomic::remove(&app.stale())?;
    Ok(stale.len() as u64)
}

/// The files that are another now, or gone.
fn stale(app: &App, lines: &Lines) -> Vec<PathBuf> {
    let slots = app.slots();
    #[allow(clippy::disallowed_methods, reason = "slots/ lies above every slot: no flip changes where it is")]
    let slots = slots.canonicalize().unwrap_or(slots);
    let changed = |path: &Path, mark: &Mark| {
        let now =
            rustix::fs::lstat(path).map(|stat| (stat.st_ino, time(stat.st_ctime, stat.st_ctime_nsec as i64)));
        now != Ok(*mark)
    };
    let files = lines.iter().map(|(path, mark)| (slots.join(OsStr::from_bytes(path)), mark));
    files.filter(|(path, mark)| changed(path, mark)).map(|(path, _)| path).collect()
}

fn read(app: &App) -> Result<Lines, StaleError> {
    let path = app.stale();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lines::new()),
        Err(source) => return Err(StaleError::Unreadable { path, source }),
    };
    parse(&bytes).ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it is not written as it should be");
        StaleError::Unreadable { path, source }
    })
}

fn parse(bytes: &[u8]) -> Option<Lines> {
    let mut fields = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    if fields.next()? != MAGIC {
        return None;
    }
    let mut lines = Lines::new();
    while let Some(path) = fields.next() {
        let mut number = || std::str::from_utf8(fields.next()?).ok();
        let mark = (number()?.parse().ok()?, number()?.parse().ok()?);
        lines.insert(path.to_vec(), mark);
    }
    Some(lines)
}

/// Has a pool forget these files. Where it has no opcache there is nothing to forget.
fn forget(cache: &Cache, files: &[PathBuf]) -> Result<(), StaleError> {
    for batch in files.chunks(BATCH) {
        match cache.invalidate(batch.iter().map(PathBuf::as_path)) {
            Ok(_) | Err(OpcacheError::Unusable { why: Unusable::Absent | Unusable::Off, .. }) => {}
            Err(error) => return Err(StaleError::Pool(error)),
        }
    }
    Ok(())
}

/// For errors of the disk where only [`Errno`] will do.
pub(super) fn errno(error: &StaleError) -> Errno {
    match error {
        StaleError::Disk(error) => error.why,
        StaleError::Unreadable { source, .. } => Errno::from_io_error(source).unwrap_or(Errno::IO),
        StaleError::Pool(_) => Errno::IO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again_and_what_is_torn_is_refused() {
        let bytes = b"cutover stale 1\0a/x.php\x0012\0-5\0b/y\0\x30\0\x30\0";
        let lines = parse(bytes).unwrap();
        assert_eq!(lines.get(&b"a/x.php"[..]), Some(&(12, -5)));
        assert_eq!(lines.len(), 2);
        for cut in 0..bytes.len() {
            let whole = parse(&bytes[..cut]).is_none_or(|lines| lines.len() < 2);
            assert!(whole, "{cut}");
        }
    }
}
