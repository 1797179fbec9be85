//! Trace: the system calls of a command that can change files, as strace(1) saw them.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// What strace is asked to tell: everything that changes files, and what may change them in a way nobody models here.
const CALLS: &str = "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,truncate,ftruncate,fallocate,\
    copy_file_range,sendfile,splice,ioctl,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,\
    rename,renameat,renameat2,chmod,fchmod,fchmodat,utimensat,fsync,fdatasync,syncfs,sync,sync_file_range,io_uring_setup";

/// One call that succeeded.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: String,
    pub args: Vec<Arg>,
    /// What it returned.
    pub result: i64,
    /// When it began, in lines of the trace; calls stand in the order they ended.
    pub began: usize,
    pub ended: usize,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A string or a buffer.
    Text(Vec<u8>),
    /// An open file, with its path of that moment.
    Open { path: Vec<u8>, deleted: bool },
    /// Anything else, as strace writes it.
    Word(String),
}

/// Runs a command under strace to its end, which must be a good one.
pub fn record(program: &Path, args: &[&str], scratch: &Path) -> Vec<Call> {
    let out = scratch.join("trace");
    let output = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "16777216",
            "-e",
            "signal=none",
            "-e",
            &format!("trace={CALLS}"),
            "-o",
        ])
        .arg(&out)
        .arg(program)
        .args(args)
        .output()
        .expect("strace is missing: run scripts/setup test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    parse(&std::fs::read_to_string(&out).unwrap())
}

/// Reads what strace wrote.
pub fn parse(text: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(head) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(pid, (at, head));
        } else if rest.starts_with("<... ") {
            let (_, tail) = rest.split_once(" resumed>").unwrap();
            let (began, head) = begun.remove(pid).unwrap();
            calls.extend(call(&format!("{head}{tail}"), began, at));
        } else {
            calls.extend(call(rest, at, at));
        }
    }
    calls
}

/// One call; `None`: it failed, or never returned.
fn call(line: &str, began: usize, ended: usize) -> Option<Call> {
    // The last one: every byte of what is quoted is written as \xNN.
    let (head, result) = line.rsplit_once(" = ").unwrap_or_else(|| panic!("no result: {line}"));
    let digits = result.split(['<', ' ']).next().unwrap();
    let result: i64 = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let (name, args) = head.trim_end().strip_suffix(')').unwrap().split_once('(').unwrap();
    (result >= 0).then(|| Call {
        name: name.into(),
        args: split(args).map(arg).collect(),
        result,
        began,
        ended,
    })
}

/// The arguments, at the commas that are in no brackets.
fn split(args: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    args.split(move |letter| {
        match letter {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|arg| !arg.is_empty())
}

fn arg(text: &str) -> Arg {
    if let Some(quoted) = text.strip_prefix('"') {
        let quoted = quoted.strip_suffix('"').unwrap_or_else(|| panic!("cut short: {text}"));
        return Arg::Text(bytes(quoted));
    }
    match text.split_once('<') {
        Some((number, rest)) if number == "AT_FDCWD" || number.parse::<i32>().is_ok() => {
            let (path, after) = rest.split_once('>').unwrap();
            let path = bytes(path);
            let name_of_dead = path.strip_suffix(b" (deleted)").map(<[u8]>::to_vec);
            let deleted = after.contains("deleted") || name_of_dead.is_some();
            Arg::Open { path: name_of_dead.unwrap_or(path), deleted }
        }
        _ => Arg::Word(text.into()),
    }
}

/// Bytes written as `\xNN`.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.split("\\x").skip(1);
    digits.map(|two| u8::from_str_radix(two, 16).unwrap_or_else(|_| panic!("not hex: {two}"))).collect()
}

impl Call {
    pub fn text(&self, at: usize) -> &[u8] {
        match &self.args[at] {
            Arg::Text(text) => text,
            other @ (Arg::Open { .. } | Arg::Word(_)) => panic!("{}: argument {at} is {other:?}", self.name),
        }
    }

    pub fn word(&self, at: usize) -> &str {
        match self.args.get(at) {
            Some(Arg::Word(word)) => word,
            other => panic!("{}: argument {at} is {other:?}", self.name),
        }
    }

    /// A number as strace writes it: octal with a leading 0, hexadecimal with 0x, else decimal.
    pub fn number(&self, at: usize) -> u64 {
        let word = self.word(at);
        let parsed = match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None if word.starts_with('0') => u64::from_str_radix(word, 8),
            None => word.parse(),
        };
        parsed.unwrap_or_else(|_| panic!("{}: argument {at} is {word}", self.name))
    }
}
