//! Reports: what was observed, judged, and told to everybody who wants to know.

use std::fs::OpenOptions;
use std::path::Path;

use prove::verdict::{Slowness, Standard};
use prove::{Observations, judge_by, report, saved};
use serde_json::Value;

use crate::answer::{Answer, Failure};
use crate::command::prove::flags::ReportFlags;
use serve::log::with_reasons;

impl ReportFlags {
    /// Whether all that is to be written can be, before an hour of load is spent on it.
    pub fn can_be_written(&self) -> Result<(), Failure> {
        for path in [&self.save, &self.junit, &self.html].into_iter().flatten() {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
        }
        Ok(())
    }

    fn standard(&self) -> Standard {
        let over_ns = self.slow.map(|slow| u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX));
        Standard {
            slow: match over_ns {
                None => Slowness::Ignored,
                Some(over_ns) if self.strict => Slowness::Breach { over_ns },
                Some(over_ns) => Slowness::Counted { over_ns },
            },
        }
    }
}

/// Judges, writes the files, and gives the report with its exit code.
pub fn tell(observed: &Observations, flags: &ReportFlags) -> Result<Answer, Failure> {
    if let Some(path) = &flags.save {
        saved::to_file(observed, path).map_err(|error| Failure::failed(with_reasons(&error)))?;
    }
    let verdicts =
        judge_by(observed, flags.standard()).map_err(|error| Failure::failed(with_reasons(&error)))?;
    if let Some(path) = &flags.junit {
        write(path, &report::junit(observed, &verdicts))?;
    }
    if let Some(path) = &flags.html {
        write(path, &report::html(observed, &verdicts))?;
    }
    let json: Value = serde_json::from_str(&report::json(observed, &verdicts))
        .map_err(|error| Failure::failed(format!("the report is no JSON: {error}")))?;
    let text = report::text(observed, &verdicts).trim_end().to_owned();
    let held = verdicts.holds() && observed.cut_short.is_none();
    Ok(Answer { bad: !held, ..Answer::new(text, json) })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
