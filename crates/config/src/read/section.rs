//! Section: one table of the file, opened with the keys it may have; At: one value of it, with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Table};
use super::value::{Value, type_name};
use crate::complaint::{ConfigError, Source};

/// One table, all of whose keys are known. An absent table reads as an empty one.
pub(crate) struct Section<'t> {
    source: Source<'t>,
    table: &'static Table,
    span: Range<usize>,
    entries: Vec<(Range<usize>, &'t str, &'t Spanned<DeValue<'t>>)>,
}

/// One value with its name and place.
#[derive(Clone)]
pub(crate) struct At<'t> {
    source: Source<'t>,
    name: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Section<'t> {
    /// The top of the file.
    pub(crate) fn top(
        source: Source<'t>,
        table: &'t Spanned<DeTable<'t>>,
    ) -> Result<Section<'t>, ConfigError> {
        Section::open(source, "", table.span(), table.get_ref())
    }

    fn open(
        source: Source<'t>,
        name: &'static str,
        span: Range<usize>,
        table: &'t DeTable<'t>,
    ) -> Result<Section<'t>, ConfigError> {
        // A name that is not in the list is our own slip; it then knows no key, which every test of it shows.
        const NONE: Table = Table { name: "", many: false, keys: &[], tables: &[] };
        let known = keys::table(name).unwrap_or(&NONE);
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name: &str = key.get_ref();
            if !known.keys.contains(&name) && !known.tables.contains(&name) {
                return Err(unknown(source, known, key.span(), name));
            }
            entries.push((key.span(), name, value));
        }
        // The parser sorts by name; mistakes are told from the top of the file down.
        entries.sort_by_key(|(span, _, _)| span.start);
        Ok(Section { source, table: known, span, entries })
    }

    fn find(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries.iter().find(|(_, name, _)| *name == key).map(|(_, _, value)| *value)
    }

    /// `section.key`, as errors name it.
    fn full(&self, key: &str) -> String {
        match self.table.name {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    /// The value of `key` with its place.
    pub(crate) fn at(&self, key: &str) -> Option<At<'t>> {
        self.find(key).map(|value| At { source: self.source, name: self.full(key), value })
    }

    /// The value of `key`, if it stands there.
    pub(crate) fn get<T: Value>(&self, key: &str) -> Result<Option<T>, ConfigError> {
        self.at(key).map(|at| at.read()).transpose()
    }

    /// The value of `key`, or its default.
    pub(crate) fn or<T: Value>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// The value of `key`, which must stand there.
    pub(crate) fn need<T: Value>(&self, key: &str) -> Result<T, ConfigError> {
        let missing = || {
            let name = bracketed(self.table);
            self.complain(format!("{name} needs `{key}`"), format!("write `{key}`, {}", T::SHAPE))
        };
        self.get(key)?.ok_or_else(missing)
    }

    /// The list under `key`; absent: none.
    pub(crate) fn list<T: Value>(&self, key: &str) -> Result<Vec<T>, ConfigError> {
        Ok(self.maybe_list(key)?.unwrap_or_default())
    }

    /// The list under `key`, if it stands there.
    pub(crate) fn maybe_list<T: Value>(&self, key: &str) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(items) = self.at(key).map(|at| at.items(T::SHAPE)).transpose()? else {
            return Ok(None);
        };
        items.iter().map(At::read).collect::<Result<_, _>>().map(Some)
    }

    /// The values of a table with free names, as `php.ini`; absent: none.
    pub(crate) fn named(&self, key: &str) -> Result<Vec<(String, At<'t>)>, ConfigError> {
        self.at(key).map_or(Ok(Vec::new()), |at| at.named())
    }

    /// The subtable `key` (its full dotted name is looked up in the list of keys); absent: an empty one.
    pub(crate) fn section(&self, name: &'static str) -> Result<Section<'t>, ConfigError> {
        match self.maybe_section(name)? {
            Some(section) => Ok(section),
            None => Ok(Section {
                source: self.source,
                table: keys::table(name).unwrap_or(self.table),
                span: self.span.clone(),
                entries: Vec::new(),
            }),
        }
    }

    /// The subtable of that full name, if it stands there.
    pub(crate) fn maybe_section(&self, name: &'static str) -> Result<Option<Section<'t>>, ConfigError> {
        self.at(last(name)).map(|at| at.section(name)).transpose()
    }

    /// The array of tables of that full name; absent: none.
    pub(crate) fn each(&self, name: &'static str) -> Result<Vec<Section<'t>>, ConfigError> {
        let Some(at) = self.at(last(name)) else {
            return Ok(Vec::new());
        };
        if at.value().is_table() {
            let fix = format!("write [[{name}]], once for each");
            return Err(at.complain(format!("`{name}` is a list of tables"), fix));
        }
        at.items("a table")?.iter().map(|item| item.section(name)).collect()
    }

    /// Complains about the section as a whole.
    pub(crate) fn complain(&self, what: impl Into<String>, fix: impl Into<String>) -> ConfigError {
        self.source.complain(self.span.clone(), what, fix)
    }
}

impl<'t> At<'t> {
    /// The bare value.
    pub(crate) fn value(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    /// The text in quotes that must stand here.
    pub(crate) fn text(&self) -> Result<&'t str, String> {
        self.value().as_str().ok_or_else(|| self.not_a("text"))
    }

    /// Half a sentence: what stands here instead.
    pub(crate) fn not_a(&self, wanted: &str) -> String {
        format!("it is {}, not {wanted}", type_name(self.value()))
    }

    /// Reads it as `T`.
    pub(crate) fn read<T: Value>(&self) -> Result<T, ConfigError> {
        T::read(self).map_err(|why| self.wrong(&why, T::SHAPE))
    }

    /// Reads it by a function, told with the shape it wants.
    pub(crate) fn read_as<T>(
        &self,
        shape: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.text().and_then(read).map_err(|why| self.wrong(&why, shape))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let shape = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        self.read_as(&shape, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, choice)| *choice).ok_or_else(|| format!("`{text}` is not one of its words"))
        })
    }

    /// The items of the list that must stand here.
    pub(crate) fn items(&self, shape: &str) -> Result<Vec<At<'t>>, ConfigError> {
        let Some(array) = self.value().as_array() else {
            return Err(self.wrong(&self.not_a("a list"), &format!("a list in brackets: [ {shape}, … ]")));
        };
        let at = |value| At { source: self.source, name: self.name.clone(), value };
        Ok(array.iter().map(at).collect())
    }

    /// The names and values of the table that must stand here.
    pub(crate) fn named(&self) -> Result<Vec<(String, At<'t>)>, ConfigError> {
        let Some(table) = self.value().as_table() else {
            return Err(self.wrong(&self.not_a("a table"), "a table: { name = \"value\" }"));
        };
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = format!("{}.{}", self.name, key.get_ref());
            entries.push((key.get_ref().to_string(), At { source: self.source, name, value }));
        }
        entries.sort_by_key(|(_, at)| at.value.span().start);
        Ok(entries)
    }

    /// The section of that full name that must stand here.
    pub(crate) fn section(&self, name: &'static str) -> Result<Section<'t>, ConfigError> {
        let Some(table) = self.value().as_table() else {
            return Err(self.wrong(&self.not_a("a table"), &format!("{} above its keys", bracket(name))));
        };
        Section::open(self.source, name, self.value.span(), table)
    }

    /// Complains that the value is wrong and what to write.
    pub(crate) fn wrong(&self, why: &str, shape: &str) -> ConfigError {
        self.complain(format!("`{}`: {why}", self.name), format!("write {shape}"))
    }

    /// Complains about this place.
    pub(crate) fn complain(&self, what: impl Into<String>, fix: impl Into<String>) -> ConfigError {
        self.source.complain(self.value.span(), what, fix)
    }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn bracket(name: &str) -> String {
    keys::table(name).map_or_else(|| format!("[{name}]"), bracketed)
}

fn bracketed(table: &Table) -> String {
    match table {
        Table { name: "", .. } => "the top of the file".into(),
        Table { name, many: true, .. } => format!("[[{name}]]"),
        Table { name, many: false, .. } => format!("[{name}]"),
    }
}

/// The complaint about an unknown key: a near one of the same table, or the table that knows it.
fn unknown(source: Source<'_>, table: &Table, span: Range<usize>, key: &str) -> ConfigError {
    let known = || table.keys.iter().chain(table.tables).copied();
    let near = known()
        .map(|name| (strsim::damerau_levenshtein(&key.to_ascii_lowercase().replace('-', "_"), name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    let homes: Vec<String> =
        keys::homes(key).map(|home| format!("`{key}` belongs in {}", bracketed(home))).collect();
    let fix = match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if !homes.is_empty() && homes.len() <= 3 => homes.join(", or "),
        None => format!("{} knows {}", bracketed(table), known().collect::<Vec<_>>().join(", ")),
    };
    let at = if table.name.is_empty() { "at" } else { "in" };
    source.complain(span, format!("unknown key `{}` {at} {}", key.escape_debug(), bracketed(table)), fix)
}
