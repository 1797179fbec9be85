//! Text: how a manifest is written.
//!
//! ```text
//! cutover manifest 1 NUL id NUL inode NUL born NUL count NUL
//! path NUL type NUL mode NUL size NUL mtime NUL hash NUL target NUL      once per entry, sorted by path
//! end NUL sum newline
//! ```
//! `type` is `f`, `d` or `l`; `mode` is octal; `born` and `mtime` are nanoseconds since 1970; `hash` is BLAKE3 in hex,
//! of files only; `target` is the text of links only. The release itself is the entry with the empty path. The inode
//! and the time of birth name the tree that was sealed: a directory that was remade under the same name, even with
//! the same inode, is another.

#[cfg(any(test, feature = "seal"))]
use super::TreeId;
use super::{Entry, Kind, ManifestError};
#[cfg(any(test, feature = "seal"))]
use crate::id::ReleaseId;
use crate::sum::sum;
use std::ffi::CStr;

const MAGIC: &[u8] = b"cutover manifest 1";
pub(super) const END: &[u8] = b"end\0";
/// Sixteen hex digits and the newline.
pub(super) const SUM_LEN: usize = 17;

/// The fields of a manifest, one by one.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// Which entry is being read.
    pub(super) entry: usize,
}

impl<'a> Fields<'a> {
    /// What stands between the first line and the end mark, once the sum was found right.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Fields<'a>, ManifestError> {
        let mut fields = Fields { rest: checked(bytes)?, entry: 0 };
        if fields.next()? != MAGIC {
            return Err(fields.malformed("it does not begin with `cutover manifest 1`"));
        }
        Ok(fields)
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn next(&mut self) -> Result<&'a [u8], ManifestError> {
        let field = CStr::from_bytes_until_nul(self.rest).map_err(|_| self.malformed("it ends early"))?;
        self.rest = self.rest.get(field.count_bytes() + 1..).unwrap_or_default();
        Ok(field.to_bytes())
    }

    pub(super) fn number<N: std::str::FromStr>(&mut self, what: &'static str) -> Result<N, ManifestError> {
        let text = std::str::from_utf8(self.next()?).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| self.malformed(what))
    }

    fn nothing(&mut self, what: &'static str) -> Result<(), ManifestError> {
        if self.next()?.is_empty() { Ok(()) } else { Err(self.malformed(what)) }
    }

    pub(super) fn entry(&mut self) -> Result<Entry, ManifestError> {
        let kind = self.next()?;
        let mode = std::str::from_utf8(self.next()?).ok().and_then(|mode| u32::from_str_radix(mode, 8).ok());
        let mode = mode.ok_or_else(|| self.malformed("the mode"))?;
        let kind = match kind {
            b"f" => {
                let (size, mtime_ns) = (self.number("the size")?, self.number("the time")?);
                let hash = unhex(self.next()?).ok_or_else(|| self.malformed("the hash"))?;
                self.nothing("a file has no target")?;
                Kind::File { hash, size, mtime_ns }
            }
            b"d" | b"l" => {
                self.nothing("only a file has a size")?;
                self.nothing("only a file has a time")?;
                self.nothing("only a file has a hash")?;
                let target = self.next()?;
                match (kind, target) {
                    (b"l", b"") => return Err(self.malformed("a link has a target")),
                    (b"l", target) => Kind::Link { target: target.into() },
                    (_, b"") => Kind::Dir,
                    (_, _) => return Err(self.malformed("a directory has no target")),
                }
            }
            _ => return Err(self.malformed("the type is none of f, d, l")),
        };
        Ok(Entry { kind, mode })
    }

    pub(super) fn malformed(&self, what: &'static str) -> ManifestError {
        ManifestError::Malformed { what, entry: self.entry }
    }
}

#[cfg(any(test, feature = "seal"))]
fn hex(hash: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut hash = [0; 32];
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Writes a manifest; the entries are sorted by path, each path once.
#[cfg(any(test, feature = "seal"))]
pub(crate) fn write(id: &ReleaseId, tree: TreeId, entries: &[(Vec<u8>, Entry)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 160 + 128);
    let mut field = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        out.push(0);
    };
    field(MAGIC);
    field(id.as_str().as_bytes());
    field(tree.ino.to_string().as_bytes());
    field(tree.born_ns.to_string().as_bytes());
    field(entries.len().to_string().as_bytes());
    for (path, entry) in entries {
        field(path);
        let (kind, size, mtime, hash, target): (&[u8], _, _, _, &[u8]) = match &entry.kind {
            Kind::File { hash, size, mtime_ns } => {
                (b"f", size.to_string(), mtime_ns.to_string(), hex(hash), b"")
            }
            Kind::Dir => (b"d", String::new(), String::new(), String::new(), b""),
            Kind::Link { target } => (b"l", String::new(), String::new(), String::new(), target),
        };
        field(kind);
        field(format!("{:o}", entry.mode).as_bytes());
        field(size.as_bytes());
        field(mtime.as_bytes());
        field(hash.as_bytes());
        field(target);
    }
    out.extend_from_slice(END);
    let sum = sum(&out);
    out.extend_from_slice(format!("{sum:016x}\n").as_bytes());
    out
}

/// Checks the sum, and gives what stands before the end mark.
fn checked(bytes: &[u8]) -> Result<&[u8], ManifestError> {
    let split = bytes.len().checked_sub(SUM_LEN).ok_or(ManifestError::Torn)?;
    let (summed, end) = bytes.split_at(split);
    if end != format!("{:016x}\n", sum(summed)).as_bytes() {
        return Err(ManifestError::Torn);
    }
    summed.strip_suffix(END).ok_or(ManifestError::Torn)
}

/// Whether this is a relative path without empty, `.` or `..` parts. The empty path is the release itself.
pub(super) fn ordinary(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}
