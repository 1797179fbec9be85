//! The report for programs.

use crate::observations::Observations;
use crate::verdict::{Verdict, Verdicts};

/// One JSON object on one line, without a line's end.
#[must_use]
pub fn json(observations: &Observations, verdicts: &Verdicts) -> String {
    serde_json::json!({
        "holds": verdicts.holds(),
        "requests": verdicts.total.all(),
        "flips": observations.flips.len(),
        "verdicts": verdicts.total,
        "worst_late_ns": worst_late_ns(verdicts),
    })
    .to_string()
}

/// The longest that a stale answer's release had not been live when it was asked; `None` if none was stale.
fn worst_late_ns(verdicts: &Verdicts) -> Option<u64> {
    let late = verdicts.convicted.iter().filter_map(|(_, verdict)| match verdict {
        Verdict::Stale { late_ns } => *late_ns,
        Verdict::Ok | Verdict::Failed | Verdict::Mixed | Verdict::Slow => None,
    });
    late.max()
}
