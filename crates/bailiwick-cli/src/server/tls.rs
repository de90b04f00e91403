//! The server's certificate and key, loaded and checked against each other.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::config::Tls;
use crate::fail::Fail;

/// What the listener needs: TLS 1.2 and 1.3 by `aws-lc-rs`, HTTP/2 and HTTP/1.1.
pub(crate) fn load(tls: &Tls) -> Result<ServerConfig, Fail> {
    let chain = chain(&tls.cert)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|_| Fail::usage(format!("`{}` holds no private key in PEM", tls.key.display())))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key)).map_err(|error| {
            Fail::usage(format!("`{}` and `{}` do not go together: {error}", tls.cert.display(), tls.key.display()))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fail> {
    let none = || Fail::usage(format!("`{}` holds no certificate in PEM", file.display()));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|_| none())?.collect();
    found.ok().filter(|chain| !chain.is_empty()).ok_or_else(none)
}
