//! Level: `http`, `server`, `location`, `if` and what they inherit, as nginx merges it.

use super::parse::Directive;

/// A level of the configuration: one block that inherits from the one around it.
#[derive(Debug, Clone)]
pub struct Level {
    /// Which.
    pub id: Id,
    /// What kind of block it is.
    pub kind: Kind,
    /// The level around it.
    pub up: Option<Id>,
    /// The block itself, what is in it left out.
    pub block: Directive,
    /// What stands in it, blocks that are levels left out.
    pub own: Vec<Directive>,
}

/// Which level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(usize);

/// What kind of block a level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `http`
    Http,
    /// `server`
    Server,
    /// `location`, in a server or in another one
    Location,
    /// `if`
    If,
    /// `limit_except`
    LimitExcept,
}

/// All levels; the outer ones come first.
#[derive(Debug, Clone, Default)]
pub struct Levels(Vec<Level>);

impl Levels {
    /// Takes the levels from all that was read.
    pub fn of(top: Vec<Directive>) -> Levels {
        let mut levels = Levels::default();
        for directive in top {
            if directive.is("http") && directive.block.is_some() {
                levels.take(directive, Kind::Http, None);
            }
        }
        levels
    }

    fn take(&mut self, mut block: Directive, kind: Kind, up: Option<Id>) {
        let id = Id(self.0.len());
        let inner = block.block.as_mut().map(|block| std::mem::take(&mut block.inner)).unwrap_or_default();
        self.0.push(Level { id, kind, up, block, own: Vec::new() });
        let mut own = Vec::new();
        for directive in inner {
            let kind = match &*directive.name.text {
                "server" if kind == Kind::Http => Some(Kind::Server),
                "location" => Some(Kind::Location),
                "if" => Some(Kind::If),
                "limit_except" => Some(Kind::LimitExcept),
                _ => None,
            };
            match kind {
                Some(kind) if directive.block.is_some() => self.take(directive, kind, Some(id)),
                Some(_) | None => own.push(directive),
            }
        }
        self.0[id.0].own = own;
    }

    /// A level.
    pub fn get(&self, id: Id) -> &Level {
        &self.0[id.0]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Level> {
        self.0.iter()
    }

    /// All of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Level> {
        self.0.iter().filter(move |level| level.kind == kind)
    }

    /// A level, then the ones around it.
    pub fn outwards(&self, id: Id) -> impl Iterator<Item = &Level> {
        std::iter::successors(Some(self.get(id)), |level| level.up.map(|up| self.get(up)))
    }

    /// A level and all in it.
    pub fn within(&self, id: Id) -> impl Iterator<Item = &Level> {
        self.0[id.0..].iter().take_while(move |level| level.id == id || level.up.is_some_and(|up| up >= id))
    }

    /// The server around a level.
    pub fn server(&self, id: Id) -> Option<&Level> {
        self.outwards(id).find(|level| level.kind == Kind::Server)
    }

    /// What a level has of a directive that inner levels replace.
    pub fn effective(&self, id: Id, name: &str) -> Option<(&Level, &Directive)> {
        self.outwards(id).find_map(|level| Some((level, level.last(name)?)))
    }

    /// What a level has of a directive that adds up: the innermost level that has any hides those around it.
    pub fn list<'l>(&'l self, id: Id, name: &'l str) -> (Option<&'l Level>, Vec<&'l Directive>) {
        for level in self.outwards(id) {
            let all: Vec<&Directive> = level.all(name).collect();
            if !all.is_empty() {
                return (Some(level), all);
            }
        }
        (None, Vec::new())
    }

    /// `root` or `alias`, whichever is the inner one: nginx keeps them in one place.
    pub fn root(&self, id: Id) -> Option<(&Level, &Directive)> {
        self.outwards(id).find_map(|level| {
            let root = level.own.iter().rev().find(|directive| directive.is("root") || directive.is("alias"));
            Some((level, root?))
        })
    }
}

impl Level {
    /// Its directives of this name.
    pub fn all<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l Directive> {
        self.own.iter().filter(move |directive| directive.is(name))
    }

    /// The last of its directives of this name.
    pub fn last(&self, name: &str) -> Option<&Directive> {
        self.own.iter().rev().find(|directive| directive.is(name))
    }

    /// As findings name it: `location ~ \.php$`, `server shop.example.com`.
    pub fn told(&self) -> String {
        let words = match self.kind {
            Kind::Server => self.last("server_name").map(|names| names.arg(0)).unwrap_or_default().to_owned(),
            Kind::Http | Kind::Location | Kind::If | Kind::LimitExcept => {
                let words: Vec<&str> = self.block.args.iter().map(|word| &*word.text).collect();
                words.join(" ")
            }
        };
        format!("{} {words}", self.block.name.text).trim_end().to_owned()
    }
}
