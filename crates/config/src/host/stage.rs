//! StageKeys: what is made of a tree when it becomes a release.

use crate::complaint::ConfigError;
use crate::read::{self, Section};

/// `[stage]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageKeys {
    /// `precompress`: the forms in which text files below the docroot get a packed sibling; none unless said.
    pub precompress: Vec<Packing>,
    /// `precompress_min`: files of fewer bytes get none; 1 KiB unless said otherwise.
    pub precompress_min: u64,
}

/// A packed form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `gz`: gzip (RFC 1952).
    Gzip,
    /// `br`: Brotli (RFC 7932).
    Brotli,
    /// `zst`: Zstandard (RFC 8878).
    Zstd,
}

impl Packing {
    /// What a sibling's name ends in, with its dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Packing::Gzip => ".gz",
            Packing::Brotli => ".br",
            Packing::Zstd => ".zst",
        }
    }
}

impl Default for StageKeys {
    fn default() -> StageKeys {
        StageKeys { precompress: Vec::new(), precompress_min: 1 << 10 }
    }
}

impl StageKeys {
    pub(crate) fn read(section: &Section<'_>) -> Result<StageKeys, ConfigError> {
        let words = [("gz", Packing::Gzip), ("br", Packing::Brotli), ("zst", Packing::Zstd)];
        let items = section.at("precompress").map(|at| at.items("\"br\"")).transpose()?.unwrap_or_default();
        let least = section.get::<read::Size>("precompress_min")?;
        Ok(StageKeys {
            precompress: items.iter().map(|at| at.choice(&words)).collect::<Result<_, _>>()?,
            precompress_min: least.map_or(StageKeys::default().precompress_min, |size| size.0),
        })
    }
}
