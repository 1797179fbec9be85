//! Operator: who carries out the acts, by Cutover's commands alone, and says what came of each.

use crate::act::Act;
use crate::show;
use crate::site::Site;
use crate::stuck::{Stuck, Trying};
use crate::wiki::{self, Mistake, VERSIONS, Version};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Who has the commands.
#[derive(Debug)]
pub struct Operator {
    cutover: PathBuf,
    site: Site,
    /// What the source is now.
    version: Version,
    /// The ids that deploys gave, by the version's number.
    ids: BTreeMap<u32, String>,
    /// Flips since the last other act.
    flips: Flips,
}

#[derive(Debug, Default)]
struct Flips {
    took_ms: Vec<f64>,
    between: Vec<u32>,
}

impl Operator {
    /// With the source at its first version, and nothing deployed.
    #[must_use]
    pub fn new(cutover: PathBuf, site: Site) -> Self {
        let [version, ..] = VERSIONS;
        Self { cutover, site, version, ids: BTreeMap::new(), flips: Flips::default() }
    }

    /// Does it; returns when Cutover has.
    ///
    /// # Errors
    /// When a command does not do what it should: refused deploys included, which must fail.
    pub fn carry_out(&mut self, act: Act) -> Result<(), Stuck> {
        if !matches!(act, Act::Flip(_)) {
            self.tell_flips();
        }
        match act {
            Act::Deploy(number) => self.deploy(number),
            Act::Refused(number, mistake) => self.refused(number, mistake),
            Act::Rollback(number) => self.rollback(number),
            Act::Flip(number) => self.flip(number),
        }
    }

    /// Says how the flips went that were not told yet.
    pub fn tell_flips(&mut self) {
        let Flips { mut took_ms, mut between } = std::mem::take(&mut self.flips);
        took_ms.sort_by(f64::total_cmp);
        between.sort_unstable();
        between.dedup();
        let Some(middle) = took_ms.get(took_ms.len() / 2) else { return };
        let between: Vec<&str> = between.into_iter().map(name).collect();
        show::act(
            "flip",
            &format!(
                "{} times, round {}; the command takes {middle:.0} ms",
                took_ms.len(),
                between.join(", ")
            ),
        );
    }

    fn deploy(&mut self, number: u32) -> Result<(), Stuck> {
        self.write(number)?;
        let began = Instant::now();
        let answer = self.done(&["deploy", "--json"])?;
        let took = began.elapsed().as_secs_f64();
        let id = text(&answer, "release");
        show::act("deploy", &format!("{} is live as {id}, {took:.1} s after the command", name(number)));
        self.ids.insert(number, id);
        Ok(())
    }

    fn refused(&mut self, number: u32, mistake: Mistake) -> Result<(), Stuck> {
        let before = self.version;
        self.write(number)?;
        mistake.make(&self.site.source)?;
        let (code, answer) = self.run(&["deploy", "--json"])?;
        if code != Some(1) {
            return Err(Stuck::because(format!("a deploy with a mistake did not fail: {answer}")));
        }
        let what = match mistake {
            Mistake::Typo => "a typo",
            Mistake::Crash => "a page that crashes",
        };
        show::act("deploy", &format!("{} with {what} is refused, {}:", name(number), text(&answer, "still")));
        show::quote(&text(&answer, "error"));
        mistake.correct(&self.site.source)?;
        wiki::change(&self.site.source, self.version, before)?;
        self.version = before;
        Ok(())
    }

    fn rollback(&mut self, number: u32) -> Result<(), Stuck> {
        let answer = self.done(&["rollback", "--json"])?;
        let (live, id) = (text(&answer, "live"), self.id(number)?);
        if live != id {
            return Err(Stuck::because(format!("the rollback went to {live}, not to {id}")));
        }
        let us = answer.get("took_us").and_then(Value::as_u64).unwrap_or_default();
        show::act("rollback", &format!("{} is live again; the flip took {us} us", name(number)));
        Ok(())
    }

    fn flip(&mut self, number: u32) -> Result<(), Stuck> {
        let id = self.id(number)?;
        let began = Instant::now();
        self.done(&["flip", &id, "--json"])?;
        self.flips.took_ms.push(began.elapsed().as_secs_f64() * 1000.0);
        self.flips.between.push(number);
        Ok(())
    }

    /// Makes the source this version.
    fn write(&mut self, number: u32) -> Result<(), Stuck> {
        let Some(version) = VERSIONS.get(number as usize).copied() else {
            return Err(Stuck::because(format!("there is no version {number}")));
        };
        wiki::change(&self.site.source, self.version, version)?;
        self.version = version;
        Ok(())
    }

    fn id(&self, number: u32) -> Result<String, Stuck> {
        let id = self.ids.get(&number).cloned();
        id.ok_or_else(|| Stuck::because(format!("{} was never deployed", name(number))))
    }

    /// What a command answers that has to succeed.
    fn done(&self, words: &[&str]) -> Result<Value, Stuck> {
        let (code, answer) = self.run(words)?;
        if code == Some(0) {
            return Ok(answer);
        }
        let (error, still) = (text(&answer, "error"), text(&answer, "still"));
        Err(Stuck::because(format!("`cutover {}` failed: {error}; {still}", words.join(" "))))
    }

    /// Its exit code, and the last line of what it says.
    fn run(&self, words: &[&str]) -> Result<(Option<i32>, Value), Stuck> {
        let mut command = Command::new(&self.cutover);
        command.arg("-C").arg(&self.site.root).args(words).stdin(Stdio::null());
        let output = command.output().trying(|| format!("cannot run {command:?}"))?;
        let last = output.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let answer = serde_json::from_slice(last).trying(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("`cutover {}` did not answer in JSON: {}", words.join(" "), said.trim())
        })?;
        Ok((output.status.code(), answer))
    }
}

fn text(answer: &Value, key: &str) -> String {
    answer.get(key).and_then(Value::as_str).unwrap_or("?").to_owned()
}

fn name(number: u32) -> &'static str {
    VERSIONS.get(number as usize).map_or("?", |version| version.name)
}
