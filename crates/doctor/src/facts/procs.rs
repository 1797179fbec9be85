//! Procs: the processes of the machine, by their command lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::machine::Machine;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// The words it was started with.
    pub words: Vec<String>,
    /// Its command line, its arguments joined by blanks; a daemon may have put its title there.
    pub line: String,
}

/// What a process keeps in memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// All that is in memory for it, what it shares counted in full.
    pub rss: u64,
    /// What it shares divided among those that share it; `None`: it may not be read.
    pub pss: Option<u64>,
}

/// All processes whose command line may be read.
pub fn all(machine: &dyn Machine) -> Vec<Proc> {
    let names = machine.entries(Path::new("/proc")).unwrap_or_default();
    let pids = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    // A process that ended meanwhile is none.
    pids.filter_map(|pid| Proc::look(machine, pid)).collect()
}

impl Proc {
    fn look(machine: &dyn Machine, pid: u32) -> Option<Proc> {
        let bytes = machine.read(&dir(pid).join("cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let words = text.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        // `1 (name) S 0 …`: the name may have anything in it, brackets too (proc_pid_stat(5)).
        let stat = self::text(machine, &dir(pid).join("stat"))?;
        let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Some(Proc { pid, parent, words, line: text.replace('\0', " ").trim().to_owned() })
    }

    /// The file name of its program, as it was started.
    pub fn name(&self) -> &str {
        let first = self.words.first().map_or("", String::as_str);
        Path::new(first).file_name().and_then(|name| name.to_str()).unwrap_or("")
    }

    /// The word behind a switch, whether it is a word of its own or not.
    pub fn switch<'a>(&'a self, switch: &'a str) -> Option<&'a str> {
        self.switches(switch).next_back()
    }

    /// The words behind a switch that may come more than once.
    pub fn switches<'a>(&'a self, switch: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        (1..self.words.len()).filter_map(move |at| match self.words[at].strip_prefix(switch)? {
            "" => self.words.get(at + 1).map(String::as_str),
            joined => Some(joined.strip_prefix('=').unwrap_or(joined)),
        })
    }

    /// Its environment, as it was started; empty, if this user may not read it.
    pub fn environment(&self, machine: &dyn Machine) -> BTreeMap<String, String> {
        let path = dir(self.pid).join("environ");
        let bytes = machine.read(&path).unwrap_or_default();
        let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| std::str::from_utf8(pair).ok());
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// What a process keeps in memory.
pub fn memory(machine: &dyn Machine, pid: u32) -> Option<Memory> {
    let statm = text(machine, &dir(pid).join("statm"))?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let rollup = text(machine, &dir(pid).join("smaps_rollup"));
    let pss = rollup.and_then(|text| kilobytes(&text, "Pss:"));
    // Linux counts here in pages of 4 KiB wherever PHP is usually run.
    Some(Memory { rss: pages << 12, pss })
}

/// The machine's memory: all of it, and what could be had now, in bytes.
pub fn machine_memory(machine: &dyn Machine) -> Option<(u64, u64)> {
    let text = text(machine, Path::new("/proc/meminfo"))?;
    Some((kilobytes(&text, "MemTotal:")?, kilobytes(&text, "MemAvailable:")?))
}

/// What a process may see otherwise than this one does (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// File systems.
    Files,
    /// The network, its own loopback too.
    Network,
    /// Processes: their ids mean others here.
    Processes,
}

/// Whether a process sees something otherwise than this one; `None`: that may not be read.
pub fn is_apart(machine: &dyn Machine, pid: u32, sees: Sees) -> Option<bool> {
    let name = match sees {
        Sees::Files => "ns/mnt",
        Sees::Network => "ns/net",
        Sees::Processes => "ns/pid",
    };
    let there = machine.link(&dir(pid).join(name)).ok()?;
    let here = machine.link(&Path::new("/proc/self").join(name)).ok()?;
    Some(there != here)
}

/// `/proc/PID`.
pub fn dir(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn text(machine: &dyn Machine, path: &Path) -> Option<String> {
    machine.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Here;

    #[test]
    fn this_process_is_among_them() {
        let own = std::process::id();
        let all = all(&Here);
        let found = all.iter().find(|process| process.pid == own).unwrap();
        assert_eq!(found.parent, std::os::unix::process::parent_id());
        assert!(found.name().starts_with("doctor-"), "{found:?}");
        assert!(found.environment(&Here).contains_key("PATH"));
    }

    #[test]
    fn a_switch_has_its_word_beside_it_or_on_it() {
        let words = ["/usr/sbin/apache2", "-k", "start", "-f", "/x.conf", "-DA", "-D", "B", "--config=/y"];
        let words = words.map(String::from).to_vec();
        let process = Proc { pid: 1, parent: 0, words, line: String::new() };
        assert_eq!((process.name(), process.switch("-f")), ("apache2", Some("/x.conf")));
        assert_eq!(process.switches("-D").collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!((process.switch("--config"), process.switch("-d")), (Some("/y"), None));
    }
}
