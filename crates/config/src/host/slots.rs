//! Slots: what `app.layout = "slots"` needs of the rest of the file. A slot is rewritten when nobody uses it, so
//! whoever uses one has to be seen.

use crate::complaint::ConfigError;
use crate::host::{Fpm, Host, Layout, LinkMode};
use crate::read::Section;

/// Refuses slot mode where it cannot be told who uses a slot.
pub(crate) fn check(host: &Host, app: &Section<'_>, served: bool) -> Result<(), ConfigError> {
    let Some(at) = app.at("layout").filter(|_| host.app.layout == Layout::Slots) else { return Ok(()) };
    if !served {
        return Err(at.complain(
            "slots are rewritten when nobody holds a lease on them, and nothing says that `cutover serve` serves this app; stock nginx and Apache hold none, so requests under way could not be seen",
            "write [serve] and let `cutover serve` serve it; or keep layout = \"releases\"",
        ));
    }
    let blind = host.php.as_ref().is_some_and(|php| matches!(php.fpm, Fpm::At(_)) && php.status.is_none());
    if blind {
        return Err(at.complain(
            "slots are rewritten when no worker runs a script in them, and the pool does not say what its workers do",
            "set pm.status_path in the pool, and php.status to the same; or fpm = \"embedded\"",
        ));
    }
    if host.app.link_mode == LinkMode::Hardlink {
        return Err(at.complain(
            "the files of a slot are its own, so they cannot be hard links that releases share",
            "take `link_mode` out",
        ));
    }
    Ok(())
}
