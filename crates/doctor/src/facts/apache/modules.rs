//! Modules: what an Apache has loaded, and the names by which configurations ask for it.

use std::path::PathBuf;

use crate::source::Span;

/// A module that the configuration loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its identifier: `rewrite_module`.
    pub id: String,
    /// Its file.
    pub file: PathBuf,
    /// Where it is loaded.
    pub at: Span,
}

/// The modules of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules {
    loaded: Vec<Module>,
}

/// How an Apache serves many requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpm {
    /// A process for each.
    Prefork,
    /// A thread for each.
    Worker,
    /// A thread for each that does something.
    Event,
}

/// What Debian, and nearly everyone, compiles in (`apache2 -l`).
const COMPILED_IN: [&str; 8] = ["core", "so", "http", "http_core", "log_config", "logio", "version", "unixd"];

impl Modules {
    /// Adds one; a second line for the same module says nothing, as in Apache.
    pub fn load(&mut self, module: Module) {
        if self.get(&module.id).is_none() {
            self.loaded.push(module);
        }
    }

    /// The module with this identifier.
    pub fn get(&self, id: &str) -> Option<&Module> {
        self.loaded.iter().find(|module| module.id == id)
    }

    /// Whether one is there, by its identifier or by the name of its source file, as `<IfModule>` asks.
    pub fn has(&self, name: &str) -> bool {
        let short = |name: &str| {
            let name = name.strip_suffix(".c").or_else(|| name.strip_suffix("_module")).unwrap_or(name);
            name.strip_prefix("mod_").unwrap_or(name).to_owned()
        };
        let asked = short(name);
        let fits = |module: &Module| {
            let by_file = module.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
            let id = short(&module.id);
            // The sources of an MPM are called by its name alone: event.c.
            module.id == name
                || (name.ends_with(".c") && (id == asked || short(by_file) == asked))
                || (name.ends_with(".c") && id.strip_prefix("mpm_") == Some(&asked))
        };
        COMPILED_IN.contains(&asked.as_str()) || self.loaded.iter().any(fits)
    }

    /// How the server serves many requests at once, if its configuration loads that.
    pub fn mpm(&self) -> Option<(Mpm, &Module)> {
        [
            ("mpm_prefork_module", Mpm::Prefork),
            ("mpm_worker_module", Mpm::Worker),
            ("mpm_event_module", Mpm::Event),
        ]
        .into_iter()
        .find_map(|(id, mpm)| self.get(id).map(|module| (mpm, module)))
    }

    /// A module for PHP within Apache itself: `php_module`, `php7_module`.
    pub fn php(&self) -> Option<&Module> {
        self.loaded.iter().find(|module| {
            let id = module.id.strip_prefix("php").and_then(|id| id.strip_suffix("_module"));
            id.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::Source;

    #[test]
    fn a_module_goes_by_its_identifier_and_by_its_source() {
        let at = Source::new(Path::new("/x"), "").line(1);
        let mut modules = Modules::default();
        for (id, file) in [
            ("rewrite_module", "/m/mod_rewrite.so"),
            ("php_module", "/m/libphp8.2.so"),
            ("mpm_event_module", "/m/mod_mpm_event.so"),
        ] {
            modules.load(Module { id: id.into(), file: file.into(), at: at.clone() });
        }
        for name in [
            "rewrite_module",
            "mod_rewrite.c",
            "mod_php.c",
            "event.c",
            "mod_version.c",
            "core.c",
            "so_module",
        ] {
            assert!(modules.has(name), "{name}");
        }
        for name in ["mod_php7.c", "php7_module", "rewrite", "mod_cgi.c", "worker.c", "prefork.c"] {
            assert!(!modules.has(name), "{name}");
        }
        assert_eq!(modules.mpm().map(|(mpm, _)| mpm), Some(Mpm::Event));
        assert!(modules.php().is_some());
    }
}
