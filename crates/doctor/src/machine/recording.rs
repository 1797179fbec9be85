//! Recording: a machine that keeps every answer, so that somebody else can look at it: `cutover doctor --collect`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fastcgi::Address;

use super::recorded::Line;
use super::{Kind, Machine, NoLook, Program, Question, Ran, Stat, Why, mask};
use crate::facts::links::Way;

/// A machine that keeps every answer it gives.
pub struct Recording<M> {
    of: M,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    nodes: BTreeMap<PathBuf, (Stat, Option<PathBuf>)>,
    /// By canonical path.
    files: BTreeMap<PathBuf, Vec<u8>>,
    denied: Vec<PathBuf>,
    answers: Vec<Line>,
}

/// Whose command lines are packed: those of others are nobody's business.
const COMMANDS: [&str; 8] = ["nginx", "php", "apache2", "httpd", "caddy", "lighttpd", "cron", "supervisor"];

impl<M: Machine> Recording<M> {
    /// Keeps the answers of a machine.
    pub fn of(machine: M) -> Recording<M> {
        Recording { of: machine, kept: RefCell::default() }
    }

    /// Writes all that was answered as a tar, secrets masked.
    pub fn pack(&self, out: impl Write) -> io::Result<()> {
        let kept = self.kept.borrow();
        let mut tar = tar::Builder::new(out);
        let mut lines = Vec::new();
        let put = |tar: &mut tar::Builder<_>, path: &Path, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, bytes)
        };
        for (path, bytes) in kept.files.iter().filter(|(path, bytes)| wanted(path, bytes)) {
            let below = path.strip_prefix("/").unwrap_or(path);
            put(&mut tar, &Path::new("root").join(below), &mask::file(path, bytes))?;
        }
        for (path, (stat, to)) in &kept.nodes {
            let unwanted = kept.files.get(path).is_some_and(|bytes| !wanted(path, bytes));
            if path.to_str().is_none() || unwanted && path.starts_with("/proc") {
                continue;
            }
            let Stat { kind, mode, uid, gid, size, mtime } = *stat;
            lines.push(Line::Node { path: path.clone(), kind, mode, uid, gid, size, mtime, to: to.clone() });
        }
        lines.extend(kept.denied.iter().map(|path| Line::Denied { path: path.clone() }));
        lines.extend(kept.answers.iter().cloned());
        let mut looked = Vec::new();
        for line in &lines {
            serde_json::to_writer(&mut looked, line)?;
            looked.push(b'\n');
        }
        put(&mut tar, Path::new("looked.jsonl"), &looked)?;
        tar.into_inner()?.flush()
    }

    /// Follows the way to a path, so that all links on it are kept; its canonical path.
    fn real(&self, path: &Path) -> Option<PathBuf> {
        Way::follow(self, path).real().map(Path::to_owned)
    }

    fn keep(&self, path: &Path, stat: Stat) {
        let to = if stat.kind == Kind::Link { self.of.link(path).ok() } else { None };
        // Links above it were followed by whoever asked, or are on the way of something else that was kept.
        self.kept.borrow_mut().nodes.insert(path.to_owned(), (stat, to));
    }

    fn denied<T>(&self, path: &Path, answer: Result<T, NoLook>) -> Result<T, NoLook> {
        if let Err(NoLook { why: Why::Denied, .. }) = &answer {
            self.kept.borrow_mut().denied.push(path.to_owned());
        }
        answer
    }
}

/// Whether a file's bytes are packed: text, and Apache's modules, whose make is judged by their bytes.
fn wanted(path: &Path, bytes: &[u8]) -> bool {
    let module = path.extension().is_some_and(|extension| extension == "so");
    let Ok(text) = std::str::from_utf8(bytes) else { return module };
    let command = path.starts_with("/proc") && path.file_name().is_some_and(|name| name == "cmdline");
    !command || COMMANDS.iter().any(|known| text.contains(known))
}

impl<M: Machine> Machine for Recording<M> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, NoLook> {
        let answer = self.denied(path, self.of.read(path));
        if let (Ok(bytes), Some(real)) = (&answer, self.real(path)) {
            self.kept.borrow_mut().files.insert(real, bytes.clone());
        }
        answer
    }

    fn entries(&self, dir: &Path) -> Result<Vec<OsString>, NoLook> {
        let answer = self.denied(dir, self.of.entries(dir));
        let real = self.real(dir);
        // Whatever is listed is there when it is listed again. Of processes only those that were looked at are.
        if let (Ok(names), Some(real)) = (&answer, real.filter(|real| real != Path::new("/proc"))) {
            for name in names {
                let path = real.join(name);
                // It may be gone already: then it is gone in the pack too.
                if let Ok(stat) = self.of.stat(&path) {
                    self.keep(&path, stat);
                }
            }
        }
        answer
    }

    fn stat(&self, path: &Path) -> Result<Stat, NoLook> {
        let answer = self.denied(path, self.of.stat(path));
        if let Ok(stat) = &answer {
            self.keep(path, *stat);
        }
        answer
    }

    fn link(&self, path: &Path) -> Result<PathBuf, NoLook> {
        self.stat(path)?;
        self.of.link(path)
    }

    fn run(&self, program: &Program) -> Result<Ran, NoLook> {
        let answer = self.of.run(program)?;
        let switches = program.switches.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let (stdout, stderr) = (mask::text(&answer.stdout), mask::text(&answer.stderr));
        let line = Line::Ran { file: program.file.clone(), switches, status: answer.status, stdout, stderr };
        self.kept.borrow_mut().answers.push(line);
        Ok(answer)
    }

    fn ask(&self, pool: &Address, question: &Question) -> Result<String, NoLook> {
        self.answered(pool, question, self.of.ask(pool, question))
    }

    fn ask_all(&self, asked: &[(Address, Question)]) -> Vec<Result<String, NoLook>> {
        let answers = self.of.ask_all(asked).into_iter().zip(asked);
        answers.map(|(answer, (pool, question))| self.answered(pool, question, answer)).collect()
    }
}

impl<M> Recording<M> {
    fn answered(
        &self,
        pool: &Address,
        question: &Question,
        answer: Result<String, NoLook>,
    ) -> Result<String, NoLook> {
        if let Some(value) = answer.as_deref().ok().and_then(|answer| serde_json::from_str(answer).ok()) {
            let line = Line::Asked {
                pool: pool.to_string(),
                question: question.name().to_owned(),
                answer: mask::json(value),
            };
            self.kept.borrow_mut().answers.push(line);
        }
        answer
    }
}
