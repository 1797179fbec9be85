//! Running a program: its output is passed on as it comes, and its last words kept.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::source::SourceError;

/// How much of what a failed program said is repeated in the error.
const LAST_WORDS: usize = 2000;

/// Runs it to its end; gives what it wrote to stdout. What it writes to stderr goes to `out`.
pub(crate) fn run(
    program: &'static str,
    command: &mut Command,
    out: &mut dyn FnMut(&[u8]),
) -> Result<Vec<u8>, SourceError> {
    let no_program = |why| SourceError::NoProgram { program, why };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(no_program)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut said = Vec::new();
    // Both at once: a program that fills one pipe while we wait for the other would never end.
    let written = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(stdout));
        let mut buffer = [0; 8192];
        if let Some(mut stderr) = stderr {
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                let words = buffer.get(..n).unwrap_or_default();
                out(words);
                said.extend_from_slice(words);
                let surplus = said.len().saturating_sub(LAST_WORDS);
                said.drain(..surplus);
            }
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let status = child.wait().map_err(no_program)?;
    if !status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        return Err(SourceError::Failed {
            command: format!("{program} {}", words.join(" ")),
            status: status.to_string(),
            said: String::from_utf8_lossy(&said).trim().to_owned(),
        });
    }
    written.map_err(no_program)
}

fn read_all(from: Option<impl Read>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        from.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Its output as a line of text.
pub(crate) fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
