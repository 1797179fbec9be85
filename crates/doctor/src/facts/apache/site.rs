//! Site: the main server or a `<VirtualHost>`, and the paths that it serves from.

use std::path::{Path, PathBuf};

use super::directive::{Directive, Seen, Word, below, seen, walk};
use crate::facts::place::Place;
use crate::machine::Machine;
use crate::source::Span;

/// The main server, or a virtual host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where `<VirtualHost>` stands; `None`: the main server.
    pub at: Option<Span>,
    /// The addresses of the virtual host.
    pub addresses: Vec<Word>,
    /// `ServerName` and `ServerAlias`.
    pub names: Vec<Word>,
    /// What it says itself.
    pub directives: Vec<Directive>,
    /// `DocumentRoot`, its own or the main server's.
    pub docroot: Option<Place>,
    /// Whatever else leads from URLs to files, of its own.
    pub mapped: Vec<Mapped>,
}

/// Something that leads from URLs to files, beside the document root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// What does it.
    pub by: By,
    /// The name of the directive as it is documented.
    pub directive: &'static str,
    /// Where the directive stands.
    pub at: Span,
    /// Where it leads.
    pub place: Place,
}

/// What leads from URLs to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// mod_alias.
    Alias,
    /// mod_vhost_alias or mod_userdir: the path has placeholders.
    Pattern,
    /// A path in the URL of a FastCGI server.
    Proxy,
    /// A file that is read once, when the server starts: by mod_file_cache, or as configuration.
    Kept,
}

/// Links to links, as many as are followed.
const LINKS_MAX: usize = 10;

impl Site {
    /// The main server, of all that a configuration says.
    pub fn main(machine: &dyn Machine, root: &Path, all: &[Directive]) -> Site {
        let own: Vec<Directive> = all.iter().filter(|it| it.name != "virtualhost").cloned().collect();
        Site::of(machine, root, None, own)
    }

    /// A virtual host; what it does not say is as in the main server.
    pub fn vhost(machine: &dyn Machine, root: &Path, section: &Directive, main: &Site) -> Site {
        let site = Site::of(machine, root, Some(section), section.body().to_vec());
        Site { docroot: site.docroot.or_else(|| main.docroot.clone()), ..site }
    }

    fn of(machine: &dyn Machine, root: &Path, section: Option<&Directive>, own: Vec<Directive>) -> Site {
        let all = |name: &str| seen(&own, name);
        let names = ["servername", "serveralias"].into_iter().flat_map(&all);
        let names = names.flat_map(|seen| seen.directive.words.clone()).collect();
        let docroot = all("documentroot").pop().and_then(|seen| seen.directive.words.first());
        let docroot = docroot.map(|word| Place::look(machine, below(root, &word.text), &word.at));
        let mut mapped = Vec::new();
        walk(&own, &mut Vec::new(), &mut |directive, _| mapped.extend(map(machine, root, directive)));
        Site {
            at: section.map(|section| section.at.clone()),
            addresses: section.map(|section| section.words.clone()).unwrap_or_default(),
            names,
            docroot,
            mapped,
            directives: own,
        }
    }

    /// What it says itself by directives of this name, with the sections around them.
    pub fn own(&self, name: &str) -> Vec<Seen<'_>> {
        seen(&self.directives, name)
    }

    /// How it is called in findings.
    pub fn name(&self) -> String {
        match (self.names.first(), &self.at) {
            (Some(name), _) => name.text.clone(),
            (None, Some(at)) => at.meant().to_owned(),
            (None, None) => "the main server".to_owned(),
        }
    }
}

impl Mapped {
    /// A file of configuration.
    pub fn included(machine: &dyn Machine, path: PathBuf, at: Span) -> Mapped {
        let mut place = Place::look(machine, path, &at);
        // A link to a file, as a2ensite makes them, is nothing that deploys flip; what it leads through may be.
        for _ in 0..LINKS_MAX {
            let Some((link, to)) = place.way.links.first().filter(|(link, _)| *link == place.path) else {
                break;
            };
            let to = link.parent().unwrap_or(Path::new("/")).join(to);
            place = Place::look(machine, to, &at);
        }
        Mapped { by: By::Kept, directive: "Include", place, at }
    }
}

fn map(machine: &dyn Machine, root: &Path, directive: &Directive) -> Vec<Mapped> {
    let made = |by: By, name: &'static str, place: Place| Mapped {
        by,
        directive: name,
        at: directive.at.clone(),
        place,
    };
    let last = || directive.words.last();
    let literal = |by: By, name: &'static str, word: Option<&Word>| {
        let word = word?;
        let path = word.text.split(['$', '%']).next().unwrap_or("");
        // A path that begins with a capture leads nowhere that could be known.
        let known = !path.is_empty();
        known.then(|| made(by, name, Place::look(machine, below(root, path), &word.at)))
    };
    let pattern = |name: &'static str, word: &Word| {
        let like = wild(&word.text);
        let place = Place::look_like(machine, &below(root, &like), &word.at);
        made(By::Pattern, name, place)
    };
    match directive.name.as_str() {
        "alias" => literal(By::Alias, "Alias", last()).into_iter().collect(),
        "aliasmatch" => literal(By::Alias, "AliasMatch", last()).into_iter().collect(),
        "scriptalias" => literal(By::Alias, "ScriptAlias", last()).into_iter().collect(),
        "scriptaliasmatch" => literal(By::Alias, "ScriptAliasMatch", last()).into_iter().collect(),
        "virtualdocumentroot" => {
            last().map(|word| pattern("VirtualDocumentRoot", word)).into_iter().collect()
        }
        "virtualscriptalias" => last().map(|word| pattern("VirtualScriptAlias", word)).into_iter().collect(),
        "userdir" if directive.word(0).starts_with('/') => {
            directive.words.iter().map(|word| pattern("UserDir", word)).collect()
        }
        "mmapfile" => {
            directive.words.iter().filter_map(|word| literal(By::Kept, "MMapFile", Some(word))).collect()
        }
        "cachefile" => {
            directive.words.iter().filter_map(|word| literal(By::Kept, "CacheFile", Some(word))).collect()
        }
        "proxypass" => proxied(machine, directive, "ProxyPass").into_iter().collect(),
        "proxypassmatch" => proxied(machine, directive, "ProxyPassMatch").into_iter().collect(),
        "rewriterule" => proxied(machine, directive, "RewriteRule").into_iter().collect(),
        _ => Vec::new(),
    }
}

/// `%0`, `%-2.1+` of mod_vhost_alias as wildcards; a user's part of a path is one already.
fn wild(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        while chars.next_if(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'p')).is_some() {}
        out.push('*');
    }
    out
}

/// The path in `fcgi://host:port/path/$1`, or in `unix:/socket|fcgi://host/path/$1`.
fn proxied(machine: &dyn Machine, directive: &Directive, name: &'static str) -> Option<Mapped> {
    let word = directive.words.iter().find(|word| word.text.contains("fcgi://"))?;
    let (_, url) = word.text.split_once("fcgi://")?;
    let path = url.find('/').map(|at| &url[at..])?;
    let path = path.split(['$', '%', '?']).next()?;
    if path.trim_matches('/').is_empty() {
        return None;
    }
    let place = Place::look(machine, path.into(), &word.at);
    Some(Mapped { by: By::Proxy, directive: name, at: directive.at.clone(), place })
}
