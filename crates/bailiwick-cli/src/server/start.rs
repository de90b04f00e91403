//! Where the commands meet the server itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::{App, AppConfig, AppError, Door, RequestMeta, TurnsConfig, tenants};
use bailiwick_http::{Drain, HttpConfig, Server};
use bailiwick_probe::{Prober, ProberConfig};
use bailiwick_prove::ProverConfig;
use bailiwick_seal::SystemRandom;
use bailiwick_types::api::platform::{CreateTenant, CreatedTenant, Initialize, Unseal};
use bailiwick_types::{Clock, Code, ErrorClass, RequestId, Secret, Slug, Timestamp};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::config::{Config, RootKey};
use super::credentials::{DevCredentials, DevTenant, Holder};
use super::prover::Solving;
use super::store_config::StoreConfig;
use super::{DevArgs, descriptors, program, tls};
use crate::fail::Fail;
use crate::session::Session;

/// The sample tenants of `dev`.
const SAMPLES: [&str; 2] = ["acme", "globex"];
/// How long a node that stops waits for the store once more.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often the server looks for background work.
const JOBS_EVERY: Duration = Duration::from_secs(1);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        crate::clock::now()
    }
}

fn fail(error: &AppError) -> Fail {
    let message = error.detail().map_or_else(|| error.code().title().to_owned(), str::to_owned);
    Fail::new(error.class(), error.code().as_str(), message).with_hint(error.code().hint())
}

fn fault(what: &'static str, error: impl std::fmt::Display) -> Fail {
    Fail::new(ErrorClass::Fault, what, error.to_string())
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Fail> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| fault("runtime", error))
}

async fn open(store: &StoreConfig, config: AppConfig) -> Result<Arc<App>, Fail> {
    Ok(App::new(store.url()?.open().await?, Arc::new(SystemClock), Arc::new(SystemRandom), config))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Fail> {
    let unusable = |error: std::io::Error| {
        Fail::new(ErrorClass::Busy, "not_listening", format!("cannot listen on {address}: {error}"))
            .with_hint("choose another address with --listen, or stop what uses this one")
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let bound = listener.local_addr().map_err(unusable)?;
    Ok((listener, bound))
}

/// The two ways in which a process is told to stop. Heard from the first moment on: one that comes while nobody waits
/// is not lost.
pub(crate) struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    pub(crate) fn listen() -> Result<Self, Fail> {
        let listen = |kind| signal(kind).map_err(|error| fault("signals", error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Resolves when the process is told to stop, once more each time.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Background work, until the server stops.
async fn work(app: Arc<App>) {
    let mut ticks = tokio::time::interval(JOBS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = app.look().await {
            tracing::warn!(%error, "what other nodes did could not be looked at");
            continue;
        }
        if let Err(error) = app.run_due_jobs().await {
            tracing::warn!(%error, "background work could not be looked for");
        }
    }
}

async fn serve_until_stopped(
    server: Arc<Server>,
    listener: TcpListener,
    operations: Option<TcpListener>,
    tls: Option<rustls::ServerConfig>,
    probes: ProberConfig,
    drain: Drain,
    mut told: Told,
) -> Result<(), Fail> {
    let app = Arc::clone(server.app());
    // Before anybody is answered: what a restore left to be written comes first in the ledger.
    if let Err(error) = app.look().await {
        tracing::warn!(%error, "what others did could not be looked at");
    }
    let worker = tokio::spawn(work(Arc::clone(server.app())));
    let prober = Prober::new(Arc::clone(server.app()), Arc::new(Arc::clone(&server)), probes);
    let prober = tokio::spawn(prober.map_err(|error| fault("routes", error))?.run());
    let operations = match operations {
        None => None,
        Some(listener) => {
            let server = server.operations().map_err(|error| fault("routes", error))?;
            Some(tokio::spawn(bailiwick_http::serve(server, listener, None, drain, std::future::pending())))
        }
    };
    let (first, stop) = tokio::sync::oneshot::channel::<()>();
    let stop = async move {
        // Without a sender nobody is there who could say stop.
        if stop.await.is_err() {
            std::future::pending::<()>().await;
        }
        tracing::info!("told to stop: draining");
    };
    let served = tokio::select! {
        served = bailiwick_http::serve(server, listener, tls.map(Arc::new), drain, stop) => served,
        () = async {
            told.stop().await;
            let _ = first.send(());
            told.stop().await;
        } => {
            tracing::warn!("told to stop a second time: what is in flight is not waited for");
            Ok(())
        }
    };
    worker.abort();
    prober.abort();
    if let Some(operations) = operations {
        operations.abort();
    }
    // Another node need not wait until it sees that this one is gone.
    if tokio::time::timeout(LAST_WORDS, app.release_probing_turn()).await.is_err() {
        tracing::debug!("the turn to probe was not given back");
    }
    served.map_err(|error| fault("listener", error))
}

/// What the configuration says to the kernel.
pub(super) fn app_config(config: &Config) -> AppConfig {
    let mut turns = TurnsConfig::default();
    if config.store.url.is_remote() {
        // There a commit takes long, and others wait for the network, not behind what this tenant runs.
        turns.short.contested = turns.short.share;
    }
    AppConfig {
        turns,
        delete_hold_min: config.delete_hold_min,
        delete_hold_default: config.delete_hold_default,
        limits: config.limits.clone(),
        past_entries: config.past_entries,
        prover: Solving::shared(config.prove.clone()),
        require_proof: config.require_proof,
        build: program::digest,
        root_source: config.root_key.source(),
        node: config.node.name.clone(),
        cache_bytes: config.node.cache_bytes,
        ..AppConfig::default()
    }
}

/// Serves until it is told to stop.
pub(crate) fn serve(_session: &mut Session, config: &Config) -> Result<(), Fail> {
    let tls = config.tls.as_ref().map(tls::load).transpose()?;
    let app_config = app_config(config);
    runtime()?.block_on(async {
        tracing::info!(node = config.node.name, store = config.store.url()?.shown(), "starting");
        let app = open(&config.store, app_config).await?;
        unseal_at_start(&app, &config.root_key).await?;
        let root_key_file = match &config.root_key {
            RootKey::File { file } => Some(file.clone()),
            _ => None,
        };
        let http = HttpConfig {
            root_key_file,
            init_tenant: config.vault_init_tenant.clone(),
            stays_ready_when_broken: !config.isolation.fail_readiness,
            spool_directory: config.spool_directory.clone(),
            connections_max: descriptors::connections(config.node.connections_max),
            bodies_bytes: config.node.bodies_bytes,
            ..HttpConfig::default()
        };
        let server = Server::new(app, http).map_err(|error| fault("routes", error))?;
        let (listener, bound) = listen(config.listen).await?;
        let operations = match config.operations_listen {
            Some(address) => {
                let (listener, bound) = listen(address).await?;
                tracing::info!(address = %bound, "health and metrics");
                Some(listener)
            }
            None => None,
        };
        // Before anybody is told that the server is there, who may be the one to stop it.
        let told = Told::listen()?;
        tracing::info!(address = %bound, tls = tls.is_some(), "listening");
        let probes = ProberConfig { every: config.isolation.every, timed_pairs: config.isolation.timed_pairs };
        serve_until_stopped(server, listener, operations, tls, probes, config.node.drain, told).await
    })
}

/// Unseals if the configuration says with what. An installation that does not exist yet waits for `bailiwick init`.
async fn unseal_at_start(app: &App, root_key: &RootKey) -> Result<(), Fail> {
    let unsealed = match root_key {
        RootKey::File { file } => app.unseal_with_file(file).await,
        RootKey::Passphrase { passphrase_file: Some(file) } => {
            let text = std::fs::read_to_string(file).map_err(|error| Fail::file(file, &error))?;
            let key = Some(text.trim_end_matches(['\r', '\n']).to_owned());
            app.unseal(&Unseal { key, reset: false }).await.map(|_| ())
        }
        RootKey::Passphrase { passphrase_file: None } | RootKey::Shamir => Ok(()),
    };
    match unsealed {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Code::NotInitialized => {
            tracing::warn!("the installation is not initialised: run `bailiwick init`");
            Ok(())
        }
        Err(error) => Err(fail(&error)),
    }
}

/// Serves two sample tenants until it is told to stop.
pub(crate) fn dev(session: &mut Session, args: &DevArgs) -> Result<(), Fail> {
    let config = AppConfig {
        delete_hold_min: Duration::ZERO,
        prover: Solving::shared(ProverConfig::default()),
        build: program::digest,
        ..AppConfig::default()
    };
    let key_file = args.data.join("root.key");
    let kept = args.data.join("credentials.json");
    runtime()?.block_on(async {
        let app = open(&StoreConfig::in_directory(&args.data), config).await?;
        let (listener, bound) = listen(args.listen).await?;
        let address = format!("http://{bound}");
        let is_first_start = !app.seal_status().await.map_err(|error| fail(&error))?.is_initialized;
        let credentials = if is_first_start {
            first_start(&app, &key_file, address).await?
        } else {
            app.unseal_with_file(&key_file).await.map_err(|error| fail(&error))?;
            let missing = || {
                Fail::usage(format!("`{}` is gone, and the credentials are kept nowhere else", kept.display()))
                    .with_hint(
                        "start with another --data directory, or use `bailiwick serve` with credentials that you have",
                    )
            };
            DevCredentials { address, ..DevCredentials::read(&kept)?.ok_or_else(missing)? }
        };
        credentials.write(&kept)?;
        let usual = HttpConfig::default();
        let connections_max = descriptors::connections(usual.connections_max);
        let http = HttpConfig { root_key_file: Some(key_file), connections_max, ..usual };
        let server = Server::new(app, http).map_err(|error| fault("routes", error))?;
        let told = Told::listen()?;
        super::announce(session, args, &credentials, is_first_start)?;
        serve_until_stopped(server, listener, None, None, ProberConfig::default(), Drain::default(), told).await
    })
}

async fn first_start(app: &Arc<App>, key_file: &Path, address: String) -> Result<DevCredentials, Fail> {
    let request = Initialize { provider: "file".to_owned(), shares: None, threshold: None, passphrase: None };
    let made = app.initialize(&request, Some(key_file)).await.map_err(|error| fail(&error))?;
    let operator = made.operator.credential;
    let mut sample = BTreeMap::new();
    for slug in SAMPLES {
        let created = create_sample(app, &operator, slug).await.map_err(|error| fail(&error))?;
        let (id, slug) = (created.tenant.id, created.tenant.slug);
        let admin = Holder { credential: created.admin.credential };
        sample.insert(slug.to_string(), DevTenant { id, slug, admin });
    }
    Ok(DevCredentials { address, operator: Holder { credential: operator }, tenants: sample })
}

async fn create_sample(app: &App, operator: &str, slug: &str) -> Result<CreatedTenant, AppError> {
    let meta = RequestMeta {
        id: RequestId::random(app.random()),
        source: None,
        door: Door::Api,
        credential: Some(Secret::new(operator.to_owned())),
        stated: Vec::new(),
        idempotency: None,
    };
    let slug: Slug = slug.parse()?;
    let input = CreateTenant { slug, name: None, admin_name: None, admin_email: None, admin_ttl: None };
    Ok(app.run_platform(&meta, || Ok(tenants::Create { input })).await?.into_value())
}
