//! Fix: shows what fixes change, or changes it: keeps each file, has the servers test, and puts back what they refuse.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use doctor::machine::{Here, Program};
use doctor::patch::{Patch, patches};
use doctor::render::diff;
use doctor::{Facts, Machine, Report};
use release::atomic;
use serde_json::json;

use crate::answer::{Answer, Failure};

/// The changes as diffs.
pub fn show(report: &Report, facts: &Facts) -> Answer {
    let (patches, left) = patches(report, &facts.sources);
    let diffs: Vec<String> = patches.iter().map(diff::render).collect();
    let mut text = diffs.concat();
    text += &match (patches.is_empty(), left) {
        (true, 0) => {
            "# nothing here can be put right by exact lines; `cutover doctor` says what to do".to_owned()
        }
        (_, 0) => String::new(),
        (_, left) => format!("# {left} more want the same lines: run it again when these are written"),
    };
    let told = patches.iter().zip(&diffs).map(
        |(patch, diff)| json!({ "file": patch.path.display().to_string(), "fixes": patch.fixes, "diff": diff }),
    );
    let told: Vec<_> = told.collect();
    Answer::new(text.trim_end(), json!({ "patches": told, "left": left }))
}

/// A file that was changed.
struct Written {
    path: PathBuf,
    kept: PathBuf,
    before: Vec<u8>,
    stat: std::fs::Metadata,
}

/// Makes the changes.
pub fn write(report: &Report, facts: &Facts) -> Result<Answer, Failure> {
    let (patches, left) = patches(report, &facts.sources);
    if patches.is_empty() {
        return Ok(Answer::new(
            "nothing here can be put right by exact lines",
            json!({ "written": [], "left": left }),
        ));
    }
    let mut trials: Vec<Program> = Vec::new();
    for trial in patches.iter().flat_map(|patch| facts.trials(&patch.path)) {
        if !trials.contains(&trial) {
            trials.push(trial);
        }
    }
    if let Err(said) = tried(&trials) {
        return Err(Failure::failed(format!("the files are refused as they stand: {said}"))
            .still("nothing was changed")
            .next("put that right first"));
    }
    let mut written: Vec<Written> = Vec::new();
    let done = patches.iter().try_for_each(|patch| {
        written.push(changed(patch)?);
        Ok(())
    });
    let done = done.and_then(|()| {
        tried(&trials).map_err(|said| Failure::failed(format!("what was written is refused: {said}")))
    });
    if let Err(failure) = done {
        return Err(failure.still(back(&written)).next("cutover doctor --fix shows it"));
    }
    let mut lines: Vec<String> = patches
        .iter()
        .zip(&written)
        .map(|(patch, written)| {
            let fixes = patch.fixes.join(", ");
            format!("{}: {fixes}; as it was: {}", written.path.display(), written.kept.display())
        })
        .collect();
    let tested: Vec<String> = trials.iter().map(|trial| trial.file.display().to_string()).collect();
    lines.push(match tested.is_empty() {
        true => "no server that could be asked reads these files: test them, then reload it".to_owned(),
        false => format!("tested by {}; reload to use it", tested.join(", ")),
    });
    if left > 0 {
        lines.push(format!("{left} more want the same lines: run it again"));
    }
    let told = written
        .iter()
        .map(|one| json!({ "file": one.path.display().to_string(), "kept": one.kept.display().to_string() }));
    let told: Vec<_> = told.collect();
    Ok(Answer::new(lines.join("\n"), json!({ "written": told, "tested": tested, "left": left })))
}

/// Changes one file, if it is still as it was read; keeps a copy beside it.
fn changed(patch: &Patch) -> Result<Written, Failure> {
    let path = behind_links(&patch.path)?;
    let failed = |what: &str, error: std::io::Error| {
        Failure::failed(format!("cannot {what} {}: {error}", path.display()))
    };
    let before = std::fs::read(&path).map_err(|error| failed("read", error))?;
    if before != patch.before.as_bytes() {
        return Err(Failure::failed(format!("{} has changed since it was read", path.display())));
    }
    let stat = std::fs::metadata(&path).map_err(|error| failed("look at", error))?;
    let kept = beside(&path);
    let written = Written { path: path.clone(), kept, before, stat };
    put(&written.kept, &written.before, &written.stat)?;
    put(&written.path, patch.after.as_bytes(), &written.stat)?;
    Ok(written)
}

/// The same bytes, owner and mode; complete, or not there.
fn put(path: &Path, bytes: &[u8], like: &std::fs::Metadata) -> Result<(), Failure> {
    atomic::replace_private(path, bytes).map_err(Failure::failed)?;
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot set the mode of {}: {error}", path.display()))
    };
    std::os::unix::fs::chown(path, Some(like.uid()), Some(like.gid())).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(like.mode() & 0o7777)).map_err(failed)
}

/// Puts everything back; what is true then.
fn back(written: &[Written]) -> String {
    let mut lost = Vec::new();
    for one in written {
        let back = put(&one.path, &one.before, &one.stat).map_err(|failure| failure.error);
        match back.and_then(|()| atomic::remove(&one.kept).map_err(|error| error.to_string())) {
            Ok(()) => {}
            Err(error) => lost.push(format!(
                "{} could not be put back ({error}): it is kept as {}",
                one.path.display(),
                one.kept.display()
            )),
        }
    }
    if lost.is_empty() { "every file is as it was".into() } else { lost.join("; ") }
}

/// What a server has against its files.
fn tried(trials: &[Program]) -> Result<(), String> {
    for trial in trials {
        let ran = Here.run(trial).map_err(|why| why.to_string())?;
        if ran.status != Some(0) {
            let said = if ran.stderr.trim().is_empty() { ran.stdout } else { ran.stderr };
            return Err(format!("{}: {}", trial.file.display(), said.trim()));
        }
    }
    Ok(())
}

/// A file in `sites-enabled/` is often a link: what it leads to is what is changed.
fn behind_links(path: &Path) -> Result<PathBuf, Failure> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a server's own file: no release's, which a flip could change"
    )]
    let real = path.canonicalize();
    real.map_err(|error| Failure::failed(format!("cannot find {}: {error}", path.display())))
}

/// `.shop.bak-20261130T164000Z`: with a dot, so that no `include sites-enabled/*` takes it for another site.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    path.with_file_name(format!(".{name}.bak-{stamp}"))
}

#[cfg(test)]
mod tests {
    use doctor::finding::{Edit, Finding, Fix};
    use doctor::source::Source;
    use doctor::{Targets, Verdict, checks};

    use super::*;

    /// A report with one fix: a line below the first one.
    fn reported(file: &Path, line: &str) -> (Report, Facts) {
        let facts = Facts::look(&Here, &Targets { nginx: vec![file.to_owned()], ..Targets::default() });
        let at = Source::new(file, std::fs::read_to_string(file).unwrap()).line(1);
        let fix = Fix::from("").edit(Edit::Below { at: at.clone(), lines: line.to_owned() });
        let findings = vec![Finding::at(&at, "a test's", fix)];
        let check = checks::of("N01").unwrap();
        let judged = vec![(check, Verdict { findings, blind: Vec::new() })];
        (Report { judged, ..Report::default() }, facts)
    }

    #[test]
    fn what_the_server_refuses_is_put_back_and_what_changed_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().display();
        let file = dir.path().join("nginx.conf");
        let before = format!("pid {own}/pid;\nerror_log {own}/log;\nevents {{ }}\n");
        std::fs::write(&file, &before).unwrap();
        let kept = || {
            std::fs::read_dir(dir.path())
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".bak-"))
                .count()
        };

        let (report, facts) = reported(&file, "no_such_directive on;");
        let failure = write(&report, &facts).unwrap_err();
        assert!(failure.error.contains("unknown directive \"no_such_directive\""), "{failure:?}");
        assert_eq!(failure.still.as_deref(), Some("every file is as it was"));
        assert_eq!((std::fs::read_to_string(&file).unwrap(), kept()), (before.clone(), 0));

        let (report, facts) = reported(&file, "worker_processes 2;");
        std::fs::write(&file, format!("{before}# meanwhile\n")).unwrap();
        let failure = write(&report, &facts).unwrap_err();
        assert!(failure.error.contains("has changed since"), "{failure:?}");
        assert_eq!((std::fs::read_to_string(&file).unwrap(), kept()), (format!("{before}# meanwhile\n"), 0));

        let (report, facts) = reported(&file, "worker_processes 2;");
        let answer = write(&report, &facts).unwrap();
        assert!(answer.text.contains("tested by nginx"), "{}", answer.text);
        assert!(std::fs::read_to_string(&file).unwrap().contains("worker_processes 2;\n"));
        assert_eq!(kept(), 1);
    }
}
