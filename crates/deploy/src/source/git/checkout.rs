//! Checkout: what a directory is a checkout of, and whether it is that to the letter.

use std::path::Path;

use crate::source::Revision;
use crate::source::git::git;
use crate::source::run::{line, run};
use crate::stage::exclude::Exclude;

/// What a directory is a checkout of, if it is one, or a part of one. Never fails: it only informs.
pub(crate) fn revision_of(dir: &Path, exclude: &Exclude) -> Revision {
    let ask = |words: &[&str]| {
        let mut command = git();
        // Looking must not write: the index may be another user's.
        command.arg("-C").arg(dir).arg("--no-optional-locks").args(words);
        run("git", &mut command, &mut |_| {}).ok()
    };
    let text = |words: &[&str]| ask(words).map(|bytes| line(&bytes)).filter(|text| !text.is_empty());
    let top = ask(&["rev-parse", "--show-cdup"]).is_some_and(|bytes| line(&bytes).is_empty());
    // A repository above would say nothing about a directory that it ignores, such as a build's output.
    let part = || text(&["rev-parse", "--verify", "--quiet", "HEAD:./"]).is_some();
    if text(&["rev-parse", "--is-inside-work-tree"]).as_deref() != Some("true") || !(top || part()) {
        return Revision::default();
    }
    Revision {
        commit: text(&["rev-parse", "--verify", "HEAD"]),
        branch: text(&["symbolic-ref", "--short", "-q", "HEAD"]),
        author: text(&["log", "-1", "--format=%an <%ae>"]),
        message: text(&["log", "-1", "--format=%s"]),
        dirty: dirty(
            &ask(&["rev-parse", "--show-prefix"]).map(|bytes| line(&bytes)).unwrap_or_default(),
            &ask(&["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."])
                .unwrap_or_default(),
            exclude,
        ),
    }
}

/// Whether anything that a release would take differs from the commit. `said` is what `git status --porcelain -z`
/// (git-status(1)) said: two letters, a space, and a path from the top of the checkout.
fn dirty(prefix: &str, said: &[u8], exclude: &Exclude) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let paths = said.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
    let mut below = paths.filter_map(|path| path.strip_prefix(prefix.as_bytes()));
    below.any(|path| !exclude.covers_below(Path::new(std::ffi::OsStr::from_bytes(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_release_would_take_makes_a_checkout_dirty() {
        let exclude = Exclude::new(&["*.log".into(), "node_modules".into()]);
        for (said, wanted) in [
            (&b""[..], false),
            (b" M web/index.php\0", true),
            (b"?? web/new\nfile\0", true),
            (b"?? web/debug.log\0?? web/node_modules/x/y.js\0", false),
            (b"?? web/debug.log\0D  web/a\0", true),
        ] {
            assert_eq!(dirty("web/", said, &exclude), wanted, "{}", String::from_utf8_lossy(said));
        }
    }
}
