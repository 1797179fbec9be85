//! Walk: through the blocks of a Caddyfile, to the handlers and the roots that hold for them.

use super::parse::{Line, Reader};
use super::{Does, Handler, place};
use crate::facts::place::Place;

/// Blocks that route requests and hand on the root of the block around them.
const ROUTES: [&str; 5] = ["handle", "handle_path", "handle_errors", "route", "intercept"];

/// Roots of one block: more than anybody has.
const ROOTS_MAX: usize = 50;

/// All handlers, with the roots that hold for them.
pub fn handlers(reader: &mut Reader<'_>, lines: &[Line]) -> Vec<Handler> {
    let mut found = Vec::new();
    // One site may do without braces: then its address is a line of its own, and all others are directives.
    let bare = lines.iter().all(|line| line.body.is_none() || line.words.is_empty() || is_directive(line));
    if bare && lines.iter().any(|line| line.body.is_none() || is_directive(line)) {
        block(reader, lines, &[], &mut found);
        return found;
    }
    for site in lines {
        // The block without an address is for all of Caddy.
        if !site.words.is_empty() {
            block(reader, site.body(), &[], &mut found);
        }
    }
    found
}

fn is_directive(line: &Line) -> bool {
    let name = line.word(0);
    ROUTES.contains(&name)
        || matches!(
            name,
            "php_fastcgi"
                | "php_server"
                | "php"
                | "reverse_proxy"
                | "file_server"
                | "root"
                | "log"
                | "header"
                | "encode"
                | "tls"
        )
}

fn block(reader: &mut Reader<'_>, lines: &[Line], above: &[Place], found: &mut Vec<Handler>) {
    let mut roots: Vec<Place> = Vec::new();
    // `root` comes first, wherever it stands.
    for line in lines.iter().filter(|line| line.word(0) == "root").take(ROOTS_MAX) {
        roots.extend(root(reader, line));
    }
    let roots = if roots.is_empty() { above.to_vec() } else { roots };
    for line in lines {
        let name = line.word(0);
        let does = match name {
            "file_server" => Does::Files,
            "php_fastcgi" => Does::Fpm { resolves: line.line("resolve_root_symlink").is_some() },
            "php_server" | "php" => Does::Franken,
            "reverse_proxy" => {
                if let Some(transport) = line.body().iter().find(|inner| inner.word(0) == "transport")
                    && transport.word(1) == "fastcgi"
                {
                    let does = Does::Fpm { resolves: transport.line("resolve_root_symlink").is_some() };
                    found.push(handler(reader, transport, does, &roots));
                }
                continue;
            }
            _ => {
                if ROUTES.contains(&name) {
                    block(reader, line.body(), &roots, found);
                }
                continue;
            }
        };
        found.push(handler(reader, line, does, &roots));
    }
}

fn handler(reader: &mut Reader<'_>, line: &Line, does: Does, roots: &[Place]) -> Handler {
    let own = line.line("root").and_then(|line| root(reader, line));
    let roots = own.map_or_else(|| roots.to_vec(), |own| vec![own]);
    let block = Some(line.body.is_some());
    Handler { does, name: line.word(0).to_owned(), at: line.at.clone(), block, roots }
}

/// `root /srv/x`, `root * /srv/x`, `root @matcher /srv/x`.
fn root(reader: &mut Reader<'_>, line: &Line) -> Option<Place> {
    let word = line.words.iter().skip(1).last()?;
    match place(reader.machine, &word.text, &word.at) {
        Ok(place) => Some(place),
        Err(blind) => {
            reader.fault(blind.at.as_ref(), blind.what, blind.why);
            None
        }
    }
}
