//! TLS: whose certificates are good, and what is spoken above it. The rest is rustls.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where Debian and its kin keep the certificates that the system trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whose certificates are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the system trusts.
    System,
    /// Those in a PEM file.
    File(PathBuf),
    /// Anybody's: the site is judged for its deploys, not for its certificate.
    Anyone,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates.
    #[error("cannot read certificates from {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// A file without any certificate that can be used.
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    /// Neither a host name nor an address.
    #[error("{0:?} is no name that a certificate can be for")]
    Name(String),
    /// rustls does not take it.
    #[error("no protocol version in common with our own library")]
    Versions(#[source] rustls::Error),
}

/// How to speak TLS to one host.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// To this host, with these certificates trusted.
    ///
    /// # Errors
    /// When the certificates cannot be read, or the name is none.
    pub fn to(name: &str, trust: &Trust) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let begun = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?;
        let config = match trust {
            Trust::System => begun.with_root_certificates(roots(Path::new(SYSTEM))?),
            Trust::File(path) => begun.with_root_certificates(roots(path)?),
            Trust::Anyone => begun.dangerous().with_custom_certificate_verifier(Arc::new(AnyOne(provider))),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        Ok(Self { config: Arc::new(config.with_no_client_auth()), name })
    }

    /// The configuration that offers this protocol (ALPN), and the name to ask for.
    pub(crate) fn offering(&self, protocol: &[u8]) -> (Arc<ClientConfig>, ServerName<'static>) {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        (Arc::new(config), self.name.clone())
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Tls {}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let found: Vec<CertificateDer<'_>> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    let mut roots = RootCertStore::empty();
    let (taken, _unusable) = roots.add_parsable_certificates(found);
    if taken == 0 { Err(TlsError::Empty(path.to_owned())) } else { Ok(roots) }
}

/// Takes any certificate; signatures are checked all the same, so that the handshake is a real one.
#[derive(Debug)]
struct AnyOne(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyOne {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
