//! Pack: text files of a release get packed siblings (`app.js.br`), which servers send instead; each content is packed
//! once ever.
//!
//! ```text
//! .cutover/packed/<BLAKE3 of the file, hex>.br     the packed bytes, then their BLAKE3; no bytes: it saves too little
//! ```
//! A memory, not a truth: a torn or lost entry costs the work again.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use config::host::{Packing, StageKeys};
use flate2::Compression;
use flate2::write::GzEncoder;
use release::App;
use rustix::fs::{CWD, FileType, OFlags, fstat};
use rustix::io::Errno;

use crate::stage::content::write_all;
use crate::stage::create::{Creator, open_below, open_dir};
use crate::stage::grant::lies_in;
use crate::stage::list::each_in;
use crate::stage::traits::mode_of;
use crate::stage::{Owner, Rules, StageError, unwritten};
use crate::store;
use crate::store::blob::Traits;
use crate::store::index::time;

/// What was packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Siblings made.
    pub siblings: u64,
    /// How many of those had to be packed, because their content is new.
    pub anew: u64,
}

/// Larger files are left as they are: they are packed in memory.
const MOST: u64 = 64 << 20;
/// The work is done once, and the result sent for as long as the file stays: the best there is.
const GZIP_LEVEL: u32 = 9;
const BROTLI_QUALITY: i32 = 11;
const ZSTD_LEVEL: i32 = 19;
/// Files of these names shrink when they are packed.
const TEXT: &[&str] = &[
    "atom",
    "cjs",
    "css",
    "csv",
    "eot",
    "htm",
    "html",
    "ico",
    "ics",
    "js",
    "json",
    "jsonld",
    "map",
    "md",
    "mjs",
    "otf",
    "rss",
    "svg",
    "ttf",
    "txt",
    "vtt",
    "wasm",
    "webmanifest",
    "xhtml",
    "xml",
    "xsl",
];

/// Makes the siblings of a release that is staged and not sealed, below `docroot`. One that stands there already is
/// the source's own, and stays; places that may be written to get none.
pub fn pack(
    app: &App,
    rules: &Rules,
    keys: &StageKeys,
    dir: &Path,
    docroot: &Path,
    stop: &AtomicBool,
) -> Result<Packed, StageError> {
    if keys.precompress.is_empty() {
        return Ok(Packed::default());
    }
    let top = dir.join(docroot);
    let found = found(rules, keys, dir, &top)?;
    release::atomic::make_dir(&app.packed())?;
    let open = open_dir(CWD, dir).map_err(unwritten(dir))?;
    let creator = Creator::new(rules.owner(), &open).map_err(unwritten(dir))?;
    let (next, siblings, anew) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        while let Some(path) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let done = one(app, &creator, &keys.precompress, path)?;
            siblings.fetch_add(done.siblings, Ordering::Relaxed);
            anew.fetch_add(done.anew, Ordering::Relaxed);
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(found.len().max(1)));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Result<Vec<()>, StageError>>()
    })?;
    Ok(Packed { siblings: siblings.into_inner(), anew: anew.into_inner() })
}

/// Whether a file of a release may be a sibling that was made here, of a file that it has too.
pub(crate) fn is_sibling(packings: &[Packing], path: &[u8], has: impl Fn(&[u8]) -> bool) -> bool {
    packings.iter().any(|packing| {
        let of = path.strip_suffix(packing.suffix().as_bytes());
        of.is_some_and(|of| is_text(of) && has(of))
    })
}

/// Removes what is packed of contents that no release has any more.
pub(crate) fn sweep(app: &App) -> std::io::Result<()> {
    if !app.packed().exists() {
        return Ok(());
    }
    let used = store::used_hashes(app)?;
    let used: HashSet<String> =
        used.into_iter().map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()).collect();
    for entry in std::fs::read_dir(app.packed())? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().and_then(|name| name.split('.').next()).is_none_or(|hash| !used.contains(hash)) {
            release::atomic::effect();
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Files that are to have siblings.
fn found(rules: &Rules, keys: &StageKeys, dir: &Path, top: &Path) -> Result<Vec<PathBuf>, StageError> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(at) = todo.pop() {
        let unreadable = |why| StageError::Unreadable { path: at.clone(), why };
        let open = match open_dir(CWD, &at) {
            Ok(open) => open,
            // Without a docroot there is nothing to pack; whoever serves it will say so.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if at == top => break,
            Err(why) => return Err(unreadable(why)),
        };
        each_in(
            &open,
            &mut Vec::new(),
            |_, why| unreadable(why),
            |name, _| {
                let path = at.join(OsStr::from_bytes(name.to_bytes()));
                let stat = rustix::fs::lstat(&path).map_err(unreadable)?;
                let below = path.strip_prefix(dir).unwrap_or(&path).as_os_str().as_bytes();
                let private = rules.writable.iter().any(|place| lies_in(below, place.as_os_str().as_bytes()));
                let size = stat.st_size as u64;
                match FileType::from_raw_mode(stat.st_mode) {
                    _ if private => {}
                    FileType::Directory => todo.push(path),
                    FileType::RegularFile
                        if is_text(name.to_bytes()) && (keys.precompress_min..=MOST).contains(&size) =>
                    {
                        found.push(path);
                    }
                    FileType::RegularFile
                    | FileType::Symlink
                    | FileType::Fifo
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => {}
                }
                Ok(())
            },
        )?;
    }
    Ok(found)
}

/// Makes the siblings of one file.
fn one(app: &App, creator: &Creator, packings: &[Packing], path: &Path) -> Result<Packed, StageError> {
    let unreadable = |why| StageError::Unreadable { path: path.to_owned(), why };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Packed::default()) };
    let dir = open_dir(CWD, dir).map_err(unreadable)?;
    let file = open_below(&dir, name.as_bytes(), OFlags::RDONLY).map_err(unreadable)?;
    let stat = fstat(&file).map_err(unreadable)?;
    let mut plain = Vec::new();
    std::fs::File::from(file)
        .read_to_end(&mut plain)
        .map_err(|error| unreadable(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    let hash = blake3::hash(&plain).to_hex();
    let mut done = Packed::default();
    for packing in packings {
        let mut name = name.to_owned();
        name.push(packing.suffix());
        if rustix::fs::lstat(path.with_file_name(&name)).is_ok() {
            continue;
        }
        let memory = app.packed().join(format!("{hash}{}", packing.suffix()));
        let packed = match remembered(&memory) {
            Some(packed) => packed,
            None => {
                done.anew += 1;
                let packed =
                    packed(*packing, &plain).filter(|packed| packed.len() < plain.len() - plain.len() / 20);
                remember(&memory, packed.unwrap_or_default())
            }
        };
        if packed.is_empty() {
            continue;
        }
        let sibling = path.with_file_name(&name);
        let name = CString::new(name.as_bytes()).map_err(|_| unreadable(Errno::INVAL))?;
        // The same mode and time as the file: some servers take a sibling of another age for stale.
        let mode = mode_of(&stat);
        let Owner { uid, gid } = creator.owner();
        let traits = Traits { mode, uid, gid, mtime_ns: time(stat.st_mtime, stat.st_mtime_nsec as i64) };
        let made = creator.file(&dir, &name, mode).map_err(unwritten(&sibling))?;
        write_all(&made, &packed)
            .and_then(|()| creator.finish_file(&made, &traits))
            .map_err(unwritten(&sibling))?;
        done.siblings += 1;
    }
    Ok(done)
}

/// What was packed once, if it is whole.
fn remembered(memory: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(memory).ok()?;
    let sum = bytes.split_off(bytes.len().checked_sub(blake3::OUT_LEN)?);
    (blake3::hash(&bytes).as_bytes() == &sum[..]).then_some(bytes)
}

/// Keeps what was packed. Not synced: what is torn is seen by its sum, and packed again.
fn remember(memory: &Path, packed: Vec<u8>) -> Vec<u8> {
    let sum = blake3::hash(&packed);
    let whole = [&packed[..], sum.as_bytes()].concat();
    release::atomic::effect();
    // A memory that cannot be written costs the next deploy the same work.
    std::fs::write(memory, whole).unwrap_or(());
    packed
}

fn packed(packing: Packing, plain: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(plain.len() / 3);
    match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(out, Compression::new(GZIP_LEVEL));
            encoder.write_all(plain).ok()?;
            encoder.finish().ok()
        }
        Packing::Brotli => {
            let params = brotli::enc::BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                size_hint: plain.len(),
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*plain, &mut out, &params).ok()?;
            Some(out)
        }
        Packing::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).ok(),
    }
}

fn is_text(path: &[u8]) -> bool {
    let dot = path.iter().rposition(|byte| *byte == b'.');
    let extension = dot.and_then(|at| path.get(at + 1..)).unwrap_or_default();
    TEXT.iter().any(|text| extension.eq_ignore_ascii_case(text.as_bytes()))
}
