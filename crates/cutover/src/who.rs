//! Who: the name under which history records an event: `user@host`.

use std::sync::OnceLock;

/// On whose behalf this process works, where that is somebody elsewhere.
static ELSEWHERE: OnceLock<String> = OnceLock::new();

/// From now on this process works for somebody at another machine.
pub fn work_for(who: &str) {
    let plain: String = who.chars().filter(|c| !c.is_control()).take(200).collect();
    ELSEWHERE.get_or_init(|| plain);
}

/// Who runs this command. Behind sudo it is the person, not root.
pub fn who() -> String {
    if let Some(who) = ELSEWHERE.get() {
        return who.clone();
    }
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
