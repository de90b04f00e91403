//! Whom to trust, and with which cryptography.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_types::Random;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::ClientError;

/// Where systems keep the authorities that they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The TLS settings.
pub(crate) fn config(ca_file: Option<&Path>, provider: Arc<CryptoProvider>) -> Result<TlsConfig, ClientError> {
    let certificates = trusted(ca_file)?;
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

/// The file, in PEM, of the certificate authorities that this machine trusts.
pub fn system_authorities() -> Option<PathBuf> {
    SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The same for a caller that speaks HTTP itself, and only version 1.1 of it.
pub(crate) fn raw_config(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted(ca_file)?.iter().map(|found| CertificateDer::from(found.der().to_vec())));
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| ClientError::Setup {
        message: format!("the TLS library has no protocol version: {error}"),
        hint: "report this",
    })?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Whom to trust: the system's authorities, or exactly those of `ca_file`.
fn trusted(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, ClientError> {
    let (file, is_chosen) = match ca_file {
        Some(file) => (file.to_owned(), true),
        None => (system_bundle()?, false),
    };
    read(&file).map_err(|reason| ClientError::Setup {
        message: format!("cannot use `{}` as certificate authorities: {reason}", file.display()),
        hint: if is_chosen { "give a PEM file with at least one certificate" } else { "name one with --ca-file" },
    })
}

fn system_bundle() -> Result<PathBuf, ClientError> {
    system_authorities().ok_or_else(|| ClientError::Setup {
        message: "this system has no list of trusted certificate authorities".to_owned(),
        hint: "name one with --ca-file",
    })
}

fn read(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err("it is not PEM".to_owned()),
        }
    }
    if found.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(found) }
}

/// The cryptography: `aws-lc-rs`, as everywhere.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The TLS library's generator.
pub(crate) struct TlsRandom(pub(crate) Arc<CryptoProvider>);

impl Random for TlsRandom {
    fn fill(&self, out: &mut [u8]) {
        if self.0.secure_random.fill(out).is_err() {
            // Only names requests and spreads retries. Repeated bytes are caught by the server: an `Idempotency-Key`
            // seen with another request is refused, not confused.
            out.fill(0);
        }
    }
}
