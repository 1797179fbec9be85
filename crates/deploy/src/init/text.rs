//! Text: the cutover.toml that is written for a guess.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Value;

use super::Guess;
use crate::preset::Key;

/// What is known of the app's place, and what of it overrides the preset.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The app's name.
    pub name: String,
    /// `app.root`; `None`: the file's directory, said in a comment.
    pub root: Option<PathBuf>,
    /// `app.link`, where it is not `current`.
    pub link: Option<PathBuf>,
    /// `app.shared_dirs` and `app.shared_files` as they were found; `None`: what the preset says.
    pub shared: Option<(Vec<String>, Vec<String>)>,
    /// The lines of `[source]` but for `build`; empty: no source is written, only suggested.
    pub source: Vec<String>,
    /// Sentences for the head of the file.
    pub head: Vec<String>,
}

/// One key with all that was said about it.
#[derive(Debug, Default)]
struct Lines {
    why: Vec<String>,
    values: Vec<Value>,
}

/// A commented cutover.toml. Every line that is a comment and holds a key may be uncommented.
pub fn write(guess: &Guess, place: &Place) -> String {
    let mut out = Out { text: String::new(), guess };
    for sentence in &place.head {
        out.comment(sentence);
    }
    out.comment("All keys and their defaults: docs/config.md. Unknown keys are errors; `cutover serve --check` reads this file.");
    out.app(place);
    out.source(place);
    out.php();
    out.table("warm");
    out.health();
    out.table("hooks");
    out.site();
    out.serve();
    out.text
}

struct Out<'a> {
    text: String,
    guess: &'a Guess,
}

impl Out<'_> {
    fn app(&mut self, place: &Place) {
        self.line("\n[app]");
        self.line(&format!("name = {}", quoted(&place.name)));
        self.comment("The directory that holds current, releases/, shared/ and .cutover/; by default the one this file stands in.");
        match &place.root {
            Some(root) => self.line(&format!("root = {}", quoted(&root.to_string_lossy()))),
            None => self.line("# root = \"/srv/shop\""),
        }
        if let Some(link) = &place.link {
            self.line(&format!("link = {}", quoted(&link.to_string_lossy())));
        }
        self.comment("What is served, inside a release; \"\" is the release itself.");
        self.line(&format!("docroot = {}", quoted(&self.guess.docroot)));
        let lists = [("shared_dirs", 0), ("shared_files", 1)];
        match &place.shared {
            Some((dirs, files)) => {
                self.comment("What outlives releases and is linked into each of them, as it was found in the live one.");
                for (key, paths) in [("shared_dirs", dirs), ("shared_files", files)] {
                    let paths: Vec<Value> = paths.iter().cloned().map(Value::String).collect();
                    self.line(&format!("{key} = {}", value(&Value::Array(paths))));
                }
                self.keys("app", &["shared_dirs", "shared_files"]);
            }
            None => {
                self.keys("app", &[]);
                if !lists.iter().any(|(key, _)| self.has("app", key)) {
                    self.comment("What outlives releases and is linked into each of them.");
                    self.line("# shared_dirs = [\"storage\"]\n# shared_files = [\".env\"]");
                }
            }
        }
        self.comment("How many old releases are left by `cutover prune`, and how long after they were live.");
        self.line("# keep = 5\n# keep_for = \"1h\"");
    }

    fn source(&mut self, place: &Place) {
        if place.source.is_empty() {
            self.line("\n# [source]");
            self.comment("Where releases come from: a directory, git, or an archive.");
            self.line("# git = \"git@example.com:shop.git\"\n# ref = \"main\"");
            let all: Vec<Key> = self.keys_of("source", &[]);
            self.suggest(&all);
            return;
        }
        self.line("\n[source]");
        self.comment("Where releases come from: a directory (dir), git (and ref), or an archive.");
        for line in &place.source {
            self.line(line);
        }
        self.keys("source", &[]);
        if !self.has("source", "build") {
            self.line("# build = [\"make\"]");
        }
    }

    fn php(&mut self) {
        if !self.guess.preset.php {
            self.line("\n# [php]\n# fpm = \"embedded\"");
            return;
        }
        self.line("\n[php]");
        self.comment("\"embedded\": Cutover runs its own php-fpm. Or \"unix:/run/php/php8.2-fpm.sock\", or \"127.0.0.1:9000\".");
        self.line("fpm = \"embedded\"");
        if let Some(front) = &self.guess.preset.front {
            self.comment("The front controller: asked where no file is found.");
            self.line(&format!("front = {}", quoted(front)));
        }
        self.keys("php", &[]);
        self.line("# workers = 8\n# ini = { memory_limit = \"256M\" }");
    }

    fn health(&mut self) {
        let keys = self.keys_of("health", &[]);
        if keys.iter().any(|key| !key.suggested) {
            self.table("health");
            return;
        }
        self.line("\n# [health]");
        self.comment("What is asked of a release before it is flipped to, and of the live site after.");
        if keys.is_empty() {
            self.line("# path = \"/up\"");
        }
        self.suggest(&keys);
    }

    fn site(&mut self) {
        for table in &self.guess.preset.site {
            self.line("");
            self.comment(&table.why);
            self.line(&table.header);
            for line in &table.lines {
                self.line(line);
            }
        }
        if self.guess.preset.site.is_empty() {
            self.line("\n# [[site.cache]]\n# path = \"/assets/**\"\n# control = \"public, max-age=31536000, immutable\"");
        }
        self.line("\n# [site.error]\n# 404 = \"/404.html\"");
    }

    fn serve(&mut self) {
        self.line("\n[serve]\nlisten = [\"127.0.0.1:8080\"]");
        self.comment("By default the app answers for every host name.");
        self.line("# hosts = [\"shop.example.com\"]\n# tls = [{ cert = \"shop.pem\", key = \"shop.key\" }]");
        self.line("# metrics = \"127.0.0.1:9180\"\n# trusted_proxies = [\"10.0.0.0/8\"]");
        self.table("serve.cgi");
        self.line("\n# [serve.log]\n# access = \"stdout\"");
    }

    /// A table of which nothing is known but what the preset says; nothing: not written.
    fn table(&mut self, name: &str) {
        let keys = self.keys_of(name, &[]);
        if keys.is_empty() {
            return;
        }
        if keys.iter().all(|key| key.suggested) {
            self.line(&format!("\n# [{name}]"));
        } else {
            self.line(&format!("\n[{name}]"));
        }
        self.keys(name, &[]);
    }

    fn keys(&mut self, table: &str, but: &[&str]) {
        let (suggested, written): (Vec<Key>, Vec<Key>) =
            self.keys_of(table, but).into_iter().partition(|key| key.suggested);
        for (name, lines) in self.gather(&written) {
            self.key(&name, &lines, "");
        }
        // Of a key that is written already a suggestion would be a second one of that name once uncommented.
        let (more, alone): (Vec<Key>, Vec<Key>) =
            suggested.into_iter().partition(|key| written.iter().any(|other| other.key == key.key));
        for key in more {
            self.comment(&format!("More for {}: {}. {}", key.key, value(&self.filled(&key.value)), key.why));
        }
        self.suggest(&alone);
    }

    fn suggest(&mut self, keys: &[Key]) {
        for (name, lines) in self.gather(keys) {
            self.key(&name, &lines, "# ");
        }
    }

    fn key(&mut self, name: &str, lines: &Lines, before: &str) {
        for why in &lines.why {
            self.comment(why);
        }
        let written = match lines.values.as_slice() {
            [one] => value(one),
            many => value(&Value::Array(many.iter().flat_map(items).collect())),
        };
        let whole = format!("{name} = {written}");
        for line in whole.lines() {
            self.line(&format!("{before}{line}"));
        }
    }

    /// Keys in their order, those of one name together.
    fn gather(&self, keys: &[Key]) -> Vec<(String, Lines)> {
        let mut order: Vec<String> = Vec::new();
        let mut lines: BTreeMap<String, Lines> = BTreeMap::new();
        for key in keys {
            if !order.contains(&key.key) {
                order.push(key.key.clone());
            }
            let of = lines.entry(key.key.clone()).or_default();
            of.why.push(key.why.clone());
            of.values.push(self.filled(&key.value));
        }
        order.into_iter().filter_map(|name| lines.remove(&name).map(|of| (name, of))).collect()
    }

    fn has(&self, table: &str, key: &str) -> bool {
        self.keys_of(table, &[]).iter().any(|of| of.key == key)
    }

    fn keys_of(&self, table: &str, but: &[&str]) -> Vec<Key> {
        let there = |when: &Option<String>| match (when, &self.guess.tree) {
            (Some(path), Some(tree)) => tree.join(path).exists(),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let keys = self.guess.preset.keys.iter();
        keys.filter(|key| key.table == table && !but.contains(&key.key.as_str()) && there(&key.when))
            .cloned()
            .collect()
    }

    fn filled(&self, value: &Value) -> Value {
        let docroot = match self.guess.docroot.as_str() {
            "" => String::new(),
            docroot => format!("{docroot}/"),
        };
        match value {
            Value::String(text) => Value::String(text.replace("{docroot}", &docroot)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.filled(item)).collect()),
            Value::Table(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => value.clone(),
        }
    }

    fn comment(&mut self, sentence: &str) {
        self.line(&format!("# {sentence}"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::String(_)
        | Value::Table(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => vec![value.clone()],
    }
}

/// A value on one line, or a list that would be too long on a line each.
fn value(value: &Value) -> String {
    match value {
        Value::Array(items) if value.to_string().len() > 100 => {
            let items: Vec<String> = items.iter().map(|item| format!("  {item},\n")).collect();
            format!("[\n{}]", items.concat())
        }
        Value::Array(_)
        | Value::String(_)
        | Value::Table(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
