//! cutover.toml: parsed once, split into what the release says and what the host says.
