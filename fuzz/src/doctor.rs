//! Configurations that nobody should write: whatever stands in them, the doctor comes to an end, points at places that
//! are there, and says the same twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use doctor::finding::{Edit, Finding};
use doctor::machine::Recorded;
use doctor::patch;
use doctor::render::paint::Paint;
use doctor::render::text::By;
use doctor::render::{diff, json, junit, sarif, text};
use doctor::{Facts, Report, Span, Targets};

/// nginx's.
pub fn nginx(data: &[u8]) {
    judge(data, |nginx| Targets { nginx, ..Targets::default() });
}

/// Apache's.
pub fn apache(data: &[u8]) {
    judge(data, |apache| Targets { apache, ..Targets::default() });
}

/// A Caddyfile.
pub fn caddy(data: &[u8]) {
    judge(data, |caddy| Targets { caddy, ..Targets::default() });
}

/// Caddy's own form.
pub fn caddy_json(data: &[u8]) {
    judge_at("/etc/web/caddy.json", data, |caddy| Targets { caddy, ..Targets::default() });
}

/// lighttpd's.
pub fn lighttpd(data: &[u8]) {
    judge(data, |lighttpd| Targets { lighttpd, ..Targets::default() });
}

/// PHP-FPM's main file, with what it includes.
pub fn fpm(data: &[u8]) {
    judge(data, |fpm| Targets { fpm, ..Targets::default() });
}

/// All that is written as php.ini is: php.ini itself, what is read with it, a pool, supervisor's programs, a unit; and a
/// table of cron, which is found beside them. Each where a search finds it.
pub fn ini(data: &[u8]) {
    let mut machine = Recorded::default();
    let names = [
        "/etc/php/8.2/fpm/php.ini",
        "/etc/php/8.2/fpm/conf.d/10-opcache.ini",
        "/etc/php/8.2/fpm/pool.d/www.conf",
        "/etc/supervisor/conf.d/worker.conf",
        "/etc/systemd/system/worker.service",
        "/etc/cron.d/worker",
    ];
    for (number, name) in names.iter().enumerate() {
        // One part alone is tried in every place.
        let part = data.split(|byte| *byte == 0x1e).nth(number).unwrap_or(data);
        machine.file(Path::new(name), part.to_vec());
    }
    let conf = "[global]\ninclude = /etc/php/8.2/fpm/pool.d/*.conf\n[www]\nlisten = /run/php.sock\n";
    machine.file(Path::new("/etc/php/8.2/fpm/php-fpm.conf"), conf.into());
    machine.file(Path::new("/srv/shop/releases/r1/public/index.php"), Vec::new());
    judge_machine(&machine, &Targets { apps: vec!["/srv/shop".into()], ..Targets::default() });
}

/// An app's cutover.toml, its cron and its deploy scripts.
pub fn app(data: &[u8]) {
    judge_at("/srv/shop/cutover.toml", data, |_| Targets {
        apps: vec!["/srv/shop".into()],
        ..Targets::default()
    });
}

fn judge(data: &[u8], targets: impl Fn(Vec<PathBuf>) -> Targets) {
    judge_at("/etc/web/main.conf", data, targets);
}

/// What stands behind each byte of 0x1e is a further file, `a.conf` to `d.conf`, which the first may include.
fn judge_at(main: &str, data: &[u8], targets: impl Fn(Vec<PathBuf>) -> Targets) {
    let mut machine = Recorded::default();
    let names = [main, "/etc/web/a.conf", "/etc/web/b.conf", "/etc/web/c.conf", "/etc/web/d.conf"];
    for (name, bytes) in names.iter().zip(data.split(|byte| *byte == 0x1e)) {
        machine.file(Path::new(name), bytes.to_vec());
    }
    machine.file(Path::new("/srv/shop/releases/r1/public/index.php"), Vec::new());
    judge_machine(&machine, &targets(vec![main.into()]));
}

fn judge_machine(machine: &Recorded, targets: &Targets) {
    let facts = Facts::look(machine, targets);
    let report = Report::of(&facts);
    for (check, finding) in report.findings() {
        for span in spans(finding) {
            sound(check.id, span);
        }
    }
    report.blind.iter().filter_map(|blind| blind.at.as_ref()).for_each(|span| sound("blind", span));
    for by in [By::Check, By::File] {
        let text = text::render(&report, by, Paint::Plain);
        let orders = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(orders, None, "a terminal would take orders from {text:?}");
    }
    json::render(&report);
    sarif::render(&report);
    junit::render(&report);
    for patch in patch::patches(&report, &facts.sources).0 {
        assert_ne!(patch.before, patch.after);
        diff::render(&patch);
    }
    let again = Report::of(&Facts::look(machine, targets));
    let told =
        |report: &Report| report.findings().map(|(_, finding)| finding.what.clone()).collect::<Vec<_>>();
    assert_eq!(told(&report), told(&again));
    let once: BTreeSet<_> = report.blind.iter().collect();
    assert_eq!(once.len(), report.blind.len(), "the same is told twice");
}

fn spans(finding: &Finding) -> Vec<&Span> {
    let edits = finding.fix.edits.iter().map(|edit| match edit {
        Edit::Replace { at, .. } | Edit::Below { at, .. } | Edit::Above { at, .. } | Edit::Delete { at } => {
            at
        }
    });
    finding.at.iter().chain(finding.also.iter().map(|(_, span)| span)).chain(edits).collect()
}

/// A place can be shown: it is in its line, which is one line, and cuts no character in two.
fn sound(who: &str, span: &Span) {
    let whole = span.from <= span.to && span.text.get(span.from..span.to).is_some();
    assert!(whole && span.line > 0 && !span.text.contains('\n'), "{who} points at {span:?}");
}
