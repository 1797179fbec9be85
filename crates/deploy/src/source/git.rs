//! A git repository as the source: a bare mirror in `.cutover/git`, and a checkout that is kept between deploys.
//!
//! The checkout has no `.git` in it; git's index lies beside it. So unchanged files keep their times and inodes, and
//! what a build left is cleared away. Submodules are mirrored and checked out likewise. Git LFS is used if installed;
//! a tree that needs it is refused otherwise, for a release of pointers would be served as it is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use release::App;
use release::atomic;

use crate::source::run::{line, run};
use crate::source::{Fetched, Revision, SourceError, disk};

/// Submodules within submodules within …: deeper than this, they contain themselves.
const MAX_DEPTH: usize = 10;

/// One commit, as `cutover diff` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Commit {
    /// Its full name.
    pub commit: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub message: String,
}

/// A bare repository of ours, and where it comes from.
struct Mirror {
    dir: PathBuf,
    origin: String,
}

/// Checks out `reference` (a branch, a tag or a commit) of a repository.
pub(crate) fn fetch(
    repository: &str,
    reference: &str,
    app: &App,
    work: &Path,
    out: &mut dyn FnMut(&[u8]),
) -> Result<Fetched, SourceError> {
    let mirror = Mirror::of(app, repository);
    mirror.update(out)?;
    let (commit, branch) = mirror.resolve(reference, out)?;
    let tree = work.join("tree");
    mirror.check_out(&commit, app, &tree, work, 0, out)?;
    let (author, message) = mirror.about(&commit)?;
    let revision = Revision { commit: Some(commit), branch, author: Some(author), message: Some(message) };
    Ok(Fetched { tree, revision })
}

/// What a directory is a checkout of, if it is one. Never fails: it only informs.
pub(crate) fn revision_of(dir: &Path) -> Revision {
    let ask = |words: &[&str]| {
        let mut command = git();
        command.arg("-C").arg(dir).args(words);
        run("git", &mut command, &mut |_| {}).ok().map(|bytes| line(&bytes)).filter(|text| !text.is_empty())
    };
    // A repository above would say nothing about a directory that it ignores, such as a build's output.
    let inside = ask(&["rev-parse", "--show-cdup"]).is_none()
        && ask(&["rev-parse", "--is-inside-work-tree"]).is_some();
    if !inside {
        return Revision::default();
    }
    Revision {
        commit: ask(&["rev-parse", "--verify", "HEAD"]),
        branch: ask(&["symbolic-ref", "--short", "-q", "HEAD"]),
        author: ask(&["log", "-1", "--format=%an <%ae>"]),
        message: ask(&["log", "-1", "--format=%s"]),
    }
}

/// The commits that `new` has and `old` has not, newest first, as far as a mirror of this app or the repository at
/// `dir` knows them; `None` if none knows both.
pub fn commits(app: &App, dir: Option<&Path>, old: &str, new: &str) -> Option<Vec<Commit>> {
    let mirrors = std::fs::read_dir(app.mirrors()).into_iter().flatten().flatten();
    let dirs = mirrors.map(|entry| entry.path()).filter(|path| path.extension() == Some(OsStr::new("git")));
    dirs.chain(dir.map(Path::to_owned)).find_map(|dir| {
        let mut command = git();
        command
            .arg("-C")
            .arg(&dir)
            .args(["log", "-z", "--format=%H%n%an <%ae>%n%s"])
            .arg(format!("{old}..{new}"))
            .arg("--");
        let bytes = run("git", &mut command, &mut |_| {}).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let commit = |text: &str| {
            let mut lines = text.splitn(3, '\n').map(str::to_owned);
            Some(Commit { commit: lines.next()?, author: lines.next()?, message: lines.next()? })
        };
        Some(text.split('\0').filter_map(commit).collect())
    })
}

impl Mirror {
    fn of(app: &App, origin: &str) -> Mirror {
        let hash = blake3::hash(origin.as_bytes()).to_hex();
        let short = hash.get(..16).unwrap_or_default();
        Mirror { dir: app.mirrors().join(format!("{short}.git")), origin: origin.to_owned() }
    }

    fn git(&self) -> Command {
        let mut command = git();
        command.arg("--git-dir").arg(&self.dir);
        command
    }

    /// Makes the mirror if it is missing, and brings it up to date.
    fn update(&self, out: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        if !self.dir.join("HEAD").exists() {
            atomic::make_dir(&self.dir).map_err(|error| disk("make", &self.dir)(error.why))?;
            // Without templates: no hook of the machine's is to run here.
            let mut command = git();
            command.args(["init", "--quiet", "--bare", "--template="]).arg(&self.dir);
            run("git", &mut command, out)?;
        }
        let mut command = self.git();
        command.args([
            "fetch",
            "--prune",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--progress",
            "--",
            &self.origin,
        ]);
        command.args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        run("git", &mut command, out).map(drop)
    }

    /// Which commit is meant, and which branch, if one was named.
    fn resolve(
        &self,
        reference: &str,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(String, Option<String>), SourceError> {
        let branch = match reference {
            "HEAD" => self.head(out)?,
            name => Some(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()),
        };
        if let Some(branch) = branch
            && let Some(commit) = self.commit(&format!("refs/heads/{branch}"))
        {
            return Ok((commit, Some(branch)));
        }
        let named = [format!("refs/tags/{reference}"), reference.to_owned()];
        if let Some(commit) = named.iter().find_map(|name| self.commit(name)) {
            return Ok((commit, None));
        }
        // A commit that no branch has any more; some servers give it all the same.
        let hex = reference.len() >= 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex {
            let mut command = self.git();
            command.args(["fetch", "--no-tags", "--no-write-fetch-head", "--", &self.origin, reference]);
            if run("git", &mut command, out).is_ok()
                && let Some(commit) = self.commit(reference)
            {
                return Ok((commit, None));
            }
        }
        Err(SourceError::NoRef { repository: self.origin.clone(), reference: reference.to_owned() })
    }

    /// The branch that the other side's HEAD names.
    fn head(&self, out: &mut dyn FnMut(&[u8])) -> Result<Option<String>, SourceError> {
        let mut command = git();
        command.args(["ls-remote", "--symref", "--", &self.origin, "HEAD"]);
        let text = line(&run("git", &mut command, out)?);
        let named = text.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.split('\t').next());
        Ok(named.map(str::to_owned))
    }

    fn commit(&self, name: &str) -> Option<String> {
        let mut command = self.git();
        command
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"));
        run("git", &mut command, &mut |_| {}).ok().map(|bytes| line(&bytes)).filter(|text| !text.is_empty())
    }

    fn about(&self, commit: &str) -> Result<(String, String), SourceError> {
        let mut command = self.git();
        command.args(["log", "-1", "--format=%an <%ae>%n%s", commit, "--"]);
        let text = line(&run("git", &mut command, &mut |_| {})?);
        let (author, message) = text.split_once('\n').unwrap_or((&text, ""));
        Ok((author.to_owned(), message.to_owned()))
    }

    /// Makes `tree` the tree of this commit, and what is not part of it goes.
    fn check_out(
        &self,
        commit: &str,
        app: &App,
        tree: &Path,
        work: &Path,
        depth: usize,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        atomic::make_dir(tree).map_err(|error| disk("make", tree)(error.why))?;
        let name = blake3::hash(tree.as_os_str().as_bytes()).to_hex();
        let index = work.join(format!("index-{}", name.get(..16).unwrap_or_default()));
        // Of a git that was killed; ours is the only one at work here, under the deploy lock.
        let lock = index.with_extension("lock");
        if lock.exists() {
            std::fs::remove_file(&lock).map_err(disk("remove", &lock))?;
        }
        let lfs = has_lfs();
        let git = || {
            let mut command = self.git();
            command.arg("--work-tree").arg(tree).env("GIT_INDEX_FILE", &index).current_dir(tree);
            command.args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.autocrlf=false",
                "-c",
                "advice.detachedHead=false",
            ]);
            if lfs {
                for set in ["smudge=git-lfs smudge -- %f", "process=git-lfs filter-process", "required=true"]
                {
                    command.arg("-c").arg(format!("filter.lfs.{set}"));
                }
                command.arg("-c").arg(format!("remote.origin.url={}", lfs_origin(&self.origin)));
            }
            command
        };
        run("git", git().args(["read-tree", "--reset", "-u", commit]), out)?;
        // What was changed or removed by hand or by a build since; read-tree trusts the index.
        run("git", git().args(["checkout-index", "--all", "--force", "--quiet"]), out)?;
        let modules = run("git", git().args(["ls-files", "--stage", "-z"]), out)?;
        let modules: Vec<(String, PathBuf)> =
            modules.split(|byte| *byte == 0).filter_map(submodule).collect();
        let mut clean = git();
        clean.args(["clean", "-ffdxq"]);
        for (_, path) in &modules {
            clean.arg("-e").arg(literal(path));
        }
        run("git", &mut clean, out)?;
        if !lfs {
            needs_no_lfs(
                tree,
                &run(
                    "git",
                    git().args(["ls-files", "-z", "--", ".gitattributes", "**/.gitattributes"]),
                    out,
                )?,
            )?;
        }
        for (commit, path) in modules {
            self.submodule(&git, &commit, &path, app, tree, work, depth, out)?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "what a checkout needs, once more")]
    fn submodule(
        &self,
        git: &dyn Fn() -> Command,
        commit: &str,
        path: &Path,
        app: &App,
        tree: &Path,
        work: &Path,
        depth: usize,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let full = tree.join(path);
        let Some(url) = url_of(git, path) else {
            // A commit without an entry in .gitmodules: git itself leaves such a directory empty.
            return atomic::make_dir(&full).map_err(|error| disk("make", &full)(error.why));
        };
        if depth >= MAX_DEPTH {
            let why = std::io::Error::other("submodules are nested too deeply");
            return Err(disk("check out", &full)(why));
        }
        let mirror = Mirror::of(app, &resolve_url(&self.origin, &url));
        if mirror.commit(commit).is_none() {
            mirror.update(out)?;
        }
        let (commit, _) = mirror.resolve(commit, out)?;
        mirror.check_out(&commit, app, &full, work, depth + 1, out)
    }
}

/// Git, without anything that would make it ask or listen to its surroundings.
fn git() -> Command {
    let mut command = Command::new("git");
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    ] {
        command.env_remove(name);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]);
    command
}

/// `160000 <commit> 0<TAB>path`: a submodule.
fn submodule(line: &[u8]) -> Option<(String, PathBuf)> {
    let line = line.strip_prefix(b"160000 ")?;
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let commit = std::str::from_utf8(line.get(..tab)?).ok()?.split(' ').next()?;
    Some((commit.to_owned(), PathBuf::from(OsStr::from_bytes(line.get(tab + 1..)?))))
}

/// What .gitmodules says about the submodule at this path.
fn url_of(git: &dyn Fn() -> Command, path: &Path) -> Option<String> {
    let mut ask = git();
    ask.args(["config", "--file", ".gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$"]);
    let listed = run("git", &mut ask, &mut |_| {}).ok()?;
    let name = listed.split(|byte| *byte == 0).find_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'\n')?;
        let same = entry.get(at + 1..)? == path.as_os_str().as_bytes();
        let key = std::str::from_utf8(entry.get(..at)?).ok()?;
        if same { Some(key.strip_suffix(".path")?.to_owned()) } else { None }
    })?;
    let mut ask = git();
    ask.args(["config", "--file", ".gitmodules", "--get"]).arg(format!("{name}.url"));
    run("git", &mut ask, &mut |_| {})
        .ok()
        .map(|bytes| line(&bytes))
        .filter(|url| !url.is_empty() && !url.starts_with('-'))
}

/// A submodule's address may be relative to that of its parent (gitsubmodules(7)).
fn resolve_url(parent: &str, url: &str) -> String {
    if !(url.starts_with("./") || url.starts_with("../")) {
        return url.to_owned();
    }
    let mut base = parent.trim_end_matches('/').to_owned();
    let mut rest = url;
    loop {
        if let Some(next) = rest.strip_prefix("./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix("../") {
            rest = next;
            let cut = base.rfind(['/', ':']).unwrap_or(0);
            base.truncate(cut);
        } else {
            let separator = if base.is_empty() || base.ends_with(':') { "" } else { "/" };
            return format!("{base}{separator}{rest}");
        }
    }
}

/// A path as a pattern of `git clean -e` that means this path only.
fn literal(path: &Path) -> std::ffi::OsString {
    let mut pattern = vec![b'/'];
    for byte in path.as_os_str().as_bytes() {
        if b"*?[]\\ !#".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    OsStr::from_bytes(&pattern).to_owned()
}

fn has_lfs() -> bool {
    run("git-lfs", Command::new("git-lfs").arg("version"), &mut |_| {}).is_ok()
}

/// The repository as git-lfs takes it: it finds out by itself where the large files of one are, but wants a path as an
/// address.
fn lfs_origin(origin: &str) -> String {
    if Path::new(origin).is_absolute() { format!("file://{origin}") } else { origin.to_owned() }
}

/// Refuses a tree whose .gitattributes (listed, NUL after each) hand files to git-lfs.
fn needs_no_lfs(tree: &Path, listed: &[u8]) -> Result<(), SourceError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_submodule_lies_beside_its_parent() {
        for (parent, url, wanted) in [
            ("https://host/group/shop.git", "../lib.git", "https://host/group/lib.git"),
            ("git@host:group/shop.git", "../lib.git", "git@host:group/lib.git"),
            ("/srv/git/shop/", "../../lib", "/srv/lib"),
            ("/srv/git/shop", "./lib", "/srv/git/shop/lib"),
            ("/srv/git/shop", "https://x/y", "https://x/y"),
        ] {
            assert_eq!(resolve_url(parent, url), wanted);
        }
    }
}
