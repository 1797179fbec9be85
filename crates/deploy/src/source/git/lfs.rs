//! Git LFS: large files that are kept elsewhere; a tree that needs it is refused where it is not installed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use crate::source::SourceError;
use crate::source::run::run;

/// Whether it is installed.
pub(super) fn installed() -> bool {
    run("git-lfs", Command::new("git-lfs").arg("version"), &mut |_| {}).is_ok()
}

/// The repository as git-lfs takes it: it finds out by itself where the large files of one are, but wants a path as an
/// address.
fn origin(origin: &str) -> String {
    if Path::new(origin).is_absolute() { format!("file://{origin}") } else { origin.to_owned() }
}

/// Refuses a tree whose .gitattributes (listed, NUL after each) hand files to git-lfs.
pub(super) fn not_needed(tree: &Path, listed: &[u8]) -> Result<(), SourceError> {
    for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let path = tree.join(OsStr::from_bytes(name));
        // A link to nowhere, say, hands nothing to anybody.
        let text = std::fs::read(&path).unwrap_or_default();
        if text
            .split(|byte| *byte == b'\n')
            .any(|line| !line.starts_with(b"#") && line.windows(10).any(|at| at == b"filter=lfs"))
        {
            return Err(SourceError::NoLfs { path });
        }
    }
    Ok(())
}

/// Lets git run it, though nobody has configured that.
pub(super) fn configure(command: &mut Command, repository: &str) {
    for set in ["smudge=git-lfs smudge -- %f", "process=git-lfs filter-process", "required=true"] {
        command.arg("-c").arg(format!("filter.lfs.{set}"));
    }
    command.arg("-c").arg(format!("remote.origin.url={}", origin(repository)));
}
