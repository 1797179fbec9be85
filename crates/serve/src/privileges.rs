//! Privileges: given up for good once the low ports are bound, before any thread exists.

use nix::unistd::{Gid, Group, Uid, User, geteuid, initgroups, setgid, setuid};

/// Why another user cannot be become.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Nobody has that name.
    #[error("there is no user {0:?} on this machine")]
    NoUser(String),
    /// No group has that name.
    #[error("there is no group {0:?} on this machine")]
    NoGroup(String),
    /// The system refused.
    #[error("cannot become user {user}")]
    Refused {
        /// Who.
        user: String,
        /// Why.
        source: nix::Error,
    },
    /// They came back.
    #[error("root could be had again after it was given up")]
    NotGone,
}

/// Whom to become.
#[derive(Debug, Clone)]
pub struct Account {
    name: std::ffi::CString,
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
}

impl Account {
    /// Looks up `serve.user` and `serve.group`; the user's own group where none is named.
    pub fn find(user: &str, group: Option<&str>) -> Result<Self, PrivilegeError> {
        let no_user = || PrivilegeError::NoUser(user.to_owned());
        let found = User::from_name(user).ok().flatten().ok_or_else(no_user)?;
        let gid = match group {
            None => found.gid,
            Some(group) => {
                let no_group = || PrivilegeError::NoGroup(group.to_owned());
                Group::from_name(group).ok().flatten().ok_or_else(no_group)?.gid
            }
        };
        let name = std::ffi::CString::new(user).map_err(|_nul| no_user())?;
        Ok(Self { name, uid: found.uid, gid })
    }

    /// Becomes this user for good. Does nothing for who is not root.
    pub fn become_it(&self) -> Result<(), PrivilegeError> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let refused =
            |source| PrivilegeError::Refused { user: self.name.to_string_lossy().into_owned(), source };
        initgroups(&self.name, self.gid).map_err(refused)?;
        setgid(self.gid).map_err(refused)?;
        setuid(self.uid).map_err(refused)?;
        if !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(PrivilegeError::NotGone);
        }
        Ok(())
    }
}
