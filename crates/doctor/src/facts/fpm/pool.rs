//! Pool: one pool of a master, and what it says when it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastcgi::Address;

use super::status::Status;
use super::{Apart, Master};
use crate::facts::Look;
use crate::facts::ini::{self, Entry};
use crate::facts::php::{Inside, Own, Php};
use crate::facts::procs::{self, Memory};
use crate::finding::{Blind, Edit, Finding, Fix};
use crate::machine::{Machine, NoLook, Question};
use crate::source::Span;

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Where its section begins.
    pub head: Option<Span>,
    /// Its lines, in order; `$pool` stands for its name.
    pub lines: Vec<Entry>,
    /// Where it listens, as it sees it; `None`: that is missing or makes no sense.
    pub listen: Option<Address>,
    /// Where it is to be asked.
    pub asked: Option<Address>,
    /// PHP in it.
    pub php: Php,
    /// Its status page.
    pub status: Look<Status>,
    /// What its workers keep in memory, those that could be seen.
    pub memory: Vec<Memory>,
}

/// Bytes of a value with the pool's name in it.
const VALUE_MAX: usize = 16 << 10;

/// Pools of one master that are looked at; more are an accident.
pub(super) const POOLS_MAX: usize = 2_000;

/// The pools of a master. One section in several places is one pool (fpm_conf.c, fpm_conf_ini_parser_section).
pub(super) fn of(master: &Master) -> Vec<Pool> {
    let mut order: Vec<Arc<str>> = Vec::new();
    let mut heads: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    let mut lines: BTreeMap<Arc<str>, Vec<Entry>> = BTreeMap::new();
    for file in &master.files {
        for head in file.heads.iter().filter(|head| !head.name.eq_ignore_ascii_case("global")) {
            if !heads.contains_key(&head.name) {
                order.push(head.name.clone());
                heads.insert(head.name.clone(), head.at.clone());
            }
        }
        for entry in &file.entries {
            lines.entry(entry.section.clone()).or_default().push(entry.clone());
        }
    }
    let pool = |name: Arc<str>| {
        let lines = lines.remove(&name).unwrap_or_default();
        Pool::of(master, heads.remove(&name), lines, name.to_string())
    };
    order.into_iter().take(POOLS_MAX + 1).map(pool).collect()
}

impl Pool {
    fn of(master: &Master, head: Option<Span>, mut lines: Vec<Entry>, name: String) -> Pool {
        for line in &mut lines {
            // A name may be a megabyte, and stand in each line.
            if line.value.len() + line.value.matches("$pool").count() * name.len() <= VALUE_MAX {
                line.value = line.value.replace("$pool", &name);
            }
        }
        let own = lines.iter().filter_map(own).collect();
        let home = lines.last().map(|line| line.at.clone()).or_else(|| head.clone());
        let php = Php {
            name: format!("the pool {name}"),
            files: Default::default(),
            own,
            home,
            inside: Look::Absent,
        };
        let mut pool = Pool {
            name,
            head,
            lines,
            listen: None,
            asked: None,
            php,
            status: Look::Absent,
            memory: Vec::new(),
        };
        pool.listen = pool.line("listen").and_then(|line| pool.address(&line.value));
        pool.asked = pool.listen.clone().and_then(|address| from_here(master, address));
        if pool.asked.is_none()
            && let Some(address) = &pool.listen
        {
            pool.php.inside = Look::Blind(Blind {
                what: format!("PHP as it runs in {}", pool.php.name),
                why: format!(
                    "it listens on {address} in a network of its own, where that is somebody else here: \
                     run `cutover doctor` in its container"
                ),
                at: pool.line("listen").map(|line| line.at.clone()),
            });
        }
        pool
    }

    /// The line that sets a key of the pool: the last one.
    pub fn line(&self, key: &str) -> Option<&Entry> {
        self.lines.iter().rfind(|line| line.key == key)
    }

    /// What a key of the pool is set to; empty: nothing.
    pub fn value(&self, key: &str) -> &str {
        self.line(key).map_or("", |line| &line.value)
    }

    /// The key as a number.
    pub fn number(&self, key: &str) -> Option<i64> {
        ini::number(self.value(key))
    }

    /// The key as seconds.
    pub fn seconds(&self, key: &str) -> Option<u64> {
        ini::seconds(self.value(key))
    }

    /// The directory that is its `/`.
    pub fn chroot(&self) -> Option<PathBuf> {
        self.path("chroot")
    }

    /// The key as a directory or file; a relative one is below the pool's prefix.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let value = self.value(key);
        (!value.is_empty()).then(|| Path::new(self.value("prefix")).join(value))
    }

    /// The workers that are seen on its status page.
    pub fn status(&self) -> Option<&Status> {
        match &self.status {
            Look::Seen(status) => Some(status),
            Look::Absent | Look::Blind(_) => None,
        }
    }

    /// A finding about one of its keys: at its line, or at the head of the pool where the line would be missing.
    pub fn wrong(&self, key: &str, what: String, to: &str) -> Finding {
        let line = self.line(key);
        let fix = Fix::from(format!("{key} = {to} in the pool {}", self.name));
        let fix = match (line, &self.php.home) {
            (Some(line), _) => fix.edit(Edit::Replace { at: line.value_at.clone(), with: to.to_owned() }),
            (None, Some(home)) => fix.edit(Edit::Below { at: home.clone(), lines: format!("{key} = {to}") }),
            (None, None) => fix,
        };
        Finding { at: line.map(|line| line.at.clone()).or(self.head.clone()), ..Finding::anywhere(what, fix) }
    }

    /// What it is to be asked; nothing, if it cannot be asked.
    pub(super) fn questions(&self) -> Vec<(Address, Question)> {
        let Some(address) = &self.asked else { return Vec::new() };
        let path = self.value("pm.status_path").to_owned();
        let suffix = self.value("security.limit_extensions").split_whitespace().next().unwrap_or(".php");
        let suffix = if suffix.eq_ignore_ascii_case("false") { ".php" } else { suffix }.to_owned();
        let inside = self.chroot().is_none().then(|| (address.clone(), Question::Inside { suffix }));
        let at = match self.value("pm.status_listen") {
            "" => Some(address.clone()),
            listen => self.address(listen),
        };
        let status = at.filter(|_| !path.is_empty()).map(|at| (at, Question::Status { path }));
        inside.into_iter().chain(status).collect()
    }

    /// Takes its answers; a pool of no running master has none, and nobody expects it.
    pub(super) fn answered(
        &mut self,
        machine: &dyn Machine,
        apart: Apart,
        answers: impl IntoIterator<Item = (Question, Result<String, NoLook>)>,
    ) {
        if let Some(dir) = self.chroot() {
            self.php.inside = Look::Blind(Blind {
                what: format!("PHP as it runs in {}", self.php.name),
                why: format!("it has its own root, {}, and cannot see a script of ours", dir.display()),
                at: self.line("chroot").map(|line| line.at.clone()),
            });
        }
        for (question, answer) in answers {
            match question {
                Question::Inside { .. } => {
                    self.php.inside = self.kept_out(apart, self.heard(&question, answer))
                }
                Question::Status { .. } => self.status = self.heard(&question, answer),
            }
        }
        // Ids that it tells are those of others here.
        if apart.processes {
            return;
        }
        let workers = self.status().into_iter().flat_map(|status| &status.workers).map(|worker| worker.pid);
        let pids: BTreeSet<u32> = workers.chain(self.php.inside().map(|inside| inside.pid)).collect();
        self.memory = pids.into_iter().filter_map(|pid| procs::memory(machine, pid)).collect();
    }

    /// Says so where `open_basedir`, or a container, keeps the pool from our script.
    fn kept_out(&self, apart: Apart, look: Look<Inside>) -> Look<Inside> {
        let own = self.php.own.iter().rfind(|own| own.key == "open_basedir" && !own.line.value.is_empty());
        match (look, own) {
            (Look::Blind(blind), Some(own)) => {
                let why = format!("open_basedir keeps it from a script of ours ({})", blind.why);
                Look::Blind(Blind { why, at: Some(own.line.at.clone()), ..blind })
            }
            (Look::Blind(blind), None) if apart.files => {
                let why = format!(
                    "it runs in a container, or with a /tmp of its own, and does not see a script of ours ({}): \
                     run `cutover doctor` in there",
                    blind.why
                );
                Look::Blind(Blind { what: format!("PHP as it runs in {}", self.php.name), why, ..blind })
            }
            (look, _) => look,
        }
    }

    /// An answer, parsed. A pool that nobody started has nothing to say.
    fn heard<T: serde::de::DeserializeOwned>(
        &self,
        question: &Question,
        answer: Result<String, NoLook>,
    ) -> Look<T> {
        let at = self.line("listen").map(|line| line.at.clone());
        match answer {
            Ok(answer) => match serde_json::from_str(&answer) {
                Ok(seen) => Look::Seen(seen),
                Err(said) => Look::Blind(Blind {
                    what: format!("what {} says of itself ({})", self.php.name, question.name()),
                    why: said.to_string(),
                    at,
                }),
            },
            Err(absent) if absent.is_absent() || absent.is_unrecorded() => Look::Absent,
            Err(why) => Look::Blind(Blind { at, ..why.into() }),
        }
    }

    fn address(&self, listen: &str) -> Option<Address> {
        let listen = listen.trim();
        if listen.is_empty() {
            return None;
        }
        if listen.bytes().all(|byte| byte.is_ascii_digit()) {
            return Address::parse(&format!("127.0.0.1:{listen}")).ok();
        }
        if let Some(port) = listen.strip_prefix("*:").or_else(|| listen.strip_prefix("0.0.0.0:")) {
            return Address::parse(&format!("127.0.0.1:{port}")).ok();
        }
        if let Some(port) = listen.strip_prefix("[::]:") {
            return Address::parse(&format!("[::1]:{port}")).ok();
        }
        if listen.contains(':') && !listen.contains('/') {
            return Address::parse(listen).ok();
        }
        let path = Path::new(self.value("prefix")).join(listen);
        path.is_absolute().then_some(Address::Unix(path))
    }
}

/// Where a pool is to be asked: one in a container has its sockets below another `/`, and its addresses, if it has a
/// network of its own, nowhere here.
fn from_here(master: &Master, address: Address) -> Option<Address> {
    match address {
        Address::Unix(path) => Some(Address::Unix(master.there(&path))),
        tcp @ Address::Tcp { .. } => (!master.own_network).then_some(tcp),
    }
}

/// `php_admin_value[memory_limit] = 128M` and its three relatives.
fn own(line: &Entry) -> Option<Own> {
    let (kind, rest) = line.key.split_once('[')?;
    let admin = match kind.trim() {
        "php_value" | "php_flag" => false,
        "php_admin_value" | "php_admin_flag" => true,
        _ => return None,
    };
    Some(Own { key: rest.strip_suffix(']')?.trim().to_owned(), admin, line: line.clone() })
}
