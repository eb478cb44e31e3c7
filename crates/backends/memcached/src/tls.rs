//! Whom to trust, and what to show, on connections with TLS.

use std::fmt::Display;
use std::io;
use std::sync::Arc;

use larder_core::ConfigError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What was said about TLS; certificates and keys are PEM.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Trusted instead of those that the system trusts.
    pub(crate) root: Option<Vec<u8>>,
    /// A certificate and its key.
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    /// What makes connections secret.
    pub(crate) fn connector(&self) -> Result<TlsConnector, ConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(self.roots()?);
        let config = match &self.client {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(unusable)?;
                let config = config.with_client_auth_cert(certificates(certificate)?, key);
                config.map_err(unusable)?
            }
            None => config.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, ConfigError> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.root {
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(unusable)?;
            }
        } else {
            // A system may have some that nobody can use.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            let given = "missing: the system trusts none";
            return Err(ConfigError::new("root_certificate", given, "PEM"));
        }
        Ok(roots)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(unusable)?;
    if certificates.is_empty() {
        return Err(unusable("nothing in it"));
    }
    Ok(certificates)
}

fn unusable(why: impl Display) -> ConfigError {
    ConfigError::new("certificate", format!("not usable ({why})"), "PEM")
}

/// Makes a connection secret, if the server is whom it was taken for.
pub(crate) async fn secure(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> io::Result<Box<TlsStream<TcpStream>>> {
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    connector.connect(name, stream).await.map(Box::new)
}
