//! Where the server is, for a caller that writes its requests itself: the load generator.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::error::ClientError;

/// Where the server is, and how it must be spoken with. Only a [`crate::Client`] hands one out, so that what it refuses
/// (a credential in clear over a network, an authority that is not trusted) is refused here as well. Proxies are not asked.
#[non_exhaustive]
pub struct Endpoint {
    /// Where to connect: the addresses of the name.
    pub addresses: Vec<SocketAddr>,
    /// For the header `Host`.
    pub host: String,
    /// What stands in front of every path.
    pub prefix: String,
    /// Whom to trust and whom the certificate must name, if it is to be TLS.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Endpoint {
    /// Of a host without brackets, and the port after it.
    pub(crate) fn resolve(host: &str, port: u16, prefix: &str, tls: Option<ClientConfig>) -> Result<Self, ClientError> {
        let shown = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let unreachable = |reason: String| ClientError::Unreachable { address: shown.clone(), reason };
        let found = (host, port).to_socket_addrs().map_err(|error| unreachable(error.to_string()))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(unreachable("no such host".to_owned()));
        }
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(host.to_owned());
                let name = name.map_err(|_| unreachable("no certificate can name this host".to_owned()))?;
                Some((Arc::new(config), name))
            }
        };
        Ok(Self { addresses, host: shown, prefix: prefix.to_owned(), tls })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("host", &self.host).finish_non_exhaustive()
    }
}
