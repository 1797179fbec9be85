//! Syntax: the lines of an Apache configuration, and the sections that enclose them. Nothing is resolved yet.

use std::ops::Range;

use crate::finding::Blind;
use crate::source::{Source, Span};

/// A directive, or a section with what it encloses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name as it is written, without angle brackets.
    pub name: String,
    /// What follows the name, untouched.
    pub rest: String,
    /// Where all of it stands, or the first line of it.
    pub at: Span,
    /// Where `rest` begins in the file, if it stands there in one piece.
    pub rest_at: Option<usize>,
    /// What it encloses, if it is a section.
    pub body: Option<Vec<Node>>,
}

/// Sections within sections; more are not followed.
const DEPTH_MAX: usize = 50;

/// Lines of one file, and faults of it that are told.
const LINES_MAX: usize = 100_000;
const FAULTS_MAX: usize = 100;

/// Parses a file. What cannot be made sense of is told, and the rest goes on as well as it can.
pub fn parse(source: &Source) -> (Vec<Node>, Vec<Blind>) {
    let mut faults = Vec::new();
    let mut top: Vec<Node> = Vec::new();
    let mut open: Vec<Node> = Vec::new();
    let (mut at, mut lines) = (0, 0);
    while at < source.text.len() {
        let (line, next) = logical(&source.text, at);
        let (here, begin) = (at, line.begin);
        at = next;
        let text = line.text.trim_end();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let span = source.span(begin..begin.max(here) + text.len());
        let mut fault = |why: String| {
            if faults.len() < FAULTS_MAX {
                faults.push(Blind { what: place(&span), why, at: Some(span.clone()) });
            }
        };
        lines += 1;
        if lines > LINES_MAX {
            fault(format!("more than {LINES_MAX} lines; the rest of the file is left out"));
            break;
        }
        if let Some(name) = text.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim();
            let closes = open.iter().rposition(|section| section.name.eq_ignore_ascii_case(name));
            let Some(closes) = closes else {
                fault(format!("</{name}> closes nothing"));
                continue;
            };
            while open.len() > closes {
                let Some(section) = open.pop() else { break };
                if open.len() > closes {
                    fault(format!(
                        "<{}> of line {} is not closed before </{name}>",
                        section.name, section.at.line
                    ));
                }
                open.last_mut().and_then(|above| above.body.as_mut()).unwrap_or(&mut top).push(section);
            }
            continue;
        }
        if text.starts_with('<') && open.len() == DEPTH_MAX {
            fault("sections within sections, too many to follow; the rest of the file is left out".into());
            break;
        }
        let node = node(text, span, line.whole.then_some(begin));
        if node.body.is_some() {
            open.push(node);
        } else {
            open.last_mut().and_then(|above| above.body.as_mut()).unwrap_or(&mut top).push(node);
        }
    }
    while let Some(section) = open.pop() {
        let why = format!("<{}> is not closed", section.name);
        faults.push(Blind { what: place(&section.at), why, at: Some(section.at.clone()) });
        open.last_mut().and_then(|above| above.body.as_mut()).unwrap_or(&mut top).push(section);
    }
    (top, faults)
}

/// `/etc/apache2/apache2.conf:12`.
pub fn place(at: &Span) -> String {
    format!("{}:{}", at.file.display(), at.line)
}

/// A line with its continuations.
struct Logical {
    text: String,
    /// Where its text begins in the file.
    begin: usize,
    /// Whether it is one line of the file, so that places in it are places in the file.
    whole: bool,
}

/// The logical line at a byte, leading blanks cut, and where the next one begins.
fn logical(file: &str, from: usize) -> (Logical, usize) {
    let mut text = String::new();
    let mut whole = true;
    let mut at = from;
    loop {
        let rest = file.get(at..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("");
        at = (at + line.len() + 1).min(file.len());
        let ends = at == file.len() && !rest.get(line.len()..).is_some_and(|rest| rest.starts_with('\n'));
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.strip_suffix('\\') {
            Some(line) if !ends => {
                text.push_str(line);
                whole = false;
            }
            Some(_) | None => {
                text.push_str(line);
                break;
            }
        }
        if at == file.len() {
            break;
        }
    }
    let blank = text.len() - text.trim_start().len();
    (Logical { text: text[blank..].to_owned(), begin: from + if whole { blank } else { 0 }, whole }, at)
}

fn node(text: &str, at: Span, begin: Option<usize>) -> Node {
    let (section, inner) = match text.strip_prefix('<') {
        // As Apache does: up to the last bracket.
        Some(inner) => (true, inner.rsplit_once('>').map_or(inner, |(inner, _)| inner)),
        None => (false, text),
    };
    let name_len = inner.find(char::is_whitespace).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(name_len);
    let blank = rest.len() - rest.trim_start().len();
    let rest_at = begin.map(|begin| begin + usize::from(section) + name_len + blank);
    Node { name: name.to_owned(), rest: rest.trim().to_owned(), at, rest_at, body: section.then(Vec::new) }
}

/// A word of a directive, and where it stands in the directive's text.
pub type Piece = (String, Range<usize>);

/// The words of a text, as `ap_getword_conf` splits them: at blanks; one that begins with a quote ends with it.
pub fn words(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut chars = text.char_indices().peekable();
    loop {
        while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some(&(begin, first)) = chars.peek() else { return found };
        let quote = matches!(first, '"' | '\'').then_some(first);
        if quote.is_some() {
            chars.next();
        }
        let mut word = String::new();
        let mut end = text.len();
        let from = begin + quote.map_or(0, char::len_utf8);
        while let Some((at, c)) = chars.next() {
            let over = quote.map_or(c.is_whitespace(), |quote| c == quote);
            if over {
                end = at;
                break;
            }
            let escaped = |next: char| next == '\\' || quote == Some(next);
            match chars.peek() {
                Some(&(_, next)) if c == '\\' && quote.is_some() && escaped(next) => {
                    word.push(next);
                    chars.next();
                }
                Some(_) | None => word.push(c),
            }
        }
        found.push((word, from..end.max(from)));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("/etc/x.conf"), text)
    }

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn words_are_split_as_apache_splits_them() {
        assert_eq!(texts(r#"/a "b c" 'd "e"' "f\"g" h\i"#), ["/a", "b c", "d \"e\"", "f\"g", "h\\i"]);
        assert_eq!(texts(r#""not closed"#), ["not closed"]);
        assert_eq!(texts("\"\" x"), ["", "x"]);
        assert!(texts("  ").is_empty());
    }

    #[test]
    fn sections_enclose_lines_and_lines_go_on_behind_a_backslash() {
        let text = "# a \\\n comment\n<VirtualHost *:80>\n  ServerName a\\\n .b\n\t<Directory \"/srv/x y\">\n  Require all granted\n</Directory>\n</virtualhost>\nListen 80";
        let source = source(text);
        let (nodes, faults) = parse(&source);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
            ["VirtualHost", "Listen"]
        );
        assert_eq!((nodes[0].rest.as_str(), nodes[0].at.line), ("*:80", 3));
        let body = nodes[0].body.as_ref().unwrap();
        assert_eq!((body[0].rest.as_str(), body[0].rest_at), ("a .b", None));
        assert_eq!((body[1].rest.as_str(), body[1].at.meant()), ("\"/srv/x y\"", "<Directory \"/srv/x y\">"));
        assert_eq!(&text[body[1].rest_at.unwrap()..][..10], "\"/srv/x y\"");
    }

    #[test]
    fn what_is_not_closed_or_closes_nothing_is_told() {
        let source = source(
            "</IfModule>\n<VirtualHost *>\n<Directory /x>\nRequire all granted\n</VirtualHost>\n<If \"a\">\n",
        );
        let (nodes, faults) = parse(&source);
        let told: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.what, fault.why)).collect();
        assert_eq!(
            told,
            [
                "/etc/x.conf:1: </IfModule> closes nothing",
                "/etc/x.conf:5: <Directory> of line 3 is not closed before </VirtualHost>",
                "/etc/x.conf:6: <If> is not closed"
            ]
        );
        assert_eq!(nodes.len(), 2);
    }
}
