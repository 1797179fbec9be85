//! Stages a tree as a release and seals it, and says how long each took: for bench/deploy.
//!
//! `stage APP SOURCE RELEASE copy|hardlink|reflink|auto`

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use config::host::LinkMode;
use deploy::stage::{self, Rules};
use release::{App, ReleaseId};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [app, source, id, mode] = words.as_slice() else {
        eprintln!("stage APP SOURCE RELEASE copy|hardlink|reflink|auto");
        return ExitCode::from(2);
    };
    match run(app, source, id, mode) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("stage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(app: &str, source: &str, id: &str, mode: &str) -> Result<String, String> {
    let link_mode = match mode {
        "copy" => LinkMode::Copy,
        "hardlink" => LinkMode::Hardlink,
        "reflink" => LinkMode::Reflink,
        "auto" => LinkMode::Auto,
        other => return Err(format!("no link mode is called {other:?}")),
    };
    let began = Instant::now();
    let app = App::new(Path::new(app), Path::new("current"), &[]).map_err(|error| error.to_string())?;
    let id = ReleaseId::parse(id).map_err(|error| error.to_string())?;
    let rules = Rules { link_mode, ..Rules::plain() };
    let staged = stage::stage(&app, &rules, Path::new(source), &id, &mut |_| {});
    let staged = staged.map_err(|error| error.to_string())?;
    let stage_ms = began.elapsed().as_secs_f64() * 1e3;
    stage::seal(&app, &id).map_err(|error| error.to_string())?;
    let total_ms = began.elapsed().as_secs_f64() * 1e3;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("").trim().to_owned();
    let (files, bytes, copied) = (staged.files, staged.bytes, staged.bytes_copied);
    let seal_ms = total_ms - stage_ms;
    Ok(format!(
        r#"{{"files":{files},"bytes":{bytes},"bytes_copied":{copied},"stage_ms":{stage_ms:.1},"seal_ms":{seal_ms:.1},"total_ms":{total_ms:.1},"peak":"{peak}"}}"#
    ))
}
