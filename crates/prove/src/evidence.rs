//! Evidence: what one answer says about the release it came from. Pure.

use crate::client::{Answer, Fault};
use crate::observations::Seen;
use crate::page::{Expect, Page, Print};
use crate::scenario::Marks;

/// Looks at answers for one scenario.
#[derive(Debug)]
pub struct Examiner<'a> {
    releases: &'a [String],
    marks: &'a Marks,
}

impl<'a> Examiner<'a> {
    /// For these releases, named by these marks.
    #[must_use]
    pub fn new(releases: &'a [String], marks: &'a Marks) -> Self {
        Self { releases, marks }
    }

    /// What this outcome of asking for `page` says.
    #[must_use]
    pub fn look(&self, page: &Page, outcome: &Result<Answer<'_>, Fault>) -> Seen {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(fault) => return wrong(&fault.to_string()),
        };
        let header = match self.by_header(answer) {
            Ok(header) => header,
            Err(unknown) => return wrong(&unknown),
        };
        match &page.expect {
            Expect::Exact(expected) => self.against(expected.len(), answer, header, |number| {
                expected.get(number as usize).is_some_and(|expected| {
                    expected.status == answer.status
                        && expected.body.as_ref().is_none_or(|body| body == answer.body)
                })
            }),
            Expect::Hashed(expected) => {
                let print = Print::of(answer.status, answer.body);
                self.against(expected.len(), answer, header, |number| {
                    expected.get(number as usize) == Some(&print)
                })
            }
            Expect::Named { status } => match (status, header) {
                (Some(status), _) if answer.status != *status => {
                    wrong(&format!("status {} where every release answers {status}", answer.status))
                }
                (None, _) if answer.status >= 500 => wrong(&format!("status {}", answer.status)),
                (_, Some(header)) => Seen::Of(header),
                (_, None) => wrong(&format!(
                    "no header {}: nothing names a release",
                    self.marks.header.as_deref().unwrap_or("is looked for")
                )),
            },
            Expect::Marked { status, at_least, contains } => {
                if answer.status != *status {
                    return wrong(&format!("status {} where every release answers {status}", answer.status));
                }
                if let Some(missing) = contains.iter().find(|text| !contains_text(answer.body, text)) {
                    return wrong(&format!("{missing:?} is missing"));
                }
                self.by_marks(answer, header, *at_least)
            }
        }
    }

    /// Judges by header and marks alone, whatever the status and the rest of the body.
    #[must_use]
    pub fn by_marks(&self, answer: &Answer<'_>, header: Option<u32>, at_least: usize) -> Seen {
        let (mut named, marks) = match self.in_body(answer.body) {
            Ok(found) => found,
            Err(unknown) => return wrong(&unknown),
        };
        if marks < at_least {
            return wrong(&format!("{marks} marks of a release where there are at least {at_least}"));
        }
        if let Some(header) = header
            && !named.contains(&header)
        {
            named.push(header);
        }
        match *named.as_slice() {
            // An answer that need not name anything (a redirect, an image) may be any release's.
            [] if at_least == 0 => Seen::AnyOf((0..count(self.releases)).collect()),
            [] => wrong("nothing names a release"),
            [one] => Seen::Of(one),
            _ => Seen::Parts(named.into()),
        }
    }

    /// The release that the header names, if there is the header.
    ///
    /// # Errors
    /// When it names none of the scenario's releases.
    pub fn by_header(&self, answer: &Answer<'_>) -> Result<Option<u32>, String> {
        let Some(name) = self.marks.header.as_deref() else { return Ok(None) };
        let Some(value) = answer.header(name) else { return Ok(None) };
        self.number(value.as_bytes()).map(Some)
    }

    /// Judges by which of the first `releases` releases would answer so.
    fn against(
        &self,
        releases: usize,
        answer: &Answer<'_>,
        header: Option<u32>,
        fits: impl Fn(u32) -> bool,
    ) -> Seen {
        if let Some(header) = header
            && fits(header)
        {
            return Seen::Of(header);
        }
        let mut fitting = (0..u32::try_from(releases).unwrap_or(u32::MAX)).filter(|number| fits(*number));
        match (fitting.next(), header) {
            (Some(one), Some(header)) => Seen::Parts([header, one].into()),
            // Nothing is allocated for the answer that only one release gives, which is nearly every one.
            (Some(one), None) => match fitting.next() {
                None => Seen::Of(one),
                Some(other) => Seen::AnyOf([one, other].into_iter().chain(fitting).collect()),
            },
            (None, _) => self.explain(answer, header),
        }
    }

    /// No release answers so: are there parts of several, or is it plainly wrong?
    fn explain(&self, answer: &Answer<'_>, header: Option<u32>) -> Seen {
        let named = self.in_body(answer.body).map(|(mut named, _)| {
            named.extend(header.filter(|header| !named.contains(header)));
            named
        });
        match named {
            Ok(named) if named.len() > 1 => Seen::Parts(named.into()),
            Ok(_) | Err(_) => wrong(&format!(
                "status {} and a body of {} bytes that no release answers: {}",
                answer.status,
                answer.body.len(),
                excerpt(answer.body)
            )),
        }
    }

    /// The different releases that a body names, and how many marks there are.
    fn in_body(&self, body: &[u8]) -> Result<(Vec<u32>, usize), String> {
        let (before, after) = (self.marks.before.as_bytes(), self.marks.after.as_bytes());
        let (mut named, mut marks, mut rest) = (Vec::new(), 0, body);
        while let Some(from) = find(rest, before).map(|at| at + before.len()) {
            rest = rest.get(from..).unwrap_or_default();
            let name = match find(rest, after) {
                Some(until) => rest.get(..until).unwrap_or_default(),
                None => return Err(format!("a mark without an end: {}", excerpt(rest))),
            };
            let number = self.number(name)?;
            marks += 1;
            if !named.contains(&number) {
                named.push(number);
            }
        }
        Ok((named, marks))
    }

    fn number(&self, name: &[u8]) -> Result<u32, String> {
        self.releases
            .iter()
            .position(|release| release.as_bytes() == name)
            .and_then(|at| u32::try_from(at).ok())
            .ok_or_else(|| format!("a release that is not of this scenario: {}", excerpt(name)))
    }
}

fn wrong(why: &str) -> Seen {
    Seen::Wrong(why.into())
}

fn count<T>(expected: &[T]) -> u32 {
    u32::try_from(expected.len()).unwrap_or(u32::MAX)
}

fn contains_text(body: &[u8], text: &str) -> bool {
    find(body, text.as_bytes()).is_some()
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    loop {
        let rest = within.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if within.get(at..)?.starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..160).unwrap_or(bytes)).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{self, Ask};

    fn seen(expect: Expect, head: &str, status: u16, body: &str) -> Seen {
        let releases = ["a", "b", "c"].map(str::to_owned);
        let marks = Marks::default();
        let page = Page { name: "p".into(), weight: 1, ask: Ask::get("/"), expect };
        let head = format!("HTTP/1.1 {status} x\r\n{head}\r\n");
        Examiner::new(&releases, &marks)
            .look(&page, &Ok(Answer { status, head: head.as_bytes(), body: body.as_bytes() }))
    }

    fn exact() -> Expect {
        Expect::Exact(vec![
            page::Answer::of(200, "[release a] hi"),
            page::Answer::of(200, "[release b] hi"),
            page::Answer::status(404),
        ])
    }

    fn says(release: &str) -> String {
        format!("X-Cutover-Release: {release}\r\n")
    }

    #[test]
    fn a_whole_answer_is_its_releases() {
        assert_eq!(seen(exact(), "", 200, "[release a] hi"), Seen::Of(0));
        assert_eq!(seen(exact(), &says("b"), 200, "[release b] hi"), Seen::Of(1));
        assert_eq!(seen(exact(), "", 404, "nothing here"), Seen::Of(2));
    }

    #[test]
    fn an_answer_that_several_give_is_any_of_theirs_unless_its_header_says_whose() {
        let same = || Expect::Exact(vec![page::Answer::of(200, "x"), page::Answer::of(200, "x")]);
        assert_eq!(seen(same(), "", 200, "x"), Seen::AnyOf([0, 1].into()));
        assert_eq!(seen(same(), &says("b"), 200, "x"), Seen::Of(1));
    }

    #[test]
    fn a_header_of_one_release_on_the_answer_of_another_is_mixed() {
        assert_eq!(seen(exact(), &says("c"), 200, "[release a] hi"), Seen::Parts([2, 0].into()));
        assert_eq!(seen(exact(), &says("a"), 404, "nothing"), Seen::Parts([0, 2].into()));
    }

    #[test]
    fn a_body_that_names_two_releases_is_mixed() {
        assert_eq!(seen(exact(), "", 200, "[release a] [release b]"), Seen::Parts([0, 1].into()));
        assert_eq!(seen(exact(), &says("c"), 200, "[release a]"), Seen::Parts([0, 2].into()));
    }

    #[test]
    fn what_no_release_answers_is_wrong() {
        for (status, body) in
            [(200, "[release a] ha"), (502, ""), (200, "[release z] hi"), (200, "[release a")]
        {
            assert!(matches!(seen(exact(), "", status, body), Seen::Wrong(_)), "{body}");
        }
        assert!(matches!(seen(exact(), &says("z"), 200, "[release a] hi"), Seen::Wrong(_)));
    }

    #[test]
    fn a_page_that_need_not_name_a_release_may_be_any_ones() {
        let unmarked = || Expect::Marked { status: 302, at_least: 0, contains: vec![] };
        assert_eq!(seen(unmarked(), "", 302, ""), Seen::AnyOf([0, 1, 2].into()));
        assert_eq!(seen(unmarked(), &says("b"), 302, ""), Seen::Of(1));
    }

    #[test]
    fn an_answer_is_known_by_its_hash_too() {
        let prints = ["one", "two", "two"].map(|body| page::Print::of(200, body.as_bytes()));
        let hashed = || Expect::Hashed(prints.into());
        assert_eq!(seen(hashed(), "", 200, "one"), Seen::Of(0));
        assert_eq!(seen(hashed(), "", 200, "two"), Seen::AnyOf([1, 2].into()));
        assert_eq!(seen(hashed(), &says("b"), 200, "one"), Seen::Parts([1, 0].into()));
        assert!(matches!(seen(hashed(), "", 200, "on"), Seen::Wrong(_)));
        assert!(matches!(seen(hashed(), "", 404, "one"), Seen::Wrong(_)));
    }

    #[test]
    fn a_header_alone_says_whose_an_answer_is_and_must_be_there() {
        let named = |status| Expect::Named { status };
        assert_eq!(seen(named(None), &says("b"), 404, "whatever"), Seen::Of(1));
        for (expect, head, status) in [
            (named(None), "", 200),
            (named(None), "X-Cutover-Release: b\r\n", 502),
            (named(Some(200)), "X-Cutover-Release: b\r\n", 404),
            (named(None), "X-Cutover-Release: z\r\n", 200),
        ] {
            assert!(matches!(seen(expect, head, status, "whatever"), Seen::Wrong(_)), "{head} {status}");
        }
    }

    #[test]
    fn a_marked_page_is_judged_by_its_marks() {
        let marked = || Expect::Marked { status: 200, at_least: 2, contains: vec!["wiki".into()] };
        assert_eq!(seen(marked(), "", 200, "[release b] wiki [release b]"), Seen::Of(1));
        assert_eq!(
            seen(marked(), &says("b"), 200, "[release a] wiki [release a]"),
            Seen::Parts([0, 1].into())
        );
        for wrong in ["[release b] wiki", "[release b] [release b]", "wiki [release q] [release b]"] {
            assert!(matches!(seen(marked(), "", 200, wrong), Seen::Wrong(_)), "{wrong}");
        }
    }
}
