//! Writer: somebody who edits wiki pages through their forms, and remembers every edit that was acknowledged.

use crate::form::EditForm;
use crate::wiki::MARKS;
use bytes::Bytes;
use prove::client::Client;
use prove::evidence::Examiner;
use prove::observations::{Response, Seen};
use prove::page::{Ask, Expect, Page};
use prove::progress::Progress;
use prove::scenario::Marks;
use prove::{Target, clock::Clock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Edits per page before the next page is begun, so that pages stay of a size that people write.
const EDITS_PER_PAGE: u32 = 25;

/// What every writer needs.
#[derive(Clone, Debug)]
pub struct Wiki {
    /// Where it is.
    pub target: Target,
    /// The run's clock.
    pub clock: Clock,
    /// The releases' ids.
    pub releases: Vec<String>,
    /// How they name themselves.
    pub marks: Marks,
    /// The run's progress: it says when to end.
    pub progress: Arc<Progress>,
}

/// What one writer did.
#[derive(Debug, Default)]
pub struct Written {
    /// Its responses; the page's name stands beside each.
    pub responses: Vec<(&'static str, Response)>,
    /// Each line that the wiki said it saved, by page.
    pub acknowledged: BTreeMap<String, Vec<String>>,
}

/// The names of what writers ask for.
pub const FORM: &str = "edit form";
/// See [`FORM`].
pub const SAVE: &str = "save of an edit";

struct Writer {
    wiki: Wiki,
    number: u32,
    client: Client,
    cookies: BTreeMap<String, String>,
    written: Written,
}

/// Edits until the run ends: reads a page's form, adds a line, saves it.
pub async fn write_on(wiki: Wiki, number: u32, pause: Duration) -> Written {
    let client = Client::new(wiki.target.clone(), wiki.clock, Duration::from_secs(30));
    let progress = Arc::clone(&wiki.progress);
    let mut writer = Writer { wiki, number, client, cookies: BTreeMap::new(), written: Written::default() };
    let mut edit = 0;
    while !progress.is_stopped() {
        writer.edit(edit).await;
        edit += 1;
        tokio::time::sleep(pause).await;
    }
    writer.written
}

/// What is missing of what was acknowledged: page and line.
pub async fn lost(wiki: &Wiki, acknowledged: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    let mut client = Client::new(wiki.target.clone(), wiki.clock, Duration::from_secs(30));
    let mut lost = Vec::new();
    for (page, lines) in acknowledged {
        let ask = Ask::get(&format!("/doku.php?id={page}&do=export_raw"));
        let exchange = client.ask(&ask, true).await;
        let text = match &exchange.answer {
            Ok(answer) if answer.status == 200 => String::from_utf8_lossy(answer.body).into_owned(),
            Ok(_) | Err(_) => String::new(),
        };
        let there: std::collections::BTreeSet<&str> = text.lines().map(str::trim_end).collect();
        lost.extend(
            lines
                .iter()
                .filter(|line| !there.contains(line.trim_end()))
                .map(|line| (page.clone(), line.clone())),
        );
    }
    lost
}

impl Writer {
    async fn edit(&mut self, edit: u32) {
        let page = format!("demo:writer{}:page{}", self.number, edit / EDITS_PER_PAGE);
        let form = self.ask(FORM, Ask::get(&format!("/doku.php?id={page}&do=edit")), 200, MARKS).await;
        let Some(form) = form.as_deref().and_then(EditForm::find) else { return };
        let line = format!("  * edit {edit} of writer {}: \"<&>\" äöü", self.number);
        let text = format!("{}\n{line}\n", form.text.trim_end());
        let body = Bytes::from(form.filled(&text, &format!("edit {edit}")));
        let ask = Ask::post(&format!("/doku.php?id={page}"), "application/x-www-form-urlencoded", body);
        // DokuWiki redirects once it saved; a conflict, a lock or a refusal is a page.
        if self.ask(SAVE, ask, 302, 0).await.is_some() {
            self.written.acknowledged.entry(page).or_default().push(line);
        }
    }

    /// Asks with the cookies, notes what was seen, and gives the body if one release answered as it should.
    async fn ask(&mut self, name: &'static str, ask: Ask, status: u16, at_least: usize) -> Option<String> {
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let ask = if jar.is_empty() { ask } else { ask.with("Cookie", &jar.join("; ")) };
        let expect = Expect::Marked { status, at_least, contains: Vec::new() };
        let page = Page { name: name.to_owned(), weight: 0, ask, expect };
        let exchange = self.client.ask(&page.ask, true).await;
        let seen = Examiner::new(&self.wiki.releases, &self.wiki.marks).look(&page, &exchange.answer);
        let good = !seen.is_suspect();
        let (sent_ns, done_ns) = (exchange.sent_ns, exchange.done_ns);
        let answer = exchange.answer.ok();
        for cookie in answer.iter().flat_map(|answer| answer.headers("set-cookie")) {
            let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        let body = answer.filter(|_| good).map(|answer| String::from_utf8_lossy(answer.body).into_owned());
        self.note(name, sent_ns, done_ns, seen);
        body
    }

    fn note(&mut self, name: &'static str, sent_ns: u64, done_ns: u64, seen: Seen) {
        // Writers are numbered behind any number of readers.
        let client = u32::MAX - self.number;
        self.written
            .responses
            .push((name, Response { page: 0, client, due_ns: sent_ns, sent_ns, done_ns, seen }));
    }
}
