//! PHP: one PHP that serves requests (a pool, or PHP in Apache), as its files set it up and as it says of itself.

pub mod files;
pub mod inside;
pub mod setting;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub use files::Files;
pub use inside::{Inside, Opcache};
pub use setting::{From, Setting};

use super::Look;
use super::apache::Apache;
use super::ini::Entry;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::{Sources, Span};

/// One PHP that serves requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Php {
    /// What it is called: `the pool www`, `PHP in Apache`.
    pub name: String,
    /// php.ini and what is read with it; those of one master share them.
    pub files: Arc<Files>,
    /// What its pool sets (`php_value`, `php_admin_value` and their flags), in order: key, and the line.
    pub own: Vec<Own>,
    /// Below which line of the pool another may be written.
    pub home: Option<Span>,
    /// What it says of itself.
    pub inside: Look<Inside>,
}

/// A value that a pool sets for PHP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// PHP's key.
    pub key: String,
    /// Whether scripts cannot change it (`php_admin_value`).
    pub admin: bool,
    /// The line.
    pub line: Entry,
}

/// Whether opcache is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiles {
    /// It keeps what it compiled.
    Yes,
    /// There is none, or it is off.
    No,
    /// Neither files nor the running PHP tell.
    Blind(Blind),
}

/// PHP in these Apaches, as Debian sets it up: libphp8.2.so reads /etc/php/8.2/apache2.
pub fn in_apache(machine: &dyn Machine, sources: &mut Sources, apaches: &[Apache]) -> Vec<Php> {
    let modules = apaches.iter().filter_map(|apache| apache.modules.php());
    let versions: BTreeSet<&str> =
        modules.filter_map(|module| module.file.file_stem()?.to_str()?.strip_prefix("libphp")).collect();
    let php = versions.into_iter().map(|version| Php {
        name: "PHP in Apache".into(),
        files: Arc::new(Files::beside(
            machine,
            sources,
            &Path::new("/etc/php").join(version).join("apache2"),
        )),
        own: Vec::new(),
        home: None,
        inside: Look::Absent,
    });
    php.collect()
}

impl Php {
    /// What a key is set to, and by whom.
    pub fn ini(&self, key: &'static str) -> Setting {
        Setting::of(self, key)
    }

    /// What it says of itself, if it said something.
    pub fn inside(&self) -> Option<&Inside> {
        match &self.inside {
            Look::Seen(inside) => Some(inside),
            Look::Absent | Look::Blind(_) => None,
        }
    }

    /// Its opcache's figures, if it could be asked for them.
    pub fn opcache(&self) -> Option<&Opcache> {
        self.inside().map(|inside| &inside.opcache).filter(|opcache| opcache.state == "on")
    }

    /// Why it could not be asked, if it should have been.
    pub fn blind(&self) -> Option<Blind> {
        match &self.inside {
            Look::Blind(blind) => Some(blind.clone()),
            Look::Seen(_) | Look::Absent => None,
        }
    }

    /// Whether opcache is at work.
    pub fn compiles(&self) -> Compiles {
        match (self.inside(), &self.inside) {
            (Some(inside), _) if inside.opcache.state == "absent" || inside.opcache.state == "off" => {
                Compiles::No
            }
            (Some(_), _) => Compiles::Yes,
            (None, _) if self.files.loads("opcache") && self.ini("opcache.enable").on() => Compiles::Yes,
            (None, Look::Blind(blind)) => Compiles::Blind(blind.clone()),
            (None, _) => Compiles::No,
        }
    }

    /// Whether opcache is at work, as far as can be told.
    pub fn keeps_code(&self) -> bool {
        self.compiles() == Compiles::Yes
    }
}
