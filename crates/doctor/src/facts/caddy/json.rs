//! Json: Caddy's own form of a configuration, and the handlers in its routes.

use serde_json::Value;

use super::{Does, Handler, place};
use crate::facts::place::Place;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::{Source, Span};

/// Roots on the way to one handler, and handlers of one configuration: more than anybody has.
const ROOTS_MAX: usize = 50;
const HANDLERS_MAX: usize = 2_000;

/// All handlers, with the roots that hold for them.
pub fn handlers(machine: &dyn Machine, source: &Source) -> Result<Vec<Handler>, Blind> {
    let blind = |why: String| Blind { what: source.path.display().to_string(), why, at: None };
    let config: Value = serde_json::from_str(&source.text).map_err(|said| blind(said.to_string()))?;
    let servers = config.pointer("/apps/http/servers").and_then(Value::as_object);
    let mut found = Vec::new();
    for server in servers.into_iter().flat_map(|servers| servers.values()) {
        routes(machine, source, server.get("routes"), &[], &mut found)?;
        routes(machine, source, server.pointer("/errors/routes"), &[], &mut found)?;
    }
    Ok(found)
}

fn routes(
    machine: &dyn Machine,
    source: &Source,
    all: Option<&Value>,
    above: &[Place],
    found: &mut Vec<Handler>,
) -> Result<(), Blind> {
    // A root that a route sets holds for the routes behind it.
    let mut roots = above.to_vec();
    let handle = |route: &Value| route.get("handle").and_then(Value::as_array).cloned().unwrap_or_default();
    for handler in all.and_then(Value::as_array).into_iter().flatten().flat_map(handle) {
        let text = |key: &str| handler.get(key).and_then(Value::as_str);
        let own = |key: &str| rooted(machine, source, handler.pointer(key).and_then(Value::as_str));
        let does = match text("handler") {
            Some("vars") => {
                roots.extend(own("/root")?.filter(|_| roots.len() < ROOTS_MAX));
                continue;
            }
            Some("subroute") => {
                routes(machine, source, handler.get("routes"), &roots, found)?;
                routes(machine, source, handler.pointer("/errors/routes"), &roots, found)?;
                continue;
            }
            Some("file_server") => (Does::Files, own("/root")?),
            Some("php") => (Does::Franken, own("/root")?),
            Some("reverse_proxy") if handler.pointer("/transport/protocol") == Some(&"fastcgi".into()) => {
                let resolves = handler.pointer("/transport/resolve_root_symlink") == Some(&true.into());
                (Does::Fpm { resolves }, own("/transport/root")?)
            }
            Some(_) | None => continue,
        };
        if found.len() >= HANDLERS_MAX {
            let (what, why) =
                (source.path.display().to_string(), "too many handlers to judge each".to_owned());
            return Err(Blind { what, why, at: None });
        }
        let name = text("handler").unwrap_or_default().to_owned();
        let at =
            written(source, "fastcgi").filter(|_| name == "reverse_proxy").or_else(|| written(source, &name));
        let (does, own) = does;
        let roots = own.map_or_else(|| roots.clone(), |own| vec![own]);
        found.push(Handler { does, name, at: at.unwrap_or_else(|| source.line(1)), block: None, roots });
    }
    Ok(())
}

/// A root that is written out; `{http.vars.root}`, as it is unless set, is none.
fn rooted(machine: &dyn Machine, source: &Source, text: Option<&str>) -> Result<Option<Place>, Blind> {
    let Some(text) = text.filter(|text| *text != "{http.vars.root}") else { return Ok(None) };
    let at = written(source, text).unwrap_or_else(|| source.line(1));
    place(machine, text, &at).map(Some)
}

/// The first place at which a text stands in quotes.
fn written(source: &Source, text: &str) -> Option<Span> {
    let quoted = serde_json::to_string(text).ok()?;
    let at = source.text.find(&quoted)?;
    Some(source.span(at + 1..at + quoted.len() - 1))
}
