//! The report for a CI server: JUnit's XML, a test case for each promise and for each page.

use super::examples;
use super::summary::{Summary, grouped};
use super::text::{sessions, short};
use crate::observations::Observations;
use crate::verdict::{Tally, Verdicts};

/// What became of a case.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Case {
    name: String,
    outcome: Outcome,
}

/// The whole file.
#[must_use]
pub fn junit(observations: &Observations, verdicts: &Verdicts) -> String {
    let summary = Summary::of(observations, verdicts);
    let suites = [("promises", promises(&summary)), ("pages", pages(&summary))];
    let failures =
        |cases: &[Case]| cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_))).count();
    let skipped =
        |cases: &[Case]| cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped(_))).count();
    let (all, failed) =
        suites.iter().fold((0, 0), |(all, failed), (_, cases)| (all + cases.len(), failed + failures(cases)));
    let seconds = summary.seconds;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"cutover prove\" tests=\"{all}\" failures=\"{failed}\" time=\"{seconds:.3}\">\n"
    );
    for (name, cases) in &suites {
        out.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">\n",
            cases.len(),
            failures(cases),
            skipped(cases)
        ));
        for case in cases {
            out.push_str(&case.xml(name));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

impl Case {
    fn xml(&self, suite: &str) -> String {
        let open =
            format!("    <testcase classname=\"cutover.prove.{suite}\" name=\"{}\"", escaped(&self.name));
        match &self.outcome {
            Outcome::Passed => format!("{open}/>\n"),
            Outcome::Skipped(why) => format!("{open}><skipped message=\"{}\"/></testcase>\n", escaped(why)),
            Outcome::Failed(why) => {
                let first = why.lines().next().unwrap_or_default();
                let (first, why) = (escaped(first), escaped(why));
                format!("{open}><failure message=\"{first}\">{why}</failure></testcase>\n")
            }
        }
    }
}

fn promises(summary: &Summary<'_>) -> Vec<Case> {
    let Tally { failed, mixed, stale, slow, .. } = summary.verdicts.total;
    let mut cases = vec![
        promise(summary, "no request fails", failed, "failed"),
        promise(summary, "no answer mixes releases", mixed, "mixed"),
        promise(summary, "no answer is of a release that is no longer live, or not yet", stale, "stale"),
    ];
    let back = summary.verdicts.sessions.backwards.len();
    let outcome = if back == 0 { Outcome::Passed } else { Outcome::Failed(sessions(summary)) };
    cases.push(Case { name: "no client sees the site go back".to_owned(), outcome });
    if let Some(over) = summary.slow_over() {
        let name = format!("no answer takes longer than {}", short(over));
        cases.push(if summary.slow_breaks() || slow == 0 {
            promise(summary, &name, slow, "slow")
        } else {
            let told = format!("{} took longer; that breaks no promise", grouped(slow));
            Case { name, outcome: Outcome::Skipped(told) }
        });
    }
    let outcome = match &summary.observed.cut_short {
        Some(why) => Outcome::Failed(why.clone()),
        None if summary.verdicts.total.all() == 0 => {
            Outcome::Failed("there was no answer to judge".to_owned())
        }
        None => Outcome::Passed,
    };
    cases.push(Case { name: "the run came to its end".to_owned(), outcome });
    cases
}

fn promise(summary: &Summary<'_>, name: &str, breaches: u64, what: &str) -> Case {
    let outcome = if breaches == 0 {
        Outcome::Passed
    } else {
        let all = grouped(summary.verdicts.total.all());
        let told = format!("{} of {all} requests are {what}", grouped(breaches));
        Outcome::Failed(with_examples(summary, told, |example| {
            example.verdict.starts_with(what) || (what == "stale" && example.verdict == "not live yet")
        }))
    };
    Case { name: name.to_owned(), outcome }
}

fn pages(summary: &Summary<'_>) -> Vec<Case> {
    let slow_breaks = summary.slow_breaks();
    let case = |(page, tally): (&String, &Tally)| {
        let Tally { ok: _, failed, mixed, stale, slow } = *tally;
        let breaches = failed + mixed + stale + if slow_breaks { slow } else { 0 };
        let outcome = if tally.all() == 0 {
            Outcome::Skipped("it was never asked for".to_owned())
        } else if breaches == 0 {
            Outcome::Passed
        } else {
            let told = format!(
                "of {} requests {} failed, {} mixed, {} stale",
                grouped(tally.all()),
                grouped(failed),
                grouped(mixed),
                grouped(stale)
            );
            Outcome::Failed(with_examples(summary, told, |example| example.page == page.as_str()))
        };
        Case { name: page.clone(), outcome }
    };
    summary.observed.pages.iter().zip(&summary.verdicts.by_page).map(case).collect()
}

fn with_examples(
    summary: &Summary<'_>,
    told: String,
    which: impl Fn(&examples::Example<'_>) -> bool,
) -> String {
    let mut lines = vec![told];
    let worst = examples::worst(summary, 5);
    let which = worst.iter().filter(|example| which(example));
    lines.extend(which.map(|one| format!("{}: {}: {} ({})", one.page, one.verdict, one.said, one.when)));
    lines.join("\n")
}

/// For an attribute or text of XML 1.0, which knows no other control characters than tab and line ends.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
