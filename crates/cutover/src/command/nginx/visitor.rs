//! Visitor: pinning by cookie. A visitor whose cookie names a release that is still to be had gets that one, whole.
//!
//! What the client sends is never made a path of as it is: it has to look like a release's name, which has no slash and
//! begins with no dot, and then it is looked up among the links of `.cutover/pinnable/`, which only Cutover makes.

use config::host::PinScope;
use config::says::Says;

use super::quote::{expression, plain, quoted};
use super::text::Nginx;
use crate::webserver::lines::put;

/// A release's name as `release::ReleaseId` takes it.
const NAME: &str = "[A-Za-z0-9_+~][A-Za-z0-9._+~-]{0,127}";

impl Nginx<'_> {
    /// What stands in `http { }`.
    pub(super) fn visitors(&self, out: &mut String, cookie: &str) {
        let var = |name: &str| self.var(name);
        let bare = |name: &str| self.var(name).replace('$', "");
        let (wish, wished, named) = (var("wish"), bare("wished"), var("named"));
        put(out, "# What the visitor's cookie says, if it could be the name of a release at all.");
        let key = expression(&format!("(?:^|;[ \\t]*){cookie}=(?<{wished}>{NAME})(?:;|$)"));
        put(out, &format!("map $http_cookie {wish} {{ default \"\"; {key} ${wished}; }}"));
        put(out, "# Whether a page is gone to, rather than something asked for by one.");
        let goes = var("goes");
        put(out, &format!("map \"$request_method:$http_sec_fetch_dest:$http_accept\" {goes} {{"));
        put(out, "    default \"\";");
        put(out, &format!("    {} 1;", expression("^(GET|HEAD):(document|iframe|frame|embed|object):")));
        put(out, "    # Browsers that do not say.");
        put(out, &format!("    {} 1;", expression("^(GET|HEAD)::.*text/html")));
        put(out, "}");
        match self.config.host.nginx.pin_scope {
            PinScope::Page => {
                put(out, "# The next page is of the live release; what it asks for then is of its own.");
                put(out, &format!("map {goes} {named} {{ default {wish}; 1 \"\"; }}"));
            }
            PinScope::Visit => put(out, &format!("map {wish} {named} {{ default {wish}; }}")),
        }
        put(out, "# The same as above, for that release.");
        put(out, &format!("map $server_name {} {{ default $realpath_root; }}", var("pin_named")));
        let secure = var("secure");
        let always = cookie.starts_with("__Host-") || cookie.starts_with("__Secure-");
        let plainly = if always { "\"; Secure\"" } else { "\"\"" };
        put(out, &format!("map $https {secure} {{ default {plainly}; on \"; Secure\"; }}"));
        put(out, "# Pages give the cookie, where it does not say what they are of.");
        let (gives, release) = (var("gives"), var("release"));
        let seconds = self.config.host.app.keep_for.as_secs();
        put(out, &format!("map \"{goes}:{release}:{wish}\" {gives} {{"));
        put(out, "    default \"\";");
        put(out, &format!("    {} \"\";", expression("^1::")));
        put(out, &format!("    {} \"\";", expression("^1:(.+):\\1$")));
        put(
            out,
            &format!(
                "    {} \"{cookie}={release}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}\";",
                expression("^1:")
            ),
        );
        put(out, "}");
        put(out, "# What is not for everybody is not for caches that are.");
        let (root, live) = (var("root"), var("live"));
        put(
            out,
            &format!(
                "map \"{gives}|{root}|{live}\" {} {{ default private; {} \"\"; }}",
                var("private"),
                expression("^\\|(.+)\\|\\1$")
            ),
        );
    }

    /// Which of the two it is, in `server { }`. Decided once: what was found stays when a request passes here again.
    pub(super) fn visited(&self, out: &mut String, says: &Says) -> Result<(), String> {
        let var = |name: &str| self.var(name);
        let (root, look, door, live, named) =
            (var("root"), var("look"), var("door"), var("live"), var("named"));
        let below = if says.docroot.as_os_str().is_empty() {
            String::new()
        } else {
            format!("/{}", plain(&says.docroot)?)
        };
        // Checked to be a path that nginx can hold.
        let pinnable = quoted(&format!("{}/", plain(&self.pinnable)?))?;
        let pinnable = pinnable.trim_matches('"');
        let below = quoted(&below)?;
        let below = below.trim_matches('"');
        put(out, &format!("root {door};"));
        put(out, "# The visitor's release, if that is one of those to be had; else the live one.");
        put(out, &format!("set {look} {root};"));
        put(out, &format!("set {door} \"\";"));
        put(out, &format!("if ({named}) {{ set {door} \"{pinnable}{named}{below}\"; }}"));
        put(out, &format!("if ({look} != \"\") {{ set {door} \"\"; }}"));
        put(out, &format!("if (-d {door}) {{ set {look} {}; }}", var("pin_named")));
        put(
            out,
            "# The only place that names the link. Everything below uses what it led to when the request began.",
        );
        put(out, &format!("set {door} {};", quoted(&plain(&self.link.join(&says.docroot))?)?));
        put(out, &format!("set {live} {};", var("pin")));
        put(out, &format!("if ({look} = \"\") {{ set {look} {live}; }}"));
        put(out, &format!("set {root} {look};"));
        Ok(())
    }
}
