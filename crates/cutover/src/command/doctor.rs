//! doctor: looks at the machine's servers, and says what will break a deploy before it does.
//!
//! ```text
//!   flags ──> targets ──> facts ──> report ──> muted (cutover.toml, baseline) ──> text | JSON | SARIF | JUnit | diff
//! ```

mod fix;
pub mod flags;
mod live;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use doctor::machine::{Here, Recorded, Recording};
use doctor::mute::{self, Ignore};
use doctor::render::paint::Paint;
use doctor::render::{json, junit, sarif, text};
use doctor::{Facts, Machine, Report, Severity, Targets, checks};
use serde_json::json;

use self::flags::{DoctorFlags, FailOn, Grouped, TargetFlags};
use crate::answer::{Answer, Failure};
use crate::args::Globals;
use crate::opened::Opened;

pub fn run(globals: &Globals, flags: &DoctorFlags) -> Result<Answer, Failure> {
    if let Some(id) = &flags.explain {
        return explain(id);
    }
    if flags.list {
        return Ok(list());
    }
    if let Some(url) = &flags.live {
        return live::look(url, flags.probe.as_deref());
    }
    let app = app(globals)?;
    let targets = targets(&flags.targets, app.as_ref());
    let pack = flags.pack.as_ref().or(flags.from.as_ref());
    if let Some(file) = &flags.collect {
        return collect(file, &targets);
    }
    let machine: Box<dyn Machine> = match pack {
        Some(pack) => {
            Box::new(Recorded::open(pack).map_err(|why| Failure::usage(format!("cannot read {why}")))?)
        }
        None => Box::new(Here),
    };
    let facts = Facts::look(&*machine, &targets);
    let mut report = Report::of(&facts);
    report.ignore(&ignores(app.as_ref()));
    if let Some(file) = &flags.known.baseline {
        if flags.known.write_baseline {
            return write_baseline(file, &report);
        }
        let known = std::fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", file.display()))
                .next("--write-baseline writes it")
        })?;
        report.known(&known);
    }
    if flags.fix {
        return if flags.write { fix::write(&report, &facts) } else { Ok(fix::show(&report, &facts)) };
    }
    if let Some(file) = &flags.told.sarif {
        write(file, &sarif::render(&report).to_string())?;
    }
    if let Some(file) = &flags.told.junit {
        write(file, &junit::render(&report))?;
    }
    let by = match flags.told.by {
        Grouped::Check => text::By::Check,
        Grouped::File => text::By::File,
    };
    let told = text::render(&report, by, paint());
    Ok(Answer {
        bad: fails(&report, flags.told.fail_on),
        ..Answer::new(told.trim_end(), json::render(&report))
    })
}

/// The app that is named, or the one whose file is here; a machine may be looked at without any.
fn app(globals: &Globals) -> Result<Option<Opened>, Failure> {
    let named = globals.dir.is_some() || globals.config.is_some();
    if !named && !Path::new("cutover.toml").exists() {
        return Ok(None);
    }
    Opened::find(globals).map(Some)
}

fn targets(flags: &TargetFlags, app: Option<&Opened>) -> Targets {
    let absolute = |files: &[PathBuf]| files.iter().map(|file| lasting(file)).collect();
    Targets {
        apps: app.map(|opened| opened.app.root().to_owned()).into_iter().collect(),
        nginx: absolute(&flags.nginx),
        apache: absolute(&flags.apache),
        caddy: absolute(&flags.caddy),
        lighttpd: absolute(&flags.lighttpd),
        fpm: absolute(&flags.fpm),
    }
}

fn lasting(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

fn ignores(app: Option<&Opened>) -> Vec<Ignore> {
    let ignored = app.map_or(&[][..], |opened| &opened.config.host.ignored);
    let ignore = |ignored: &config::host::IgnoredCheck| Ignore {
        check: ignored.check.clone(),
        path: ignored.path.clone(),
        reason: ignored.reason.clone(),
    };
    ignored.iter().map(ignore).collect()
}

fn fails(report: &Report, on: FailOn) -> bool {
    let least = match on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Info | FailOn::Blind => Severity::Info,
    };
    let blind = on == FailOn::Blind && !report.blind.is_empty();
    blind || report.worst().is_some_and(|worst| worst >= least)
}

/// Looks at everything, and packs what was seen.
fn collect(file: &Path, targets: &Targets) -> Result<Answer, Failure> {
    let machine = Recording::of(Here);
    let report = Report::of(&Facts::look(&machine, targets));
    let mut packed = Vec::new();
    machine
        .pack(&mut packed)
        .map_err(|error| Failure::failed(format!("cannot pack what was seen: {error}")))?;
    release::atomic::replace_private(&lasting(file), &packed).map_err(Failure::failed)?;
    let (findings, bytes) = (report.findings().count(), packed.len());
    let text = format!(
        "packed what was looked at into {}, {bytes} bytes, for its owner alone to read\n\
         secrets are masked as far as their names tell: look through it before you give it away\n\
         cutover doctor {}   ({findings} findings here)",
        file.display(),
        file.display()
    );
    Ok(Answer::new(text, json!({ "file": file, "bytes": bytes, "findings": findings })))
}

fn explain(id: &str) -> Result<Answer, Failure> {
    let check = checks::of(id).ok_or_else(|| {
        Failure::usage(format!("there is no check {id}")).next("cutover doctor --list shows them")
    })?;
    let told = json!({
        "check": check.id,
        "severity": check.severity.to_string(),
        "title": check.title,
        "visitor": check.visitor,
        "page": check.page,
    });
    Ok(Answer::new(format!("{}\n({})", check.page.trim_end(), check.severity), told))
}

fn list() -> Answer {
    let lines: Vec<String> = checks::all()
        .map(|check| format!("{} {:<8} {}", check.id, check.severity.to_string(), check.title))
        .collect();
    let told = checks::all().map(|check| {
        json!({ "check": check.id, "severity": check.severity.to_string(), "title": check.title, "visitor": check.visitor })
    });
    let told: Vec<_> = told.collect();
    Answer::new(lines.join("\n"), json!({ "checks": told }))
}

fn write_baseline(file: &Path, report: &Report) -> Result<Answer, Failure> {
    write(file, &mute::baseline(report))?;
    let count = report.findings().count();
    let text =
        format!("wrote {count} findings to {}: they are not told again with --baseline", file.display());
    Ok(Answer::new(text, json!({ "file": file, "findings": count })))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))
}

/// Colours on a terminal that has them, and whose owner wants them (no-color.org).
fn paint() -> Paint {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if std::io::stdout().is_terminal() && !unwanted && !dumb { Paint::Colours } else { Paint::Plain }
}
