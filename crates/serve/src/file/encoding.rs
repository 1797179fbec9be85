//! Encoding: the content codings we speak, and which of them a client takes (RFC 9110, 12.5.3).

use http::{HeaderMap, HeaderValue, header};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The bytes as they are.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// How much a client likes each encoding, in thousandths; 0: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Likes {
    gzip: u16,
    brotli: u16,
    zstd: u16,
    identity: u16,
}

impl Encoding {
    /// Those that encode, the one that packs best first.
    pub const CODED: [Encoding; 3] = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];

    /// The value of `Content-Encoding`; none for identity.
    pub fn header(self) -> Option<HeaderValue> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some(HeaderValue::from_static("gzip")),
            Encoding::Brotli => Some(HeaderValue::from_static("br")),
            Encoding::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }

    /// What stands behind the hash in an ETag.
    pub fn suffix(self) -> &'static str {
        match self {
            Encoding::Identity => "",
            Encoding::Gzip => "-gz",
            Encoding::Brotli => "-br",
            Encoding::Zstd => "-zst",
        }
    }

    /// What a precompressed sibling's name ends in.
    pub fn extension(self) -> &'static [u8] {
        match self {
            Encoding::Identity => b"",
            Encoding::Gzip => b".gz",
            Encoding::Brotli => b".br",
            Encoding::Zstd => b".zst",
        }
    }
}

impl Likes {
    /// What the request's `Accept-Encoding` says. Without one, or where it is not to be understood: identity only.
    pub fn read(headers: &HeaderMap) -> Likes {
        let mut likes = Likes::default();
        let (mut others, mut said) = (0, [false; 4]);
        for value in headers.get_all(header::ACCEPT_ENCODING) {
            for item in value.as_bytes().split(|byte| *byte == b',') {
                let (name, weight) = weighted(item);
                let (field, at) =
                    if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                        (&mut likes.gzip, 0)
                    } else if name.eq_ignore_ascii_case(b"br") {
                        (&mut likes.brotli, 1)
                    } else if name.eq_ignore_ascii_case(b"zstd") {
                        (&mut likes.zstd, 2)
                    } else if name.eq_ignore_ascii_case(b"identity") {
                        (&mut likes.identity, 3)
                    } else {
                        if name == b"*" {
                            others = weight;
                        }
                        continue;
                    };
                (*field, said[at]) = (weight, true);
            }
        }
        for (field, said) in [&mut likes.gzip, &mut likes.brotli, &mut likes.zstd].into_iter().zip(said) {
            if !said {
                *field = others;
            }
        }
        if !said[3] {
            // Always acceptable unless excluded, but anything that was asked for by name goes before it.
            likes.identity = 1;
        }
        likes
    }

    /// How much it likes this one, in thousandths.
    pub fn of(self, encoding: Encoding) -> u16 {
        match encoding {
            Encoding::Identity => self.identity,
            Encoding::Gzip => self.gzip,
            Encoding::Brotli => self.brotli,
            Encoding::Zstd => self.zstd,
        }
    }

    /// The encodings worth trying before identity, best first. `ready` says which would cost nothing to make:
    /// among equals they go first, and then the one that packs best.
    pub fn ranked(self, ready: impl Fn(Encoding) -> bool) -> impl Iterator<Item = Encoding> {
        let mut ranked = Encoding::CODED;
        ranked.sort_by_key(|encoding| (std::cmp::Reverse(self.of(*encoding)), !ready(*encoding)));
        ranked.into_iter().filter(move |encoding| {
            let liked = self.of(*encoding);
            liked > 0 && liked >= self.identity
        })
    }
}

/// `gzip;q=0.5` as its name and weight in thousandths. A weight that cannot be read counts as 0.
fn weighted(item: &[u8]) -> (&[u8], u16) {
    let item = item.trim_ascii();
    let Some(at) = memchr::memchr(b';', item) else { return (item, 1000) };
    let name = item[..at].trim_ascii();
    let weight = item[at + 1..]
        .split(|byte| *byte == b';')
        .find_map(|parameter| {
            let parameter = parameter.trim_ascii();
            parameter.strip_prefix(b"q=").or(parameter.strip_prefix(b"Q="))
        })
        .map_or(1000, |text| thousandths(text).unwrap_or(0));
    (name, weight)
}

fn thousandths(text: &[u8]) -> Option<u16> {
    let text = str::from_utf8(text).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(value: &str, ready: &[Encoding]) -> Vec<Encoding> {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        }
        Likes::read(&headers).ranked(|encoding| ready.contains(&encoding)).collect()
    }

    #[test]
    fn a_client_gets_what_it_likes_best() {
        use Encoding::{Brotli, Gzip, Zstd};
        for (value, wanted) in [
            ("", vec![]),
            ("gzip, deflate, br, zstd", vec![Brotli, Zstd, Gzip]),
            ("gzip", vec![Gzip]),
            ("GZIP;Q=1", vec![Gzip]),
            ("gzip;q=1.0, br;q=0.5", vec![Gzip, Brotli]),
            ("br;q=0, gzip", vec![Gzip]),
            ("*", vec![Brotli, Zstd, Gzip]),
            ("*;q=0", vec![]),
            ("gzip, *;q=0", vec![Gzip]),
            ("br;q=0.001", vec![Brotli]),
            ("identity", vec![]),
            ("identity, gzip;q=0.5", vec![]),
            ("identity;q=0.5, gzip", vec![Gzip]),
            ("identity;q=0, gzip;q=0.1", vec![Gzip]),
            ("gzip;q=2", vec![]),
            ("gzip;q=0.1234", vec![]),
            ("gzip;q=, br", vec![Brotli]),
            (";;,,;q=1,gzip ; q=0.8 ", vec![Gzip]),
            ("deflate, compress", vec![]),
        ] {
            assert_eq!(ranked(value, &[]), wanted, "{value}");
        }
        assert_eq!(ranked("gzip, br", &[Gzip]), [Gzip, Brotli], "what is ready goes first among equals");
        assert_eq!(ranked("gzip;q=0.9, br", &[Gzip]), [Brotli, Gzip], "but not before what is liked better");
    }
}
