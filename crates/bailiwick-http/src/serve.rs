//! Listening: TCP with or without TLS, and a stop that lets what has begun come to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderValue, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::places::{Answer, Answering, Place};
use crate::server::Server;

/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long connections are accepted still once readiness says no, so that a load balancer can see that first.
    pub delay: Duration,
    /// How long requests in flight get to finish after that.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::ZERO, timeout: Duration::from_secs(30) }
    }
}

/// Serves until `stop` comes, then drains: readiness says no at once, and connections are asked to end; after the delay none
/// is accepted any more, and requests in flight finish.
///
/// # Errors
/// What the listener fails with.
pub async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    drain: Drain,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let draining = Arc::clone(&server);
    let stop = async move {
        stop.await;
        draining.drain();
        tokio::time::sleep(drain.delay).await;
    };
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of file descriptors, or the client has gone: neither ends the server.
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let Some(place) = server.places.take(peer.ip().into(), 1) else {
            tracing::debug!(%peer, "a connection was not taken: there are as many as may be");
            continue;
        };
        let place = Arc::new(place);
        let _ = stream.set_nodelay(true);
        let server = Arc::clone(&server);
        let watcher = graceful.watcher();
        let tls = tls.clone();
        tokio::spawn(async move {
            let held = Arc::clone(&place);
            let served = async {
                let Some(tls) = tls else { return connection(server, held, stream, peer, watcher).await };
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(&server, tls, stream, peer)).await {
                    Ok(Ok(stream)) => connection(server, held, stream, peer, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            };
            tokio::select! {
                () = served => {}
                () = place.ends() => tracing::debug!(%peer, "a connection ended for one of somebody who has fewer"),
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(drain.timeout) => tracing::warn!("requests were still in flight when the time to drain was over"),
    }
    Ok(())
}

/// Agrees on keys with whoever has connected. They are a stranger: that takes their turn, as it costs the processor more than
/// most requests do.
async fn handshake(
    server: &Server,
    tls: Arc<rustls::ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let mut rest = hello.into_stream(tls);
    // Only what is done at once is done in the turn: a client that does not go on keeps nobody waiting.
    let at_once = async { futures_util::poll!(&mut rest) };
    match server.app().in_turn_of_stranger(Some(peer.ip().into()), at_once).await {
        Poll::Ready(done) => done,
        Poll::Pending => rest.await,
    }
}

async fn connection<S>(server: Arc<Server>, place: Arc<Place>, stream: S, peer: SocketAddr, watcher: Watcher)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        let answering = Answering::on(&place);
        async move {
            // HTTP/2 has its own way to say goodbye, which the end of the delay brings.
            let can_be_asked_to_end = request.version() <= http::Version::HTTP_11;
            let mut response = match answering {
                Some(_) => server.handle(request, Some(peer)).await,
                None => server.refuse(&request),
            };
            if can_be_asked_to_end && server.is_draining() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response.map(|body| Answer { body, _answering: answering }))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(64 * 1024).max_concurrent_streams(128);
    let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned()).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
