//! Listing: a directory as a page, where the release asks for that.

use std::fmt::Write;

use http::{HeaderValue, Method, Response, header};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use crate::body::Body;
use crate::file::{Ask, method_not_allowed};
use crate::resource::name::is_source;
use crate::resource::path::encode;
use crate::tree::Tree;
use crate::tree::beneath::{self, Want};
use crate::tree::place::{Miss, Place};

/// Names shown at most.
const MOST: usize = 10_000;

/// A directory to be shown.
pub struct Listing {
    url: Vec<u8>,
    place: Place,
}

struct Row {
    name: Vec<u8>,
    is_directory: bool,
    size: u64,
    mtime: i64,
}

impl Listing {
    pub(crate) fn new(url: &[u8], place: Place) -> Self {
        Self { url: url.to_vec(), place }
    }
}

/// The page. Shows what would be served: no dotfiles, no PHP source, nothing that is neither file nor directory.
pub fn page(ask: Ask<'_>, tree: &Tree, listing: &Listing) -> Result<Response<Body>, Miss> {
    if ask.method != Method::GET && ask.method != Method::HEAD {
        return Ok(method_not_allowed());
    }
    let html = render(&listing.url, &rows(tree, &listing.place)?);
    let len = html.len();
    let body = if ask.method == Method::HEAD { Body::empty() } else { Body::full(html) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    Ok(response)
}

fn rows(tree: &Tree, place: &Place) -> Result<Vec<Row>, Miss> {
    let dir = beneath::open(tree.ground(place.origin)?.dir(), &place.path, Want::Bytes)?;
    let mut rows = Vec::new();
    for entry in Dir::read_from(&dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name.starts_with(b".") || is_source(&name) || (place.path.is_empty() && name == b"cutover.toml") {
            continue;
        }
        // Links are followed as a visitor's request would be.
        let Ok(stat) = statat(&dir, &name[..], AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_directory = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => false,
            FileType::Directory => true,
            FileType::Symlink => match tree.leads_to_directory(place, &name) {
                Ok(is_directory) => is_directory,
                Err(_) => continue,
            },
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => continue,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        rows.push(Row { name, is_directory, size, mtime: stat.st_mtime });
        if rows.len() == MOST {
            break;
        }
    }
    rows.sort_by(|a, b| b.is_directory.cmp(&a.is_directory).then_with(|| a.name.cmp(&b.name)));
    Ok(rows)
}

fn render(url: &[u8], rows: &[Row]) -> String {
    let title = escape(&String::from_utf8_lossy(url));
    let mut html = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>body{{font-family:sans-serif;margin:2em}}td{{padding:.1em 1em .1em 0}}td+td{{text-align:right}}</style>\n\
         </head><body><h1>{title}</h1>\n<table>\n"
    );
    if url != b"/" {
        html.push_str("<tr><td><a href=\"../\">../</a></td></tr>\n");
    }
    for row in rows {
        let slash = if row.is_directory { "/" } else { "" };
        // "./": a name may have a colon in it.
        let href = escape(&encode(&row.name));
        let name = escape(&String::from_utf8_lossy(&row.name));
        let size = if row.is_directory { String::from("-") } else { row.size.to_string() };
        let day = jiff::Timestamp::from_second(row.mtime).map_or(String::new(), |time| {
            time.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
        });
        // Writing to a String cannot fail.
        let written = writeln!(
            html,
            "<tr><td><a href=\"./{href}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{day}</td></tr>"
        );
        debug_assert!(written.is_ok());
    }
    html.push_str("</table></body></html>\n");
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_the_page() {
        let row = |name: &[u8], is_directory| Row { name: name.to_vec(), is_directory, size: 3, mtime: 0 };
        let html = render(
            b"/<b>/",
            &[
                row(b"d", true),
                row(b"\"><script>alert(1)</script>", false),
                row(b"javascript:x\\\xff", false),
            ],
        );
        assert!(!html.contains("<script") && !html.contains("<b>"));
        assert!(html.contains("href=\"./d/\""));
        assert!(html.contains("href=\"./%22%3E%3Cscript%3Ealert(1)%3C/script%3E\""), "{html}");
        assert!(html.contains("href=\"./javascript:x%5C%FF\""), "{html}");
        assert!(html.contains("1970-01-01 00:00:00"));
    }
}
