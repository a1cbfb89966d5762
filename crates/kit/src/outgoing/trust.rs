//! Whose certificates are believed.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::OutgoingError;

/// The authorities whose certificates prove who somebody is: those that browsers trust, built in, and those that a file names. What the machine trusts besides
/// is its own matter.
#[derive(Clone, Debug)]
pub struct Authorities {
    all: Arc<RootCertStore>,
    /// Those of the file.
    own: Vec<CertificateDer<'static>>,
}

impl Default for Authorities {
    fn default() -> Self {
        Self { all: Arc::new(built_in()), own: Vec::new() }
    }
}

impl Authorities {
    /// With those of a file of certificates in PEM (RFC 7468) too; an error if it has none, or one that is none.
    pub fn with_file(path: &Path) -> io::Result<Self> {
        let mut all = built_in();
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut own = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&std::fs::read(path)?) {
            let added = certificate.ok().filter(|certificate| all.add(certificate.clone()).is_ok());
            own.push(added.ok_or_else(|| invalid("it holds what is no certificate"))?);
        }
        if own.is_empty() {
            return Err(invalid("it holds no certificate in PEM"));
        }
        Ok(Self { all: Arc::new(all), own })
    }

    /// Those of the file alone, for a library that has the others built in too.
    pub(crate) fn own(&self) -> impl Iterator<Item = &[u8]> {
        self.own.iter().map(|certificate| &**certificate)
    }

    /// How a connection is made safe. The error is that of a build that lacks what TLS needs.
    pub(super) fn client(self) -> io::Result<ClientConfig> {
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let client = client.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        Ok(client.with_root_certificates(self.all).with_no_client_auth())
    }
}

fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// What makes a connection unsafe, if an error says that.
pub(super) fn tls_fault(error: &(dyn Error + 'static)) -> Option<OutgoingError> {
    let rustls::Error::InvalidCertificate(fault) = error.downcast_ref::<rustls::Error>()? else {
        return Some(OutgoingError::Tls);
    };
    Some(match fault {
        CertificateError::UnknownIssuer => OutgoingError::UnknownAuthority,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => OutgoingError::Expired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            OutgoingError::OtherHost
        }
        _ => OutgoingError::Tls,
    })
}
