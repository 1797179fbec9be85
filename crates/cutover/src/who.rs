//! Who: the name under which history records an event: `user@host`.

/// Who runs this command. Behind sudo it is the person, not root.
pub fn who() -> String {
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    format!("{}@{}", sudo.unwrap_or_else(user), host())
}

fn user() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        // In a container a user may have a number only.
        Ok(None) | Err(_) => uid.to_string(),
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}
