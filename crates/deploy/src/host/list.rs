//! List: what a tree holds, as it is sent: each directory, file and link, with what makes it what it is.
//!
//! ```text
//! "cutover tree 1\n"  then entries, then 0    (numbers are little-endian; the whole stream is zstd)
//! 'd' mode u32  path                          a directory; it comes before what is in it
//! 'f' mode u32  path  size u64  mtime i64  hash 32
//! 'l' mode u32  path  text                    a symbolic link
//! path, text: length u16, bytes
//! ```
//! What comes in is believed only as far as it cannot lead outside: no path is absolute or has `..` in it, and what
//! a path leads through is a directory of the same list.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};

use crate::store::blob::Hash;

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Below the top; never empty.
    pub path: Vec<u8>,
    /// The permission bits; 0 of a link.
    pub mode: u32,
    /// What it is.
    pub is: Is,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Is {
    /// A directory.
    Dir,
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// When it was written last, in nanoseconds since 1970.
        mtime_ns: i64,
        /// Its content.
        hash: Hash,
    },
    /// A symbolic link.
    Link {
        /// Its text.
        text: Vec<u8>,
    },
}

/// Why a list was not read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It did not come whole.
    #[error("the list of the tree did not come whole: {0}")]
    Cut(#[from] std::io::Error),
    /// It is no list, or one that no tree can have.
    #[error("the list of the tree makes no sense: {0}")]
    Malformed(String),
}

const MAGIC: &[u8] = b"cutover tree 1\n";

/// Writes a list; parents come before what is in them.
pub fn write(entries: &[Entry], to: &mut impl Write) -> std::io::Result<()> {
    to.write_all(MAGIC)?;
    for Entry { path, mode, is } in entries {
        let kind = match is {
            Is::Dir => b'd',
            Is::File { .. } => b'f',
            Is::Link { .. } => b'l',
        };
        to.write_all(&[kind])?;
        to.write_all(&mode.to_le_bytes())?;
        text(path, to)?;
        match is {
            Is::Dir => {}
            Is::File { size, mtime_ns, hash } => {
                to.write_all(&size.to_le_bytes())?;
                to.write_all(&mtime_ns.to_le_bytes())?;
                to.write_all(hash)?;
            }
            Is::Link { text: target } => text(target, to)?,
        }
    }
    to.write_all(&[0])
}

fn text(bytes: &[u8], to: &mut impl Write) -> std::io::Result<()> {
    let length = u16::try_from(bytes.len())
        .map_err(|_| std::io::Error::new(ErrorKind::InvalidInput, "a path longer than 65,535 bytes"))?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(bytes)
}

/// Reads a list to its end.
pub fn read(from: &mut impl Read) -> Result<Vec<Entry>, ListError> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(ListError::Malformed("it does not begin as one".into()));
    }
    let (mut entries, mut dirs, mut met) = (Vec::new(), HashSet::new(), HashSet::new());
    loop {
        let [kind] = bytes(from)?;
        if kind == 0 {
            return Ok(entries);
        }
        let mode = u32::from_le_bytes(bytes(from)?) & 0o1777;
        let path = string(from)?;
        let parent = parent(&path).map_err(ListError::Malformed)?;
        let odd = |what: &str| ListError::Malformed(format!("{:?} {what}", String::from_utf8_lossy(&path)));
        if !parent.is_empty() && !dirs.contains(parent) {
            return Err(odd("stands in no directory"));
        }
        if !met.insert(path.clone()) {
            return Err(odd("stands there twice"));
        }
        let is = match kind {
            b'd' => {
                dirs.insert(path.clone());
                Is::Dir
            }
            b'f' => Is::File {
                size: u64::from_le_bytes(bytes(from)?),
                mtime_ns: i64::from_le_bytes(bytes(from)?),
                hash: bytes(from)?,
            },
            b'l' => Is::Link { text: string(from)? },
            _ => return Err(odd("is nothing that is known")),
        };
        if matches!(&is, Is::Link { text } if text.is_empty() || text.contains(&0)) {
            return Err(odd("leads nowhere"));
        }
        entries.push(Entry { path, mode, is });
    }
}

fn bytes<const N: usize>(from: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn string(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let length = u16::from_le_bytes(bytes(from)?);
    let mut text = vec![0; usize::from(length)];
    from.read_exact(&mut text)?;
    Ok(text)
}

/// The directory that a path stands in; refuses what could lead outside.
fn parent(path: &[u8]) -> Result<&[u8], String> {
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
    if !path.split(|byte| *byte == b'/').all(plain) {
        return Err(format!("{:?} is no path below a tree", String::from_utf8_lossy(path)));
    }
    let split = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    Ok(path.get(..split).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dir(path: &str) -> Entry {
        Entry { path: path.into(), mode: 0o755, is: Is::Dir }
    }

    fn file(path: &str) -> Entry {
        Entry { path: path.into(), mode: 0o644, is: Is::File { size: 3, mtime_ns: -1, hash: [7; 32] } }
    }

    fn link(path: &str, text: &str) -> Entry {
        Entry { path: path.into(), mode: 0, is: Is::Link { text: text.into() } }
    }

    fn again(entries: &[Entry]) -> Result<Vec<Entry>, ListError> {
        let mut wire = Vec::new();
        write(entries, &mut wire).unwrap();
        read(&mut &wire[..])
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_no_part_of_it_is_taken_for_all() {
        let entries = [dir("a"), file("a/b\n\u{ff}"), link("a/l", "../.."), dir("a/c"), file("z")];
        assert_eq!(again(&entries).unwrap(), entries);
        let mut wire = Vec::new();
        write(&entries, &mut wire).unwrap();
        for at in 0..wire.len() {
            assert!(read(&mut &wire[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn what_could_lead_outside_is_refused() {
        for entries in [
            vec![file("../x")],
            vec![file("/etc/passwd")],
            vec![file("a/b")],
            vec![file("")],
            vec![dir("a"), file("a//b")],
            vec![dir("a"), file("a/./b")],
            vec![link("a", "/etc"), file("a/passwd")],
            vec![file("a"), file("a/b")],
            vec![file("a"), file("a")],
            vec![file("a\0b")],
            vec![link("a", "")],
        ] {
            assert!(matches!(again(&entries), Err(ListError::Malformed(_))), "{entries:?}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_and_does_no_harm(bytes: Vec<u8>) {
            let wire = [MAGIC, &bytes].concat();
            if let Ok(entries) = read(&mut &wire[..]) {
                prop_assert!(entries.len() <= bytes.len());
            }
        }
    }
}
