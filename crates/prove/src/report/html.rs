//! The report as one page that can be sent to a colleague.

use crate::observations::Observations;
use crate::verdict::Verdicts;

/// The whole file: no script, nothing that is fetched from elsewhere.
#[must_use]
pub fn html(_observations: &Observations, verdicts: &Verdicts) -> String {
    format!("<!doctype html><title>{}</title>\n", if verdicts.holds() { "held" } else { "broken" })
}
