//! Fix: the lines that put nginx right, where they can be said exactly.

use std::path::Path;

use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::{Kind, Level};
use crate::facts::nginx::parse::Directive;
use crate::finding::{Edit, Fix};
use crate::source::Span;

/// What pins the whole request, for whoever would rather not write it by hand.
pub const PIN: &str = "or pin the whole request: `cutover nginx` prints how (docs/nginx.md)";

/// The place of a word of a directive; where its file is not this site's alone, that of the include that brought it.
pub fn place<'n>(nginx: &Nginx, directive: &'n Directive, word: usize) -> &'n Span {
    let mut at = directive.at_arg(word);
    let mut via = directive.via.as_ref();
    while let (false, Some(up)) = (nginx.owned(&at.file), via) {
        at = &up.at;
        via = up.up.as_ref();
    }
    at
}

/// The same, for edits: `None`, if no file on the way is this site's alone.
fn owned_place<'n>(nginx: &Nginx, directive: &'n Directive, word: usize) -> Option<&'n Span> {
    Some(place(nginx, directive, word)).filter(|at| nginx.owned(&at.file))
}

/// Has these parameters made of `$realpath_root` at a level.
pub fn resolved(nginx: &Nginx, level: &Level, names: &[&str]) -> Fix {
    let script = names.contains(&"SCRIPT_FILENAME");
    let lines = if script {
        "`fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;` and \
         `fastcgi_param DOCUMENT_ROOT $realpath_root;` behind every include that sets them; "
    } else {
        "`$realpath_root` in the place of `$document_root`; "
    };
    let fix = Fix::from(format!("{lines}{PIN}"));
    match edits(nginx, level, names) {
        Some(edits) => Fix { edits, ..fix },
        None => fix,
    }
}

fn edits(nginx: &Nginx, level: &Level, names: &[&str]) -> Option<Vec<Edit>> {
    let (_, params) = nginx.levels.list(level.id, "fastcgi_param");
    let mut edits: Vec<Edit> = Vec::new();
    // Lines to add, by the include behind whose line they go.
    let mut added: Vec<(Span, Vec<String>)> = Vec::new();
    for name in names {
        let Some(param) = params.iter().rev().find(|param| param.arg(0) == *name) else { continue };
        let value = param.arg(1);
        if !matches!(nginx.leads(level.id, value), Lead::Link(_)) {
            continue;
        }
        let root = ["$document_root", "${document_root}"].into_iter().find(|root| value.starts_with(root));
        let better = match root {
            Some(root) => value.replacen(root, "$realpath_root", 1),
            None if value == "$request_filename" => "$realpath_root$fastcgi_script_name".into(),
            None => return None,
        };
        let at = owned_place(nginx, param, 1)?;
        if at == param.at_arg(1) {
            edits.push(Edit::Replace { at: at.clone(), with: at.meant().replacen(value, &better, 1) });
            continue;
        }
        if !alone(at) {
            return None;
        }
        let line = format!("{}fastcgi_param {name} {better};", indent(&at.text));
        match added.iter_mut().find(|(place, _)| place == at) {
            Some((_, lines)) => lines.push(line),
            None => added.push((at.clone(), vec![line])),
        }
    }
    edits.extend(added.into_iter().map(|(at, lines)| Edit::Below { at, lines: lines.join("\n") }));
    Some(edits)
}

/// Whether an include stands on a line of its own.
pub fn alone(include: &Span) -> bool {
    let before = include.text.get(..include.from).unwrap_or_default().trim();
    let behind = include.text.get(include.to..).unwrap_or_default().trim();
    before == "include" && (behind == ";" || behind.starts_with("; #") || behind.starts_with(";#"))
}

/// What a line begins with.
pub fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// Pins a whole server by stock nginx's own means, where its root and locations are in files of its own.
pub fn pin(nginx: &Nginx, server: &Level, root: &Directive) -> Option<Vec<Edit>> {
    let own = |at: &Span| nginx.owned(&at.file);
    let simple = own(root.at()) && root.alone() && own(server.block.at()) && server.block.alone_at_head();
    if !simple || server.last("root") != Some(root) {
        return None;
    }
    let taken = |name: &str| nginx.maps.contains_key(name) || nginx.set(server.id, name).is_some();
    let stem = stem(root.arg(0));
    let (pin, kept) = (format!("{stem}_pin"), format!("{stem}_root"));
    if taken(&pin) || taken(&kept) {
        return None;
    }
    let mut edits = vec![
        Edit::Above {
            at: server.block.at().clone(),
            lines: format!("{}map $server_name ${pin} {{ default $realpath_root; }}", server.block.indent()),
        },
        Edit::Below {
            at: root.end.clone(),
            lines: [
                "uninitialized_variable_warn off;".to_owned(),
                format!("set ${kept} ${pin};"),
                format!("if (${kept} = \"\") {{ return 503; }}"),
            ]
            .map(|line| format!("{}{line}", root.indent()))
            .join("\n"),
        },
    ];
    for level in nginx.levels.within(server.id) {
        let (inner, aliased) = (level.last("root").is_some(), level.last("alias").is_some());
        if level.id != server.id && inner {
            return None;
        }
        if level.kind != Kind::Location || level.up != Some(server.id) || aliased {
            continue;
        }
        let open = &level.block.end;
        if !own(open) {
            return None;
        }
        let multi = open.text.get(open.to..).unwrap_or_default().trim().is_empty();
        let with = if multi {
            format!("{{\n{}    root ${kept};", level.block.indent())
        } else {
            format!("{{ root ${kept};")
        };
        edits.push(Edit::Replace { at: open.clone(), with });
    }
    Some(edits)
}

/// `/srv/shop/current/public` -> `shop`, for the names of variables.
fn stem(root: &str) -> String {
    let before =
        Path::new(root).ancestors().find(|path| path.file_name().is_some_and(|name| name == "current"));
    let name = before.and_then(|path| path.parent()?.file_name()?.to_str()).unwrap_or("pinned");
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("site_{name}") } else { name }
}
