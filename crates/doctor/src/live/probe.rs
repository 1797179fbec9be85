//! Probe: a script that is put into the directory that a site serves, asked once, and removed.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ask::Asker;

/// What the probe said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// SCRIPT_FILENAME.
    pub script: String,
    /// DOCUMENT_ROOT.
    pub root: String,
    /// `__FILE__`: where PHP found it.
    pub file: String,
    /// The working directory.
    pub dir: String,
    /// How PHP is run.
    pub sapi: String,
    /// `realpath_cache_ttl`.
    pub ttl: String,
    /// `realpath_cache_size`.
    pub size: String,
    /// Whether opcache is on.
    pub opcache: bool,
    /// `opcache.validate_timestamps`.
    pub validates: bool,
    /// The release that the request is pinned to, as Cutover's modules and server tell scripts.
    pub release: String,
}

const SCRIPT: &str = include_str!("probe.php");

/// Puts the probe there, asks it, removes it. An error says why it told nothing.
pub(super) fn ask(asker: &Asker, dir: &Path) -> Result<Told, String> {
    let word = format!("{:016x}{:016x}", RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    let probe = Probe::put(dir, &word)?;
    let answer = asker
        .get_with(&asker.beside(&probe.name), &[("x-cutover-probe", &word)])
        .map_err(|why| why.to_string())?;
    if answer.body.contains("<?php") {
        return Err("the site sends PHP's source instead of running it".into());
    }
    let Some(told) = answer.body.split('\u{1e}').nth(1) else {
        return Err(format!(
            "{} answered {} and was not run: is {} the directory that the page lies in?",
            answer.url,
            answer.status,
            dir.display()
        ));
    };
    serde_json::from_str(told).map_err(|said| format!("it told nonsense: {said}"))
}

/// The script on disk; gone with this value.
struct Probe {
    path: PathBuf,
    name: String,
}

impl Probe {
    fn put(dir: &Path, word: &str) -> Result<Probe, String> {
        let name = format!("cutover-doctor-{}.php", &word[..12]);
        let path = dir.join(&name);
        let failed = |said: std::io::Error| format!("cannot write {}: {said}", path.display());
        // The pool runs as another user; the word is what keeps strangers out.
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path).map_err(failed)?;
        let probe = Probe { path: path.clone(), name };
        file.write_all(SCRIPT.replace("{word}", word).as_bytes()).map_err(failed)?;
        Ok(probe)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // What cannot be removed answers nobody.
        drop(fs::remove_file(&self.path));
    }
}
