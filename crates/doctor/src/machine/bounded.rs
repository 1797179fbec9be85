//! Bounded: a machine of which only so much is looked at, whatever somebody has put there: directories of thousands of
//! files that name each other, patterns that fit everything, a file under ten thousand names.

use std::cell::Cell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fastcgi::Address;

use super::{Machine, NoLook, Program, Question, Ran, Stat, Why};

/// Paths that are looked at, entries of directories included: some seconds' worth. A machine with 200 sites, 100 pools and
/// ten apps of 30,000 files each takes less than a third of it.
const LOOKS_MAX: usize = 3_000_000;

/// Bytes that are read, in all.
const BYTES_MAX: usize = 1 << 30;

/// A machine of which only so much is looked at; what is beyond is refused as too much.
pub struct Bounded<'m> {
    of: &'m dyn Machine,
    looks: Cell<usize>,
    bytes: Cell<usize>,
}

impl Bounded<'_> {
    /// Bounds a machine.
    pub fn of(machine: &dyn Machine) -> Bounded<'_> {
        Bounded { of: machine, looks: Cell::new(LOOKS_MAX), bytes: Cell::new(BYTES_MAX) }
    }

    fn spend(&self, path: &Path) -> Result<(), NoLook> {
        let left = self.looks.get().checked_sub(1).filter(|_| self.bytes.get() > 0);
        self.looks.set(left.ok_or_else(|| NoLook::at(path, Why::TooMuch))?);
        Ok(())
    }
}

impl Machine for Bounded<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, NoLook> {
        self.spend(path)?;
        let bytes = self.of.read(path)?;
        self.bytes.set(self.bytes.get().saturating_sub(bytes.len()));
        Ok(bytes)
    }

    fn entries(&self, dir: &Path) -> Result<Vec<OsString>, NoLook> {
        self.spend(dir)?;
        let names = self.of.entries(dir)?;
        self.looks.set(self.looks.get().saturating_sub(names.len()));
        Ok(names)
    }

    fn stat(&self, path: &Path) -> Result<Stat, NoLook> {
        self.spend(path)?;
        self.of.stat(path)
    }

    fn link(&self, path: &Path) -> Result<PathBuf, NoLook> {
        self.spend(path)?;
        self.of.link(path)
    }

    fn run(&self, program: &Program) -> Result<Ran, NoLook> {
        self.of.run(program)
    }

    fn ask(&self, pool: &Address, question: &Question) -> Result<String, NoLook> {
        self.of.ask(pool, question)
    }

    fn ask_all(&self, asked: &[(Address, Question)]) -> Vec<Result<String, NoLook>> {
        self.of.ask_all(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recorded;

    #[test]
    fn what_is_beyond_the_bound_is_refused_with_the_reason() {
        let mut there = Recorded::default();
        there.file(Path::new("/etc/x"), vec![b'x'; 10]);
        let machine = Bounded { looks: Cell::new(4), bytes: Cell::new(15), ..Bounded::of(&there) };
        let etc = Path::new("/etc");
        assert_eq!(machine.entries(etc).unwrap(), ["x"]);
        assert!(machine.stat(etc).is_ok() && machine.stat(etc).is_ok());
        assert_eq!(machine.stat(etc).unwrap_err().why, Why::TooMuch);
        let machine = Bounded { looks: Cell::new(9), ..machine };
        let read = |name: &str| machine.read(Path::new(name)).map(|bytes| bytes.len());
        assert_eq!((read("/etc/x"), read("/etc/x")), (Ok(10), Ok(10)));
        assert_eq!(read("/etc/x").unwrap_err().why, Why::TooMuch);
    }
}
