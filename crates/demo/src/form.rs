//! Form: a wiki's edit form read from its HTML, and filled in as a browser would.

/// What the form carries.
#[derive(Debug, PartialEq, Eq)]
pub struct EditForm {
    /// Hidden fields, in order.
    pub hidden: Vec<(String, String)>,
    /// The text in the box.
    pub text: String,
}

impl EditForm {
    /// Finds DokuWiki's edit form in a page; `None`: there is none (somebody else edits, or it is another page).
    #[must_use]
    pub fn find(html: &str) -> Option<Self> {
        let from = html.find("id=\"dw__editform\"")?;
        let form = html.get(from..)?;
        let form = form.get(..form.find("</form>")?)?;
        let hidden = tags(form, "<input ")
            .filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"))
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
            .collect();
        let area = form.get(form.find("<textarea")?..)?;
        let area = area.get(area.find('>')? + 1..area.find("</textarea>")?)?;
        // HTML drops one line break right behind the tag.
        Some(Self { hidden, text: plain(area.strip_prefix('\n').unwrap_or(area)) })
    }

    /// The body of the POST that saves `text`.
    #[must_use]
    pub fn filled(&self, text: &str, summary: &str) -> String {
        let fields = self.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let ours = [("wikitext", text), ("summary", summary), ("do[save]", "1")];
        let pairs = fields.chain(ours).map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

fn tags<'a>(html: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
    html.split(begin).skip(1).filter_map(|rest| rest.get(..rest.find('>')?))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let begin = format!("{name}=\"");
    let at = if tag.starts_with(&begin) { 0 } else { tag.find(&format!(" {begin}"))? + 1 };
    let value = tag.get(at + begin.len()..)?;
    Some(plain(value.get(..value.find('"')?)?))
}

/// The five entities that PHP's htmlspecialchars writes, taken back.
fn plain(html: &str) -> String {
    let quotes =
        html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#039;", "'");
    quotes.replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<form id="other"><input type="hidden" name="x" value="1" /></form>
        <form id="dw__editform" action="/doku.php" method="post"><input type="hidden" name="sectok" value="a&amp;b" />
        <input type="hidden" name="date" value="" /><input name="summary" type="text" value="created" />
        <textarea name="wikitext" rows="10">
one &lt;b&gt; &amp;amp;
two</textarea></form>"#;

    #[test]
    fn a_form_is_read_as_a_browser_reads_it() {
        let form = EditForm::find(PAGE).unwrap();
        let hidden =
            [("sectok", "a&b"), ("date", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form.hidden, hidden);
        assert_eq!(form.text, "one <b> &amp;\ntwo");
        assert_eq!(EditForm::find("<form id=\"dw__search\"></form>"), None);
    }

    #[test]
    fn a_form_is_filled_in_as_a_browser_does() {
        let form = EditForm::find(PAGE).unwrap();
        let body = form.filled("a b\n", "s");
        assert_eq!(body, "sectok=a%26b&date=&wikitext=a%20b%0A&summary=s&do%5Bsave%5D=1");
    }
}
