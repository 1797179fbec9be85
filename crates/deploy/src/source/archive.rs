//! An archive as the source: tar, tar.gz, tar.zst or zip, told by its first bytes, not by its name.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use release::atomic;

use crate::source::run::run;
use crate::source::unpack::Unpacked;
use crate::source::{Fetched, Revision, SourceError, disk};

/// Unpacks it into a directory of its own below `work`. An address is fetched by curl(1) first, which knows proxies,
/// certificates and .netrc.
pub(crate) fn fetch(
    archive: &str,
    base: &Path,
    work: &Path,
    out: &mut dyn FnMut(&[u8]),
) -> Result<Fetched, SourceError> {
    atomic::make_dir(work).map_err(|error| disk("make", work)(error.why))?;
    let file = if archive.contains("://") { download(archive, work, out)? } else { base.join(archive) };
    let tree = work.join("tree");
    // Begun anew: an archive says all that is in the tree, and what a build left is not.
    match std::fs::remove_dir_all(&tree) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(disk("remove", &tree)(error));
        }
        Ok(()) | Err(_) => {}
    }
    atomic::make_dir(&tree).map_err(|error| disk("make", &tree)(error.why))?;
    unpack(archive, &file, &tree)?;
    Ok(Fetched { tree, revision: Revision::default() })
}

fn download(address: &str, work: &Path, out: &mut dyn FnMut(&[u8])) -> Result<PathBuf, SourceError> {
    let file = work.join("archive");
    let mut command = Command::new("curl");
    command.args([
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--proto",
        "=http,https,file",
        "--output",
    ]);
    command.arg(&file).arg("--").arg(address);
    run("curl", &mut command, out)?;
    Ok(file)
}

fn unpack(archive: &str, path: &Path, tree: &Path) -> Result<(), SourceError> {
    let damaged = |why| SourceError::Damaged { archive: archive.to_owned(), why };
    let mut file = File::open(path).map_err(disk("open", path))?;
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head).map_err(disk("read", path))?;
    file.seek(SeekFrom::Start(0)).map_err(disk("read", path))?;
    let unpacked = Unpacked::into(archive, tree)?;
    match kind(&head) {
        Some(Kind::Tar) => tar(&unpacked, archive, BufReader::new(file)),
        Some(Kind::Gzip) => tar(&unpacked, archive, flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        Some(Kind::Zstd) => tar(&unpacked, archive, zstd::stream::read::Decoder::new(file).map_err(damaged)?),
        Some(Kind::Zip) => zip(&unpacked, archive, file),
        None => Err(SourceError::NoArchive { archive: archive.to_owned() }),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tar,
    Gzip,
    Zstd,
    Zip,
}

fn kind(head: &[u8]) -> Option<Kind> {
    match head {
        [0x1f, 0x8b, ..] => Some(Kind::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Kind::Zstd),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some(Kind::Zip),
        // `ustar` of POSIX and GNU; archives without it are forty years old.
        head if head.get(257..262) == Some(b"ustar") => Some(Kind::Tar),
        _ => None,
    }
}

fn tar(unpacked: &Unpacked<'_>, archive: &str, from: impl Read) -> Result<(), SourceError> {
    let damaged = |why| SourceError::Damaged { archive: archive.to_owned(), why };
    let mut from = tar::Archive::new(from);
    let mut entries = 0;
    for entry in from.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let header = entry.header();
        let mode = header.mode().map_err(damaged)?;
        let mtime = header.mtime().map_err(damaged)? as i64;
        let text = entry.link_name().map_err(damaged)?.map(|text| text.into_owned()).unwrap_or_default();
        entries += 1;
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            unpacked.file(&name, mode, mtime, &mut entry)?;
        } else if kind.is_dir() {
            unpacked.directory(&name, mode)?;
        } else if kind.is_symlink() {
            unpacked.link(&name, &text)?;
        } else if kind.is_hard_link() {
            unpacked.again(&name, &text)?;
        } else if !kind.is_pax_global_extensions() {
            return Err(unpacked.refused(&name, "is neither a file, a directory nor a link"));
        }
    }
    if entries == 0 {
        return Err(SourceError::NoArchive { archive: archive.to_owned() });
    }
    Ok(())
}

fn zip(unpacked: &Unpacked<'_>, archive: &str, file: File) -> Result<(), SourceError> {
    let damaged = |why: zip::result::ZipError| SourceError::Damaged {
        archive: archive.to_owned(),
        why: std::io::Error::other(why),
    };
    let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(damaged)?;
        let name = PathBuf::from(std::ffi::OsStr::from_bytes(entry.name_raw()));
        let mode = entry.unix_mode();
        let mtime = entry.last_modified().map_or(0, seconds);
        let kind = mode.unwrap_or(0) & 0o170_000;
        if entry.is_dir() {
            unpacked.directory(&name, mode.unwrap_or(0o755))?;
        } else if kind == 0o120_000 {
            let mut text = Vec::new();
            // No system has longer links (PATH_MAX).
            entry
                .by_ref()
                .take(4097)
                .read_to_end(&mut text)
                .map_err(|why| SourceError::Damaged { archive: archive.to_owned(), why })?;
            unpacked.link(&name, Path::new(std::ffi::OsStr::from_bytes(&text)))?;
        } else if matches!(kind, 0 | 0o100_000) {
            unpacked.file(&name, mode.unwrap_or(0o644), mtime, &mut entry)?;
        } else {
            return Err(unpacked.refused(&name, "is neither a file, a directory nor a link"));
        }
    }
    Ok(())
}

/// Seconds since 1970; a zip has no time zone, so it is taken as UTC.
fn seconds(time: zip::DateTime) -> i64 {
    let number = |part: u8| i8::try_from(part).unwrap_or(0);
    let date = jiff::civil::DateTime::new(
        i16::try_from(time.year()).unwrap_or(1980),
        number(time.month()),
        number(time.day()),
        number(time.hour()),
        number(time.minute()),
        number(time.second()),
        0,
    );
    date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
        .map_or(0, |zoned| zoned.timestamp().as_second())
}
