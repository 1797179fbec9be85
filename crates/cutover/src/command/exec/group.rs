//! Group: a worker's process group: whether anything of it still runs, and what it is sent.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Whether a process of the group still runs. One that only waits to be reaped by a stranger does not.
pub fn runs(group: Pid) -> bool {
    if killpg(group, None) == Err(Errno::ESRCH) {
        return false;
    }
    let states = states(group);
    // None is seen where /proc hides them (hidepid): then the kernel's word counts.
    states.is_empty() || states.iter().any(|state| !matches!(state, 'Z' | 'X'))
}

/// Sends it to every process of the group. That none is left is fine.
pub fn send(group: Pid, signal: Signal) {
    // A process that became somebody else cannot be signalled, and ends by itself or not at all.
    killpg(group, signal).unwrap_or(());
}

/// The states of the processes of the group, as in proc_pid_stat(5).
fn states(group: Pid) -> Vec<char> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    stats.filter_map(|stat| state_in(&stat, group)).collect()
}

/// `41 (a name) S 1 41 …`: the state, if the process is of the group.
fn state_in(stat: &str, group: Pid) -> Option<char> {
    // The name may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?.chars().next()?;
    (words.nth(1)?.parse() == Ok(group.as_raw())).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn the_group_stands_behind_a_name_that_may_hold_anything() {
        assert_eq!(state_in("7 (a) Z 9 9 (b) S 1 41 41 0 -1", Pid::from_raw(41)), Some('S'));
        assert_eq!(state_in("7 (a) S 1 40 41 0 -1", Pid::from_raw(41)), None);
    }

    #[test]
    fn a_group_of_which_only_a_zombie_is_left_has_ended() {
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let group = Pid::from_raw(child.id().try_into().unwrap());
        assert!(runs(group));
        send(group, Signal::SIGKILL);
        while runs(group) {
            std::thread::yield_now();
        }
        assert_eq!(killpg(group, None), Ok(()), "it was not reaped yet");
        child.wait().unwrap();
        assert!(!runs(group));
    }
}
