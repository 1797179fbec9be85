//! N13: a FastCGI port takes PHP_ADMIN_VALUE, and with it any code, from whoever reaches it.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::pass::Pass;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N13",
    severity: Severity::Error,
    title: "PHP-FPM is asked over the network",
    visitor: "Whoever reaches the port runs any code as the pool: FastCGI has no password.",
    page: include_str!("../../../../../docs/doctor/N13.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.fastcgi().map(move |level| (nginx, level)));
    levels.flat_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Vec<Finding> {
    let Some(pass) = level.last("fastcgi_pass") else { return Vec::new() };
    let far = nginx.passes(level.id).into_iter().filter(|to| !to.is_here());
    let far = far.filter_map(|to| {
        let sure = match &to {
            Pass::Address(..) => true,
            // A name may lead to this machine, or to a container on it.
            Pass::Host(_) => false,
            Pass::Unix(_) | Pass::Unknown(_) => return None,
        };
        let what = format!("{}: {to} is reached over a network", level.told());
        let text = "let PHP-FPM listen on a Unix socket that nginx alone may open (listen.owner, listen.mode), or on \
                    127.0.0.1; elsewhere let nothing but nginx reach the port";
        Some(nginx.as_sure(Finding::at(pass.at_arg(0), what, text), sure))
    });
    far.collect()
}
