//! JUnit: a test case for each check, for CI servers that show those.

use crate::finding::Finding;
use crate::report::Report;

/// The report as JUnit's XML: a check that found something has failed, one that could not look was skipped.
pub fn render(report: &Report) -> String {
    let failed = report.judged.iter().filter(|(_, verdict)| !verdict.findings.is_empty()).count();
    let unseen =
        |(_, verdict): &&(_, crate::Verdict)| verdict.findings.is_empty() && !verdict.blind.is_empty();
    let skipped = report.judged.iter().filter(unseen).count();
    let count = report.judged.len();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"cutover doctor\" tests=\"{count}\" failures=\"{failed}\">\n  \
         <testsuite name=\"checks\" tests=\"{count}\" failures=\"{failed}\" skipped=\"{skipped}\">\n"
    );
    for (check, verdict) in &report.judged {
        let name = escaped(&format!("{}: {}", check.id, check.title));
        let open = format!("    <testcase classname=\"cutover.doctor\" name=\"{name}\"");
        if !verdict.findings.is_empty() {
            let lines: Vec<String> = verdict.findings.iter().map(line).collect();
            let text = escaped(&lines.join("\n"));
            let message = escaped(check.visitor);
            out += &format!(
                "{open}>\n      <failure type=\"{}\" message=\"{message}\">{text}</failure>\n    </testcase>\n",
                check.severity
            );
        } else if let Some(blind) = verdict.blind.first() {
            let why = escaped(&format!("{}: {}", blind.what, blind.why));
            out += &format!("{open}><skipped message=\"{why}\"/></testcase>\n");
        } else {
            out += &format!("{open}/>\n");
        }
    }
    out + "  </testsuite>\n</testsuites>\n"
}

fn line(finding: &Finding) -> String {
    let place =
        finding.at.as_ref().map_or(String::new(), |at| format!("{}:{}: ", at.file.display(), at.line));
    format!("{place}{}. Fix: {}", finding.what, finding.fix.text)
}

/// XML 1.0: its five characters, and none of those that it cannot hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
