//! POSIX ACLs: one more user who may read and write.
//!
//! Stored by the kernel in the extended attributes `system.posix_acl_access` and `system.posix_acl_default`: a
//! version of four bytes, then eight bytes per entry (tag u16, permissions u16, id u32), little-endian, sorted by tag
//! and id (linux/posix_acl_xattr.h, acl(5)).

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, XattrFlags, fgetxattr, fsetxattr, fstat};
use rustix::io::Errno;

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// Tag, permissions, id.
type Entry = (u16, u16, u32);

/// Lets `uid` read and write this file, or use this directory; of a directory also what will be made in it, and that
/// for `owner` too. What the ACL grants others stays.
pub(crate) fn grant(what: &OwnedFd, uid: u32, owner: u32) -> Result<(), Errno> {
    let stat = fstat(what)?;
    let mode = stat.st_mode;
    let directory = FileType::from_raw_mode(mode) == FileType::Directory;
    let execute = u16::from(directory || mode & 0o100 != 0);
    let own = of_mode(mode);
    let entries = read(what, ACCESS)?.unwrap_or_else(|| own.clone());
    let granted = with_user(entries.clone(), uid, 6 | execute);
    if granted != entries {
        fsetxattr(what, ACCESS, &write(&granted), XattrFlags::empty())?;
    }
    if directory {
        let entries = read(what, DEFAULT)?.unwrap_or(own);
        let granted = with_user(with_user(entries.clone(), uid, 7), owner, 7);
        if granted != entries {
            fsetxattr(what, DEFAULT, &write(&granted), XattrFlags::empty())?;
        }
    }
    Ok(())
}

fn of_mode(mode: u32) -> Vec<Entry> {
    let bits = |shift: u32| (mode >> shift & 7) as u16;
    vec![(USER_OBJ, bits(6), NO_ID), (GROUP_OBJ, bits(3), NO_ID), (OTHER, bits(0), NO_ID)]
}

/// Adds a user, and widens the mask so that its permissions count.
fn with_user(mut entries: Vec<Entry>, uid: u32, permissions: u16) -> Vec<Entry> {
    entries.retain(|(tag, _, id)| !(*tag == USER && *id == uid));
    entries.push((USER, permissions, uid));
    let group =
        |entries: &[Entry]| entries.iter().find(|entry| entry.0 == GROUP_OBJ).map_or(0, |entry| entry.1);
    match entries.iter().position(|entry| entry.0 == MASK) {
        Some(at) => {
            if let Some(mask) = entries.get_mut(at) {
                mask.1 |= permissions;
            }
        }
        None => {
            let group = group(&entries);
            entries.push((MASK, permissions | group, NO_ID));
        }
    }
    entries.sort_by_key(|(tag, _, id)| (*tag, *id));
    entries
}

fn read(what: &OwnedFd, name: &str) -> Result<Option<Vec<Entry>>, Errno> {
    let mut buffer = vec![0; 4096];
    let len = match fgetxattr(what, name, &mut buffer[..]) {
        Ok(len) => len,
        Err(Errno::NODATA) => return Ok(None),
        Err(why) => return Err(why),
    };
    let (version, entries) =
        buffer.get(..len).unwrap_or_default().split_first_chunk::<4>().ok_or(Errno::INVAL)?;
    if u32::from_le_bytes(*version) != VERSION {
        return Err(Errno::OPNOTSUPP);
    }
    let (entries, _) = entries.as_chunks::<8>();
    let entry = |[a, b, c, d, rest @ ..]: &[u8; 8]| {
        (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]), u32::from_le_bytes(*rest))
    };
    Ok(Some(entries.iter().map(entry).collect()))
}

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}
