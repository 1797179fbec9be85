//! Reading observations, from whoever wrote them.

use super::line::{FORMAT, Header, Kind, Named, Row, Said};
use super::{SavedError, VERSION};
use crate::observations::{Flip, Observations, Seen};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// No line of ours is longer; of a file of something else no more is read.
const LONGEST: u64 = 16 << 20;

/// Reads a file that [`super::to_file`] wrote.
///
/// # Errors
/// As [`read`], and when the file cannot be opened.
pub fn from_file(path: &Path) -> Result<Observations, SavedError> {
    let file = File::open(path).map_err(|source| SavedError::Open { path: path.to_owned(), source })?;
    read(&mut BufReader::with_capacity(1 << 16, file))
}

/// Reads what [`super::write`] wrote. A file without its end is what a killed run left: it is said in
/// [`Observations::cut_short`].
///
/// # Errors
/// When the input fails, is something else or of a later version, or is damaged elsewhere than in its last line.
pub fn read(from: &mut impl BufRead) -> Result<Observations, SavedError> {
    let mut lines = Lines { from, line: Vec::new(), number: 0 };
    let mut observed = header(&mut lines)?;
    let mut cut_short = "the run was killed: its saved observations have no end";
    while let Some(whole) = lines.next()? {
        match (add(&mut observed, &lines.line), whole) {
            (Ok(Added::Observation), _) => {}
            (Ok(Added::End), _) => {
                return match lines.next()? {
                    None => Ok(observed),
                    Some(_) => Err(lines.damaged("the observations had ended before it".to_owned())),
                };
            }
            (Err(_), false) => {
                cut_short = "the run was killed: its saved observations have no end, and a torn last line, which was cut off";
            }
            (Err(why), true) => return Err(lines.damaged(why)),
        }
    }
    observed.took_ns = observed.responses.iter().map(|one| one.done_ns).max().unwrap_or(0);
    observed.cut_short = Some(cut_short.to_owned());
    Ok(observed)
}

fn header(lines: &mut Lines<'_, impl BufRead>) -> Result<Observations, SavedError> {
    let foreign = |why: &str| SavedError::Foreign(why.to_owned());
    if lines.next()?.is_none() {
        return Err(foreign("it is empty"));
    }
    let kind: Kind =
        parse(&lines.line).map_err(|_| foreign("its first line does not name the format and its version"))?;
    if kind.format != FORMAT {
        return Err(SavedError::Foreign(format!("its format is called {:?}", kind.format)));
    }
    if kind.version > VERSION {
        return Err(SavedError::Newer(kind.version));
    }
    let header: Header = parse(&lines.line).map_err(|why| lines.damaged(why))?;
    let observed = Observations {
        releases: header.releases,
        pages: header.pages,
        first: header.first,
        target: header.target,
        load: header.load,
        began: header.began,
        ..Observations::default()
    };
    known(observed.first, &observed.releases, "release").map_err(|why| lines.damaged(why))?;
    Ok(observed)
}

enum Added {
    Observation,
    End,
}

fn add(observed: &mut Observations, line: &[u8]) -> Result<Added, String> {
    if line.starts_with(b"[") {
        let response = parse::<Row<Said>>(line)?.response();
        known(response.page, &observed.pages, "page")?;
        let named = match &response.seen {
            Seen::Of(one) => std::slice::from_ref(one),
            Seen::AnyOf(some) | Seen::Parts(some) => some,
            Seen::Wrong(_) => &[],
        };
        named.iter().try_for_each(|number| known(*number, &observed.releases, "release"))?;
        observed.responses.push(response);
        return Ok(Added::Observation);
    }
    match parse::<Named>(line)? {
        Named::Flip(to, called_ns, returned_ns) => {
            known(to, &observed.releases, "release")?;
            observed.flips.push(Flip { to, called_ns, returned_ns });
            Ok(Added::Observation)
        }
        Named::End(end) => {
            observed.took_ns = end.took_ns;
            observed.reconnects = end.reconnects;
            observed.cut_short = end.cut_short;
            observed.bottleneck = end.bottleneck;
            Ok(Added::End)
        }
    }
}

fn known(number: u32, list: &[String], what: &str) -> Result<(), String> {
    match list.get(number as usize) {
        Some(_) => Ok(()),
        None => Err(format!("there is no {what} number {number}, as the first line has {}", list.len())),
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|why| why.to_string())
}

struct Lines<'a, R> {
    from: &'a mut R,
    /// Without its end.
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<'_, R> {
    /// Goes to the next line; gives whether it has an end, or `None` behind the last.
    fn next(&mut self) -> Result<Option<bool>, SavedError> {
        self.line.clear();
        self.number += 1;
        let got = self.from.take(LONGEST).read_until(b'\n', &mut self.line).map_err(SavedError::Read)?;
        if got == 0 {
            return Ok(None);
        }
        let whole = self.line.pop_if(|last| *last == b'\n').is_some();
        if !whole && got as u64 == LONGEST {
            return Err(self.damaged(format!("it is longer than {LONGEST} bytes")));
        }
        Ok(Some(whole))
    }

    fn damaged(&self, why: String) -> SavedError {
        SavedError::Damaged { line: self.number, why }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
