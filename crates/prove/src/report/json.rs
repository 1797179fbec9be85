//! The report for programs.

use crate::observations::Observations;
use crate::verdict::Verdicts;

/// One JSON object on one line, without a line's end.
#[must_use]
pub fn json(observations: &Observations, verdicts: &Verdicts) -> String {
    serde_json::json!({
        "holds": verdicts.holds(),
        "requests": verdicts.total.all(),
        "flips": observations.flips.len(),
        "verdicts": verdicts.total,
    })
    .to_string()
}
