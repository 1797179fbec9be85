//! F13: a pool listens on all addresses and lets every client in.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;

/// The check.
pub const CHECK: Check = Check {
    id: "F13",
    severity: Severity::Error,
    title: "anybody who reaches the port may run code",
    visitor: "None until somebody finds it; then the site is not yours any more.",
    page: include_str!("../../../../../docs/doctor/F13.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.pools().filter_map(|(_, pool)| {
        let line = pool.line("listen").filter(|line| is_open(&line.value))?;
        let allowed = pool.value("listen.allowed_clients").trim();
        if !allowed.is_empty() && allowed != "any" {
            return None;
        }
        let what = format!(
            "{} listens on all addresses ({}), and a FastCGI client may name any file and any php.ini value",
            pool.php.name, line.value
        );
        Some(pool.wrong("listen", what, &format!("/run/php/{}.sock", pool.name)))
    });
    found.collect()
}

/// Whether an address means all of them: `9000`, `0.0.0.0:9000`, `[::]:9000`, `*:9000`.
fn is_open(listen: &str) -> bool {
    let listen = listen.trim();
    let all = ["0.0.0.0:", "[::]:", "*:"].iter().any(|all| listen.starts_with(all));
    all || (!listen.is_empty() && listen.bytes().all(|byte| byte.is_ascii_digit()))
}
