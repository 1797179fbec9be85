//! Handler: what runs the PHP of a site.

use super::Apache;
use super::directive::{Directive, Seen};
use super::section::applies;
use super::site::Site;
use crate::facts::place::Place;

/// What runs the PHP of a place, and the directive that says so.
#[derive(Debug, Clone, Copy)]
pub enum Runs<'a> {
    /// PHP-FPM, by mod_proxy_fcgi.
    Fpm(&'a Directive),
    /// PHP within Apache.
    Module(&'a Directive),
}

/// What runs PHP below a place of a site: the last handler that is about it.
pub fn runs<'a>(apache: &'a Apache, site: &'a Site, place: &Place) -> Option<Runs<'a>> {
    let set = ["sethandler", "addhandler", "addtype"];
    let all = set.into_iter().flat_map(|name| apache.seen(site, name));
    let mut found =
        all.filter(|seen| applies(&seen.within, &place.path)).filter_map(|seen| kind(apache, &seen));
    let first = found.next()?;
    // A site's own handler outdoes the main server's, and FPM's is set to outdo the module's.
    Some(found.fold(first, |_, later| later))
}

fn kind<'a>(apache: &Apache, seen: &Seen<'a>) -> Option<Runs<'a>> {
    let handler = seen.directive.word(0);
    if handler.starts_with("proxy:") && handler.contains("fcgi://") {
        return Some(Runs::Fpm(seen.directive));
    }
    let module = matches!(handler, "application/x-httpd-php" | "php-script" | "php7-script" | "php5-script");
    (module && apache.modules.php().is_some()).then_some(Runs::Module(seen.directive))
}
