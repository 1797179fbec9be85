//! The access log: one line per response, with its release: the combined format and more, or JSON.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use config::host::LogFormat;
use http::{HeaderMap, Method, Uri, Version, header};
use serde::Serialize;

use super::sink::{Sink, To};

/// A log of responses.
#[derive(Debug)]
pub struct AccessLog {
    sink: Sink,
    format: LogFormat,
    stamp: Mutex<(i64, String)>,
}

/// What a line is made of.
#[derive(Debug)]
pub struct Access<'a> {
    /// The site's name.
    pub site: &'a str,
    /// The client; `None` on a Unix socket without a trusted header.
    pub client: Option<IpAddr>,
    /// Who logged in.
    pub user: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The target as sent.
    pub uri: &'a Uri,
    /// The protocol.
    pub version: Version,
    /// The request's headers: Host, Referer and User-Agent are logged.
    pub headers: &'a HeaderMap,
    /// The status.
    pub status: u16,
    /// Body bytes sent.
    pub bytes: u64,
    /// Until the last byte.
    pub took: Duration,
    /// The release that answered; `-` where none did.
    pub release: &'a str,
    /// Whether the response went out whole.
    pub complete: bool,
}

impl AccessLog {
    /// Opens what the configuration names; `None`: no log is wanted.
    pub fn open(to: &config::host::AccessLog, format: LogFormat) -> io::Result<Option<Self>> {
        let to = match to {
            config::host::AccessLog::Off => return Ok(None),
            config::host::AccessLog::Stdout => To::Stdout,
            config::host::AccessLog::File(path) => To::File(path.clone()),
        };
        Ok(Some(Self { sink: Sink::open(to)?, format, stamp: Mutex::new((0, String::new())) }))
    }

    /// Adds a line.
    pub fn write(&self, access: &Access<'_>) {
        self.sink.gather(|line| match self.format {
            LogFormat::Text => self.text(access, line),
            LogFormat::Json => self.json(access, line),
        });
    }

    /// Writes out what was gathered.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// Opens the file anew.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.reopen()
    }

    /// `%h - %u [%t] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, then site, release, seconds, and how it ended.
    fn text(&self, access: &Access<'_>, line: &mut Vec<u8>) {
        put_client(access.client, line);
        line.extend_from_slice(b" - ");
        put_quoted(access.user.unwrap_or("-").as_bytes(), line);
        line.extend_from_slice(b" [");
        self.put_time(line);
        line.extend_from_slice(b"] \"");
        line.extend_from_slice(access.method.as_str().as_bytes());
        line.push(b' ');
        put_quoted(target(access.uri).as_bytes(), line);
        line.push(b' ');
        line.extend_from_slice(protocol(access.version).as_bytes());
        line.extend_from_slice(b"\" ");
        put_number(u64::from(access.status), line);
        line.push(b' ');
        put_number(access.bytes, line);
        for name in [header::REFERER, header::USER_AGENT] {
            line.extend_from_slice(b" \"");
            put_quoted(access.headers.get(name).map_or(b"-", |value| value.as_bytes()), line);
            line.push(b'"');
        }
        line.push(b' ');
        line.extend_from_slice(access.site.as_bytes());
        line.push(b' ');
        line.extend_from_slice(access.release.as_bytes());
        line.push(b' ');
        put_seconds(access.took, line);
        line.extend_from_slice(if access.complete { b"\n" } else { b" cut\n" });
    }

    fn json(&self, access: &Access<'_>, line: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            site: &'a str,
            release: &'a str,
            client: Option<IpAddr>,
            #[serde(skip_serializing_if = "Option::is_none")]
            user: Option<&'a str>,
            method: &'a str,
            target: &'a str,
            protocol: &'a str,
            status: u16,
            bytes: u64,
            seconds: f64,
            complete: bool,
            host: Option<String>,
            referer: Option<String>,
            user_agent: Option<String>,
        }
        let text = |name| {
            access.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let fields = Line {
            time: jiff::Timestamp::now().to_string(),
            site: access.site,
            release: access.release,
            client: access.client,
            user: access.user,
            method: access.method.as_str(),
            target: target(access.uri),
            protocol: protocol(access.version),
            status: access.status,
            bytes: access.bytes,
            seconds: access.took.as_secs_f64(),
            complete: access.complete,
            host: text(header::HOST),
            referer: text(header::REFERER),
            user_agent: text(header::USER_AGENT),
        };
        // Plain fields into memory: neither can fail.
        serde_json::to_writer(&mut *line, &fields).unwrap_or_default();
        line.push(b'\n');
    }

    /// `22/Nov/2026:10:15:00 +0000`; made once a second. In UTC: this process does not read time zones.
    fn put_time(&self, line: &mut Vec<u8>) {
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() as i64);
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp.0 != now {
            let text =
                jiff::Timestamp::from_second(now).unwrap_or_default().strftime("%d/%b/%Y:%H:%M:%S +0000");
            *stamp = (now, text.to_string());
        }
        line.extend_from_slice(stamp.1.as_bytes());
    }
}

fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _other => "HTTP/1.1",
    }
}

fn put_client(client: Option<IpAddr>, line: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    match client {
        Some(client) => write!(line, "{client}").unwrap_or_default(),
        None => line.push(b'-'),
    }
}

fn put_number(number: u64, line: &mut Vec<u8>) {
    write!(line, "{number}").unwrap_or_default();
}

fn put_seconds(took: Duration, line: &mut Vec<u8>) {
    write!(line, "{}.{:06}", took.as_secs(), took.subsec_micros()).unwrap_or_default();
}

/// A client's bytes can neither end a line nor a quoted field.
fn put_quoted(bytes: &[u8], line: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                write!(line, "\\x{byte:02x}").unwrap_or_default();
            }
            plain => line.push(*plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_release_answered_and_cannot_be_forged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, "a\" 200 0 \"forged\t".parse().unwrap());
        let uri = Uri::from_static("/a?b=c");
        let access = Access {
            site: "shop",
            client: Some([192, 0, 2, 7].into()),
            user: None,
            method: &Method::GET,
            uri: &uri,
            version: Version::HTTP_11,
            headers: &headers,
            status: 200,
            bytes: 12,
            took: Duration::from_micros(1500),
            release: "r2",
            complete: true,
        };
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = AccessLog::open(&config::host::AccessLog::File(path.clone()), format).unwrap().unwrap();
            log.write(&access);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (plain, json) = text.trim_end().split_once('\n').unwrap();
        assert!(plain.starts_with("192.0.2.7 - - ["), "{plain}");
        assert!(
            plain.ends_with(
                r#"] "GET /a?b=c HTTP/1.1" 200 12 "-" "a\x22 200 0 \x22forged\x09" shop r2 0.001500"#
            ),
            "{plain}"
        );
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((&json["release"], &json["status"]), (&"r2".into(), &200.into()));
    }
}
