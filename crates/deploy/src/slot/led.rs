//! Led: where links of slots have led that are there no more: `.cutover/led`. PHP finds compiled code by the paths it
//! once met, so a link of the same path may only come back as it was.
//!
//! ```text
//! "cutover led 1" NUL, then for each link: its path below slots/ NUL text NUL
//! ```

use std::collections::BTreeMap;
use std::io;

use release::atomic::{self, AtomicError};
use release::{App, SlotName};
use rustix::io::Errno;

const MAGIC: &[u8] = b"cutover led 1";

/// Paths of links below their slot, and their texts.
pub(super) type Links = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where links of this slot have led.
pub(super) fn of(app: &App, slot: &SlotName) -> Result<Links, AtomicError> {
    let front = [slot.as_str().as_bytes(), b"/"].concat();
    let here = |(path, text): (Vec<u8>, Vec<u8>)| Some((path.strip_prefix(&front[..])?.to_vec(), text));
    Ok(read(app)?.into_iter().filter_map(here).collect())
}

/// Writes down where links of this slot have led; none: it has a path that nobody has met.
pub(super) fn note(app: &App, slot: &SlotName, links: &Links) -> Result<(), AtomicError> {
    let before = read(app)?;
    let front = [slot.as_str().as_bytes(), b"/"].concat();
    let mut all: Links = before.clone();
    all.retain(|path, _| !path.starts_with(&front));
    all.extend(links.iter().map(|(path, text)| ([&front[..], path].concat(), text.clone())));
    if all == before {
        return Ok(());
    }
    let mut out = MAGIC.to_vec();
    out.push(0);
    for part in all.iter().flat_map(|(path, text)| [path, text]) {
        out.extend_from_slice(part);
        out.push(0);
    }
    atomic::replace(&app.led(), &out)
}

fn read(app: &App) -> Result<Links, AtomicError> {
    let path = app.led();
    let failed = |why| AtomicError { tried: "read", path: path.clone(), why };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Links::new()),
        Err(error) => return Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
    };
    parse(&bytes).ok_or_else(|| failed(Errno::BADMSG))
}

fn parse(bytes: &[u8]) -> Option<Links> {
    let mut fields = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    if fields.next()? != MAGIC {
        return None;
    }
    let mut links = Links::new();
    while let Some(path) = fields.next() {
        links.insert(path.to_vec(), fields.next()?.to_vec());
    }
    Some(links)
}
