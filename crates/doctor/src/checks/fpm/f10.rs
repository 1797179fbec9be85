//! F10: a web server keeps as many connections to a pool as it has workers.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::linked;
use crate::finding::Finding;
use config::host::Fpm;

/// The check.
pub const CHECK: Check = Check {
    id: "F10",
    severity: Severity::Error,
    title: "kept connections take all workers",
    visitor: "Requests wait for ever while all workers hold idle connections.",
    page: include_str!("../../../../../docs/doctor/F10.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let pools = facts
        .pools()
        .filter_map(|(_, pool)| Some((pool, pool.number("pm.max_children")?, pool.listen.as_ref()?)));
    let found = pools.flat_map(|(pool, workers, listen)| {
        let nginx = facts.nginx.iter().flat_map(move |nginx| {
            let levels = nginx.fastcgi().filter(move |level| {
                let keeps = nginx.levels.effective(level.id, "fastcgi_keep_conn").is_some_and(|(_, line)| line.arg(0) == "on");
                keeps && nginx.passes(level.id).iter().any(|pass| linked::is(pass, listen))
            });
            let upstreams = levels.filter_map(|level| nginx.upstreams.get(level.last("fastcgi_pass")?.arg(0)));
            upstreams.filter_map(|upstream| upstream.inner().iter().find(|line| line.is("keepalive")))
        });
        let nginx = nginx.filter_map(|line| Some((line.arg(0).parse::<i64>().ok()?, line.at().clone())));
        let ours = facts.apps.iter().filter_map(move |app| {
            let ours = app.ours.as_ref()?;
            let php = ours.config.host.php.as_ref()?;
            let Fpm::At(addresses) = &php.fpm else { return None };
            addresses.iter().any(|address| address.to_string() == listen.to_string()).then_some(())?;
            let line = ours.source.text.lines().position(|line| line.trim_start().starts_with("connections"))?;
            Some((i64::try_from(php.connections).ok()?, ours.source.line(line + 1)))
        });
        nginx.chain(ours).filter(move |(kept, _)| *kept >= workers).map(move |(kept, at)| {
            let what = format!(
                "{kept} connections to {} are kept, and it has {workers} workers: an idle connection holds a worker, so none may be left for the next",
                pool.php.name
            );
            let fix = format!("fewer than pm.max_children, for all processes of the web server together; or more workers: pm.max_children = {}", kept * 2);
            let finding = Finding::at(&at, what, fix);
            match pool.line("pm.max_children") {
                Some(line) => finding.also("its workers", &line.at),
                None => finding,
            }
        })
    });
    found.collect()
}
