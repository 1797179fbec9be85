//! Held: a command line as `cutover exec` runs it: from within the release, which it holds.

use std::path::Path;

use super::Order;

/// What makes more than one command of a line, or text that only a shell can work out.
const MORE: [&str; 6] = ["&&", "||", ";", "|", "$(", "`"];

impl Order {
    /// Whether `cutover exec` runs it.
    pub fn is_held(&self) -> bool {
        let mut words = self.text.split_whitespace();
        words.any(|word| word == "cutover" || word.ends_with("/cutover")) && words.any(|word| word == "exec")
    }

    /// The command without the link in it, as it is said from within the release. `None`: it is more than one command, or
    /// is begun elsewhere.
    pub fn from_within(&self, link: &Path) -> Option<String> {
        let link = link.to_str()?;
        let command = match self.text.strip_prefix("cd ") {
            Some(rest) => {
                let (dir, command) = rest.split_once("&&").or_else(|| rest.split_once(';'))?;
                (dir.trim().trim_end_matches('/') == link).then_some(command.trim())?
            }
            None => self.text.trim(),
        };
        // A file that the line is sent into is opened before, by the shell.
        let (command, into) = command.split_at(command.find(['>', '<']).unwrap_or(command.len()));
        let below = format!("{link}/");
        let first = command.split_whitespace().next()?;
        if first.contains('=')
            || MORE.iter().any(|more| command.contains(more) || into.contains(more))
            || into.contains(link)
        {
            return None;
        }
        let named =
            if first.starts_with(&below) { command.replacen(&below, "./", 1) } else { command.to_owned() };
        let within = named.replace(&below, "");
        (!within.contains(link)).then(|| within + into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::orders::By;
    use crate::source::Source;

    fn order(text: &str) -> Order {
        let at = Source::new(Path::new("/etc/cron.d/shop"), text).line(1);
        Order { by: By::Cron, key: String::new(), text: text.to_owned(), at, lives: false }
    }

    #[test]
    fn a_command_is_said_from_within_the_release() {
        let link = Path::new("/srv/shop/current");
        for (text, within) in [
            (
                "cd /srv/shop/current && php artisan schedule:run >> /dev/null 2>&1",
                Some("php artisan schedule:run >> /dev/null 2>&1"),
            ),
            ("cd /srv/shop/current/; php artisan x", Some("php artisan x")),
            ("php /srv/shop/current/artisan queue:work --tries=3", Some("php artisan queue:work --tries=3")),
            ("/srv/shop/current/bin/console cache:prune", Some("./bin/console cache:prune")),
            ("php /srv/shop/current/a.php > /srv/shop/current/log", None),
            ("cd /srv/shop/current && php a.php && php b.php", None),
            ("cd /srv/shop && php current/a.php", None),
            ("APP_ENV=prod php /srv/shop/current/a.php", None),
            ("php a.php --dir=/srv/shop/current", None),
        ] {
            assert_eq!(order(text).from_within(link).as_deref(), within, "{text}");
        }
    }

    #[test]
    fn what_cutover_exec_runs_is_known() {
        for (text, held) in [
            ("cutover exec -- php a.php", true),
            ("/usr/bin/cutover -C /srv/shop exec --follow -- php a.php", true),
            ("php /srv/cutover/current/exec", false),
            ("cutover -C /srv/shop prune", false),
        ] {
            assert_eq!(order(text).is_held(), held, "{text}");
        }
    }
}
