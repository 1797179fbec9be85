//! Mime: the media type of a file by its name, and whether packing it pays.

use http::HeaderValue;

/// The type of a file that nobody knows.
const UNKNOWN: &str = "application/octet-stream";

/// The value of `Content-Type` for a file of this name, with `charset=utf-8` where it is text.
pub fn content_type(name: &[u8]) -> HeaderValue {
    let essence = essence(name);
    if essence.starts_with("text/") || essence == "application/javascript" {
        let text = format!("{essence}; charset=utf-8");
        return HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    HeaderValue::from_static(essence)
}

/// Whether files of this name shrink when they are packed. Pictures, films and archives are packed already.
pub fn is_compressible(name: &[u8]) -> bool {
    let essence = essence(name);
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/javascript"
                | "application/json"
                | "application/xml"
                | "application/wasm"
                | "application/x-ndjson"
                | "application/vnd.ms-fontobject"
                | "application/rtf"
                | "font/ttf"
                | "font/otf"
                | "image/bmp"
                | "image/x-icon"
                | "image/vnd.microsoft.icon"
        )
}

fn essence(name: &[u8]) -> &'static str {
    // iOS reads this file, which has no extension, only as JSON.
    if name == b"apple-app-site-association" {
        return "application/json";
    }
    let Some(dot) = memchr::memrchr(b'.', name) else { return UNKNOWN };
    let Ok(extension) = str::from_utf8(&name[dot + 1..]) else { return UNKNOWN };
    // Where the table is behind the registry, or names a type that browsers do not take.
    match extension {
        "js" | "mjs" | "cjs" => return "text/javascript",
        "webmanifest" => return "application/manifest+json",
        "map" => return "application/json",
        "avif" => return "image/avif",
        "ico" => return "image/x-icon",
        "php" => return UNKNOWN,
        _ => {}
    }
    mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_type_its_name_says() {
        for (name, wanted) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.CSS", "text/css; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.pdf", "application/pdf"),
            ("a.mp4", "video/mp4"),
            ("favicon.ico", "image/x-icon"),
            ("apple-app-site-association", "application/json"),
            ("README", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.\u{e9}", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name.as_bytes()), wanted, "{name}");
        }
    }

    #[test]
    fn what_is_packed_already_is_left_alone() {
        for name in ["a.html", "a.js", "a.svg", "a.json", "a.wasm", "a.ttf", "feed.rss"] {
            assert!(is_compressible(name.as_bytes()), "{name}");
        }
        for name in ["a.png", "a.jpg", "a.woff2", "a.mp4", "a.zip", "a.gz", "a.br", "README"] {
            assert!(!is_compressible(name.as_bytes()), "{name}");
        }
    }
}
