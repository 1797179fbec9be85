//! F07: security.limit_extensions is empty.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "F07",
    severity: Severity::Warning,
    title: "the pool runs any file as PHP",
    visitor: "A file that a visitor uploaded may be run.",
    page: include_str!("../../../../../docs/doctor/F07.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let lines = facts.pools().filter_map(|(_, pool)| Some((pool, pool.line("security.limit_extensions")?)));
    let any =
        lines.filter(|(_, line)| line.value.trim().is_empty() || line.value.eq_ignore_ascii_case("false"));
    any.map(|(pool, _)| {
        let what =
            format!("{} runs whatever file it is given, uploads below a shared directory too", pool.php.name);
        pool.wrong("security.limit_extensions", what, ".php")
    })
    .collect()
}
