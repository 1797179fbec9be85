//! prove: floods a site while its releases flip, and says what its visitors would have seen.
//!
//! ```text
//!   flags ──> scenario ──> preflight ──> flood ──> reports
//!       └──> scaffold | replay | learn
//! ```

pub mod flags;
mod flood;
mod learn;
mod reports;
mod scaffold;
mod scenario;

use flags::ProveFlags;
use prove::saved;
use serve::log::with_reasons;

use crate::answer::{Answer, Failure};

pub fn run(flags: &ProveFlags, json: bool) -> Result<Answer, Failure> {
    if let Some(dir) = &flags.scaffold {
        return scaffold::write(dir, &flags.releases, flags.kind);
    }
    flags.reports.can_be_written()?;
    if let Some(file) = &flags.replay {
        let observed = saved::from_file(file).map_err(|error| Failure::usage(with_reasons(&error)))?;
        return reports::tell(&observed, &flags.reports);
    }
    let scenario = scenario::of(flags)?;
    if let Some(file) = &flags.site.learn {
        return learn::learn(scenario, file);
    }
    let observed = flood::flood(scenario, json)?;
    reports::tell(&observed, &flags.reports)
}
