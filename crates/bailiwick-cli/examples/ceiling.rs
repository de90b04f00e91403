//! The bare ceiling of `cargo xtask bench`: the HTTP stack and the allocator of the server, the store of the server, and
//! between them nothing. Each request appends one entry of the usual size to the ledger of one of 200 tenants, which are
//! taken in turn, and is answered when it is durable.
//!
//! `ceiling <DATABASE> <PORT>`
#![expect(clippy::unwrap_used, reason = "a measuring instrument: whatever goes wrong ends it")]

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_store::{Commit, Expect, HeaderChange, NewEntry, Part, Store};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::TenantId;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TENANTS: usize = 200;
/// What an audited read's entry comes to when it is sealed.
const ENTRY_BYTES: usize = 470;
/// What the answer to one comes to.
const ANSWER_BYTES: usize = 560;

fn tenant(number: usize) -> TenantId {
    TenantId::from_bytes(u128::try_from(number + 1).unwrap().to_be_bytes())
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let database = PathBuf::from(arguments.next().unwrap());
    let port: u16 = arguments.next().unwrap().parse().unwrap();
    let store = SqliteStore::open(&database, Options::default()).unwrap();
    for number in 0..TENANTS {
        let header = HeaderChange { state: Some(0), meta: Some((0, Vec::new())), ..HeaderChange::default() };
        let expect = Expect::Absent { slug: format!("tenant-{number}") };
        let part = Part { tenant: tenant(number), expect, header, writes: Vec::new(), entries: Vec::new() };
        store.commit(Commit { parts: vec![part], guards: Vec::new() }).await.unwrap();
    }
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (store, turn) = (Arc::clone(&store), Arc::clone(&turn));
        tokio::spawn(async move {
            let service = service_fn(move |_| {
                let (store, turn) = (Arc::clone(&store), Arc::clone(&turn));
                async move {
                    let turn = turn.fetch_add(1, Ordering::Relaxed);
                    let mut leaf = [0; 32];
                    leaf[..8].copy_from_slice(&turn.to_le_bytes());
                    let entry = NewEntry { leaf, sealed: vec![7; ENTRY_BYTES] };
                    let part = Part::append(tenant(turn % TENANTS), 1, vec![entry]);
                    store.commit(Commit { parts: vec![part], guards: Vec::new() }).await.unwrap();
                    let body = Full::new(Bytes::from_static(&[b'x'; ANSWER_BYTES]));
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(std::time::Duration::from_secs(30));
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
