//! Users: names and groups, as the machine's files tell them (passwd(5), group(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::app::App;
use crate::machine::{Kind, Machine, Stat};

/// The users of a machine, as far as its files name them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// Name: user, and group of its own.
    known: BTreeMap<String, (u32, u32)>,
    /// Name: the groups that list it.
    listed: BTreeMap<String, BTreeSet<u32>>,
}

/// How a user may not enter a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// For certain.
    Surely,
    /// Unless an access control list says otherwise: the bits of the group are then its mask (acl(5)).
    UnlessAcl,
}

impl Users {
    /// Reads them; where that is not possible nobody is known.
    pub fn look(machine: &dyn Machine) -> Users {
        let text = |path: &str| {
            let bytes = machine.read(Path::new(path)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut users = Users::default();
        for line in text("/etc/passwd").lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, ..] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                users.known.insert(name.to_owned(), (uid, gid));
            }
        }
        for line in text("/etc/group").lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [_, _, gid, members] = fields[..]
                && let Ok(gid) = gid.parse::<u32>()
            {
                for member in members.split(',').filter(|member| !member.is_empty()) {
                    users.listed.entry(member.to_owned()).or_default().insert(gid);
                }
            }
        }
        users
    }

    /// The name of a user.
    pub fn name(&self, uid: u32) -> String {
        let known = self.known.iter().find(|(_, (id, _))| *id == uid);
        known.map_or_else(|| uid.to_string(), |(name, _)| name.clone())
    }

    /// Whether a user may not enter a directory; `None`: it may, or nobody can say.
    pub fn barred(&self, user: &str, stat: &Stat) -> Option<Barred> {
        let (uid, gid) = *self.known.get(user)?;
        if uid == 0 || stat.kind != Kind::Directory {
            return None;
        }
        if uid == stat.uid {
            return (stat.mode & 0o100 == 0).then_some(Barred::Surely);
        }
        let groups = self.listed.get(user);
        let in_group = gid == stat.gid || groups.is_some_and(|groups| groups.contains(&stat.gid));
        let bits = if in_group { stat.mode >> 3 } else { stat.mode };
        if bits & 0o1 == 1 {
            return None;
        }
        Some(if stat.mode & 0o070 == 0 { Barred::Surely } else { Barred::UnlessAcl })
    }
}

/// The directories down to an app's live release, with how they stand, the highest first.
pub fn above(machine: &dyn Machine, app: &App) -> Vec<(std::path::PathBuf, Stat)> {
    let dirs = app.current.real().into_iter().flat_map(Path::ancestors).filter(|dir| *dir != Path::new("/"));
    let mut dirs: Vec<_> = dirs.filter_map(|dir| Some((dir.to_owned(), machine.stat(dir).ok()?))).collect();
    dirs.reverse();
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recorded;

    #[test]
    fn who_may_enter_is_as_the_kernel_says() {
        let mut machine = Recorded::default();
        let passwd = "root:x:0:0::/:/bin/sh\nwww:x:33:33::/:/bin/false\ndeploy:x:1000:1000::/:/bin/sh\n";
        machine.file(Path::new("/etc/passwd"), passwd.into());
        machine.file(Path::new("/etc/group"), "www:x:33:\nteam:x:50:www,deploy\n".into());
        let users = Users::look(&machine);
        let dir = |mode, uid, gid| Stat { kind: Kind::Directory, mode, uid, gid, size: 0, mtime: 1 };
        for (user, stat, barred) in [
            ("www", dir(0o755, 1000, 1000), None),
            ("www", dir(0o700, 1000, 1000), Some(Barred::Surely)),
            ("www", dir(0o750, 1000, 50), None),
            ("www", dir(0o750, 1000, 1000), Some(Barred::UnlessAcl)),
            ("deploy", dir(0o077, 1000, 1000), Some(Barred::Surely)),
            ("root", dir(0, 1000, 1000), None),
            ("nobody-knows", dir(0, 1000, 1000), None),
        ] {
            assert_eq!(users.barred(user, &stat), barred, "{user} {:o}", stat.mode);
        }
        assert_eq!(users.name(1000), "deploy");
        assert_eq!(users.name(4), "4");
    }
}
