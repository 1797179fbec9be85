//! Mounts: which file system a path is on, and what is mounted where (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::machine::{Machine, NoLook};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is seen.
    pub point: PathBuf,
    /// What of its file system is seen there; `/`: all of it.
    pub root: PathBuf,
    /// The device of its file system, as `major:minor`.
    pub device: String,
    /// The kind of its file system: `ext4`, `overlay`, `nfs4`.
    pub kind: String,
    /// What it is mounted from: a device, `server:/export`.
    pub from: String,
}

/// The mounts that a process sees, in the order in which they were made.
pub fn of(machine: &dyn Machine, process: &Path) -> Result<Vec<Mount>, NoLook> {
    let bytes = machine.read(&process.join("mountinfo"))?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect())
}

/// The mount that a canonical path is on: of those above it the last of the deepest.
pub fn above<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

impl Mount {
    /// Whether other machines may change what is seen here, and the kernel does not tell.
    pub fn is_remote(&self) -> bool {
        let kinds =
            ["nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p", "virtiofs", "ocfs2", "gfs2"];
        kinds.contains(&self.kind.as_str()) || self.kind.starts_with("fuse.")
    }
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(line: &str) -> Option<Mount> {
    let (mine, of_all) = line.split_once(" - ")?;
    let mut mine = mine.split(' ').skip(2);
    let (device, root, point) = (mine.next()?, mine.next()?, mine.next()?);
    let mut of_all = of_all.split(' ');
    let (kind, from) = (of_all.next()?.to_owned(), of_all.next()?);
    Some(Mount {
        point: plain(point),
        root: plain(root),
        device: device.into(),
        kind,
        from: plain(from).display().to_string(),
    })
}

/// Blanks and the like are written in octal: `\040`.
fn plain(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let code = octal.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_odd_names() {
        let line = r"36 35 0:44 /releases/r1 /srv/my\040shop rw,noatime shared:1 master:2 - nfs4 files:/exp\134ort rw,vers=4";
        let mount = parse(line).unwrap();
        assert_eq!(
            (mount.point.as_path(), mount.root.as_path()),
            (Path::new("/srv/my shop"), Path::new("/releases/r1"))
        );
        assert_eq!(
            (mount.kind.as_str(), mount.from.as_str(), mount.is_remote()),
            ("nfs4", r"files:/exp\ort", true)
        );
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn the_deepest_mount_above_a_path_is_its_own() {
        let mount = |point: &str| parse(&format!("1 1 8:1 / {point} rw - ext4 /dev/sda rw")).unwrap();
        let mounts = [mount("/"), mount("/srv"), mount("/srv/shop"), mount("/srv/shopping")];
        assert_eq!(
            above(&mounts, Path::new("/srv/shop/current")).map(|mount| mount.point.as_path()),
            Some(Path::new("/srv/shop"))
        );
    }
}
