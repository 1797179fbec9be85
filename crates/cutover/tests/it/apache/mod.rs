//! `cutover apache`: what it prints makes Debian's Apache pin on each of its MPMs, by mod_cutover or by `cutover serve`.

mod promise;
mod stand;
mod ways;
