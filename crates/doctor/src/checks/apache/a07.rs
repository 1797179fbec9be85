//! A07: a path through the link stands in the URL of the FastCGI server.

use super::each;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::apache::Apache;
use crate::facts::apache::site::{By, Mapped, Site};
use crate::finding::{Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "A07",
    severity: Severity::Error,
    title: "a FastCGI URL with the link in it",
    visitor: "PHP gets a path through the link: a request beside a flip gets parts of two releases.",
    page: include_str!("../../../../../docs/doctor/A07.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    each(facts, |apache: &Apache| {
        let all = apache.sites().flat_map(|site| site.mapped.iter().map(move |mapped| (site, mapped)));
        all.filter(|(_, mapped)| mapped.by == By::Proxy)
            .filter_map(|(site, mapped)| judged(apache, site, mapped))
            .collect()
    })
}

fn judged(apache: &Apache, site: &Site, mapped: &Mapped) -> Option<Finding> {
    let flipping = mapped.place.flipping()?;
    // Only mod_cutover comes in between.
    if apache.pins_beside(site, &flipping.link) {
        return None;
    }
    let what = format!("{} gives PHP a path through the link {}", mapped.directive, told(&flipping.link));
    let server =
        server(&mapped.place.at.text).unwrap_or_else(|| "unix:/run/php/php-fpm.sock|fcgi://localhost".into());
    let fix = Fix::from(format!(
        "load mod_cutover; or let the file decide, which what pins can then pin: <FilesMatch \"\\.php$\"> SetHandler \"proxy:{server}\" </FilesMatch>"
    ));
    Some(flipping.weighed(Finding::at(&mapped.at, what, fix)))
}

/// `unix:/run/php.sock|fcgi://localhost` or `fcgi://127.0.0.1:9000`, out of a line that names it with a path.
fn server(line: &str) -> Option<String> {
    let begin = line.find("unix:").or_else(|| line.find("fcgi://"))?;
    let rest = &line[begin..];
    let host = rest.find("fcgi://")? + "fcgi://".len();
    let end = rest[host..].find(['/', '"', ' ']).map_or(rest.len(), |end| host + end);
    Some(rest[..end].to_owned())
}
