//! Here: the machine this process runs on.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fastcgi::Address;

use super::{ENTRIES_MAX, FILE_MAX, Kind, Machine, NoLook, Program, Question, Ran, Stat, Why, turns};

/// Where a server's program is looked for.
const PROGRAM_DIRS: [&str; 6] =
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Here;

impl Machine for Here {
    fn read(&self, path: &Path) -> Result<Vec<u8>, NoLook> {
        let failed = |said: &io::Error| NoLook::io(path, said);
        // A pipe that somebody put there must not hold us up.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file =
            fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(|e| failed(&e))?;
        let stat = file.metadata().map_err(|e| failed(&e))?;
        if !stat.is_file() {
            return Err(NoLook::at(path, Why::Unlike(words(kind(stat.file_type())).into())));
        }
        let mut bytes = Vec::new();
        file.by_ref().take(FILE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if bytes.len() > FILE_MAX {
            return Err(NoLook::at(path, Why::TooLarge));
        }
        Ok(bytes)
    }

    fn entries(&self, dir: &Path) -> Result<Vec<OsString>, NoLook> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir).map_err(|e| NoLook::io(dir, &e))? {
            names.push(entry.map_err(|e| NoLook::io(dir, &e))?.file_name());
            if names.len() > ENTRIES_MAX {
                return Err(NoLook::at(dir, Why::TooLarge));
            }
        }
        names.sort();
        Ok(names)
    }

    fn stat(&self, path: &Path) -> Result<Stat, NoLook> {
        let stat = fs::symlink_metadata(path).map_err(|e| NoLook::io(path, &e))?;
        Ok(Stat {
            kind: kind(stat.file_type()),
            mode: stat.mode() & 0o7777,
            uid: stat.uid(),
            gid: stat.gid(),
            size: stat.len(),
            mtime: stat.mtime(),
        })
    }

    fn link(&self, path: &Path) -> Result<PathBuf, NoLook> {
        fs::read_link(path).map_err(|e| NoLook::io(path, &e))
    }

    fn run(&self, program: &Program) -> Result<Ran, NoLook> {
        if !program.may_run() {
            return Err(NoLook::at(&program.file, Why::Failed("not a program that the doctor runs".into())));
        }
        let file = find(&program.file).ok_or_else(|| NoLook::at(&program.file, Why::Absent))?;
        let failed = |said: &io::Error| NoLook::io(&file, said);
        let mut child = Command::new(&file)
            .args(&program.switches)
            .env_clear()
            .env("PATH", PROGRAM_DIRS.join(":"))
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(&e))?;
        let out = child.stdout.take().map(drained);
        let err = child.stderr.take().map(drained);
        let Some(status) = waited(&mut child).map_err(|e| failed(&e))? else {
            return Err(NoLook::at(&program.file, Why::TimedOut));
        };
        let text = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
            let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Ran { status, stdout: text(out), stderr: text(err) })
    }

    fn ask(&self, pool: &Address, question: &Question) -> Result<String, NoLook> {
        super::ask::ask(pool, question)
    }

    fn ask_all(&self, asked: &[(Address, Question)]) -> Vec<Result<String, NoLook>> {
        turns::take(asked, Instant::now() + turns::PATIENCE, super::ask::ask)
    }
}

fn find(file: &Path) -> Option<PathBuf> {
    if file.is_absolute() {
        return file.is_file().then(|| file.to_owned());
    }
    PROGRAM_DIRS.iter().map(|dir| Path::new(dir).join(file)).find(|path| path.is_file())
}

/// Reads a pipe to its end on a thread of its own, so that a full pipe holds nobody up; keeps what is sensible.
fn drained(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut chunk = [0; 8192];
        while let Ok(n @ 1..) = pipe.read(&mut chunk) {
            if kept.len() < FILE_MAX {
                kept.extend_from_slice(&chunk[..n]);
            }
        }
        kept
    })
}

/// The exit status, if the program ended in time; it is ended otherwise.
fn waited(child: &mut Child) -> io::Result<Option<Option<i32>>> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code()));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn kind(of: fs::FileType) -> Kind {
    if of.is_file() {
        Kind::File
    } else if of.is_dir() {
        Kind::Directory
    } else if of.is_symlink() {
        Kind::Link
    } else if of.is_socket() {
        Kind::Socket
    } else {
        Kind::Other
    }
}

pub(super) fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Directory => "a directory",
        Kind::Link => "a link",
        Kind::Socket => "a socket",
        Kind::Other => "a special file",
    }
}
