//! ETag: the strong name of one representation, made from the hash of its bytes.

use http::HeaderValue;

use crate::file::encoding::Encoding;

/// Bytes of the hash that go into an ETag: 120 bits are 20 characters without padding.
const HASH_BYTES: usize = 15;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// An entity tag as it is sent, quotes included (RFC 9110, 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(HeaderValue);

impl ETag {
    /// The tag of bytes with this BLAKE3 hash. The same content has the same tag in every release and on every
    /// server; the encoding is written behind it (`-gz`, `-br`, `-zst`).
    pub fn strong(hash: &[u8; 32], encoding: Encoding) -> ETag {
        Self::make("\"", hash, encoding)
    }

    /// The tag of a file that may still be changing, so that its bytes cannot be promised.
    pub fn weak(hash: &[u8; 32], encoding: Encoding) -> ETag {
        Self::make("W/\"", hash, encoding)
    }

    fn make(open: &str, hash: &[u8; 32], encoding: Encoding) -> ETag {
        let mut text = String::with_capacity(28);
        text.push_str(open);
        for three in hash[..HASH_BYTES].chunks(3) {
            let bits = three.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
            for shift in [18, 12, 6, 0] {
                text.push(char::from(ALPHABET[bits >> shift & 63]));
            }
        }
        text.push_str(encoding.suffix());
        text.push('"');
        // Only letters, digits, `-`, `_`, `/` and quotes: always a legal value.
        ETag(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    /// As a header's value.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// As bytes, quotes included.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether the bytes behind the tag are promised.
    pub fn is_strong(&self) -> bool {
        !self.as_bytes().starts_with(b"W/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_content_and_encoding() {
        let hash = *blake3::hash(b"hello").as_bytes();
        let plain = ETag::strong(&hash, Encoding::Identity);
        assert_eq!(plain.as_bytes(), b"\"6o8WPbOGgpJeRJHF5Y1L\"");
        assert_eq!(ETag::strong(&hash, Encoding::Brotli).as_bytes(), b"\"6o8WPbOGgpJeRJHF5Y1L-br\"");
        assert!(plain.is_strong());
        assert!(!ETag::weak(&hash, Encoding::Identity).is_strong());
    }
}
