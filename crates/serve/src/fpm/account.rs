//! Account: who the workers of an embedded pool run as.

use nix::unistd::{Group, User};
use rustix::process::geteuid;

use super::FpmError;

/// What distributions call the user of web servers: Debian, Fedora, Alpine and nginx.org, Arch.
const USUAL: [&str; 4] = ["www-data", "apache", "nginx", "http"];

/// Who the workers run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// Who started us: only root can choose.
    Own,
    /// Another than root.
    Other {
        /// A name, or a number as text.
        user: String,
        /// Absent: the user's own.
        group: Option<String>,
    },
    /// Root, because the configuration says so.
    Root {
        /// Absent: root's own.
        group: Option<String>,
    },
}

/// Who the workers are to run as: the one named, else as root the distribution's user for web servers.
pub(crate) fn account(user: Option<&str>, group: Option<&str>) -> Result<Account, FpmError> {
    let own = geteuid();
    let named = user.map(|name| find_user(name).map(|uid| (name, uid))).transpose()?;
    let gid = group.map(find_group).transpose()?;
    let group = group.map(str::to_owned);
    if !own.is_root() {
        let other_user = named.filter(|(_, uid)| *uid != own.as_raw()).map(|(name, _)| name.to_owned());
        let other_group = group.filter(|_| gid != Some(rustix::process::getegid().as_raw()));
        return match other_user.or(other_group) {
            Some(who) => Err(FpmError::NeedsRoot { who }),
            None => Ok(Account::Own),
        };
    }
    match named {
        Some((_, 0)) => Ok(Account::Root { group }),
        Some((user, _)) => Ok(Account::Other { user: user.to_owned(), group }),
        None => {
            let user = usual().ok_or(FpmError::NoUser)?.name;
            Ok(Account::Other { user, group })
        }
    }
}

/// The distribution's user for web servers.
pub(crate) fn usual() -> Option<User> {
    USUAL.into_iter().find_map(|name| User::from_name(name).ok().flatten())
}

fn find_user(name: &str) -> Result<u32, FpmError> {
    match (User::from_name(name), name.parse()) {
        (Ok(Some(user)), _) => Ok(user.uid.as_raw()),
        (_, Ok(uid)) => Ok(uid),
        (Ok(None) | Err(_), Err(_)) => Err(FpmError::UnknownUser { name: name.to_owned() }),
    }
}

fn find_group(name: &str) -> Result<u32, FpmError> {
    match (Group::from_name(name), name.parse()) {
        (Ok(Some(group)), _) => Ok(group.gid.as_raw()),
        (_, Ok(gid)) => Ok(gid),
        (Ok(None) | Err(_), Err(_)) => Err(FpmError::UnknownGroup { name: name.to_owned() }),
    }
}
