//! Program: the file of the running program: what is put at the far end, and how it is told from another.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The program that runs.
#[derive(Debug)]
pub struct Program {
    file: File,
    hash: blake3::Hash,
    bytes: u64,
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the running program: {0}")]
pub struct ProgramError(#[from] std::io::Error);

/// The program that runs, also where its file was replaced since it was started.
pub fn own() -> Result<Program, ProgramError> {
    at(Path::new("/proc/self/exe"))
}

/// The program in a file.
pub fn at(path: &Path) -> Result<Program, ProgramError> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                hasher.update(buffer.get(..n).unwrap_or_default());
                bytes += n as u64;
            }
        }
    }
    Ok(Program { file, hash: hasher.finalize(), bytes })
}

/// A short name for something long.
pub fn short(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().chars().take(12).collect()
}

impl Program {
    /// BLAKE3, in hex.
    pub fn hash(&self) -> String {
        self.hash.to_hex().to_string()
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its content, from the beginning.
    pub(crate) fn content(&self) -> std::io::Result<impl Read> {
        use std::io::Seek;
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file.take(self.bytes))
    }
}
