//! TLS: certificates from files, chosen by server name, and looked at again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate that cannot be used. The one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {what} from {}", path.display())]
    Pem {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// The file has no certificate.
    #[error("{} has no certificate in it", .0.display())]
    Empty(PathBuf),
    /// The key cannot sign.
    #[error("the key in {} is of no supported kind", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// They do not belong together.
    #[error("{} and {} do not belong together: the key is not the certificate's", cert.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// rustls does not take the settings.
    #[error("cannot set TLS up")]
    Setup(#[source] rustls::Error),
}

/// The certificates of one listening socket.
#[derive(Debug)]
pub struct Certificates {
    pairs: Vec<Pair>,
    current: ArcSwap<Chosen>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Chosen {
    all: Vec<(Arc<CertifiedKey>, Vec<String>)>,
    seen: Vec<Option<SystemTime>>,
}

impl Certificates {
    /// Reads all pairs of (certificate chain, key), each a PEM file.
    pub fn read<'p>(pairs: impl IntoIterator<Item = (&'p Path, &'p Path)>) -> Result<Self, TlsError> {
        let mut distinct: Vec<Pair> = Vec::new();
        for (cert, key) in pairs {
            let pair = Pair { cert: cert.to_owned(), key: key.to_owned() };
            if !distinct.contains(&pair) {
                distinct.push(pair);
            }
        }
        let current = ArcSwap::from_pointee(choose(&distinct)?);
        Ok(Self { pairs: distinct, current })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Reads the files again where one of them changed. On an error what was in use stays in use.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        if stamps(&self.pairs) == self.current.load().seen {
            return Ok(false);
        }
        let fresh = choose(&self.pairs)?;
        self.current.store(Arc::new(fresh));
        Ok(true)
    }

    /// The settings for accepting connections: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if let Ok(ticketer) = rustls::crypto::ring::Ticketer::new() {
            config.ticketer = ticketer;
        }
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.load();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let exact = name.as_deref().and_then(|name| current.named(name));
        // No name, or one nobody has: the first certificate, as nginx and Apache do.
        exact.or_else(|| current.all.first().map(|(key, _)| Arc::clone(key)))
    }
}

impl Chosen {
    fn named(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let parent = name.split_once('.').map(|(_host, parent)| parent);
        let bears = |names: &Vec<String>| {
            names
                .iter()
                .any(|own| own == name || own.strip_prefix("*.").is_some_and(|rest| Some(rest) == parent))
        };
        self.all.iter().find(|(_, names)| bears(names)).map(|(key, _)| Arc::clone(key))
    }
}

fn choose(pairs: &[Pair]) -> Result<Chosen, TlsError> {
    let seen = stamps(pairs);
    let all = pairs.iter().map(certified).collect::<Result<_, _>>()?;
    Ok(Chosen { all, seen })
}

fn stamps(pairs: &[Pair]) -> Vec<Option<SystemTime>> {
    let stamp = |path: &PathBuf| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    pairs.iter().flat_map(|pair| [stamp(&pair.cert), stamp(&pair.key)]).collect()
}

fn certified(pair: &Pair) -> Result<(Arc<CertifiedKey>, Vec<String>), TlsError> {
    let pem = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(&pair.cert)
        .and_then(|chain| chain.collect::<Result<Vec<_>, _>>())
        .map_err(pem("a certificate", &pair.cert))?;
    let Some(leaf) = chain.first() else { return Err(TlsError::Empty(pair.cert.clone())) };
    let names = subject_names(leaf);
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(pem("a key", &pair.key))?;
    let key = any_supported_type(&key).map_err(|source| TlsError::Key { path: pair.key.clone(), source })?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|_why| TlsError::Mismatch { cert: pair.cert.clone(), key: pair.key.clone() })?;
    Ok((Arc::new(certified), names))
}

/// The DNS names a certificate is for (its subjectAltName), in lower case.
fn subject_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    webpki::EndEntityCert::try_from(leaf)
        .map(|cert| cert.valid_dns_names().map(str::to_ascii_lowercase).collect())
        .unwrap_or_default()
}
