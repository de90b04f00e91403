//! From the wire to a row of the route table, and back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bailiwick_app::{App, AppError, Door, Idempotency, RequestMeta};
use bailiwick_types::api::attestation::AttestedRoutes;
use bailiwick_types::limits::{IDEMPOTENCY_KEY_BYTES_MAX, URI_BYTES_MAX};
use bailiwick_types::{Code, CredentialText, RequestId, Secret};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use matchit::Router;
use percent_encoding::percent_decode_str;
use tracing::Instrument as _;

use crate::bodies::{self, Bodies, Received, RequestBody};
use crate::call::{Call, Params};
use crate::places::{Places, places};
use crate::reply::{Body, Reply, problem};
use crate::route::{Access, DoorKind, Route};

/// What the doors need to know beside the application.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where the root key file is, if the configuration names one.
    pub root_key_file: Option<PathBuf>,
    /// The tenant that `sys/init` at the Vault door makes, so that its `root_token` is a tenant's credential.
    pub init_tenant: Option<bailiwick_types::Slug>,
    /// Where bundles are kept while they are verified; the system's directory for temporary files if absent.
    pub spool_directory: Option<PathBuf>,
    /// The largest bundle that is taken.
    pub bundle_bytes_max: u64,
    /// Whether readiness goes on saying yes when the server has found its own isolation broken.
    pub stays_ready_when_broken: bool,
    /// The most connections at once. When there are as many, whoever has most of them loses one to a new one.
    pub connections_max: usize,
    /// How many bytes of memory bodies of requests fill at most, those of one tenant an eighth of it.
    pub bodies_bytes: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            root_key_file: None,
            init_tenant: None,
            spool_directory: None,
            bundle_bytes_max: BUNDLE_BYTES_MAX,
            stays_ready_when_broken: false,
            connections_max: CONNECTIONS_MAX,
            bodies_bytes: BODIES_BYTES,
        }
    }
}

/// The most connections at once unless the configuration says otherwise.
const CONNECTIONS_MAX: usize = 16_384;
/// How much memory bodies fill at most unless the configuration says otherwise: 128 of the largest.
const BODIES_BYTES: u64 = 256 << 20;
/// The most of those who monitor.
const OPERATIONS_CONNECTIONS_MAX: usize = 256;

/// The largest bundle that is taken unless the configuration says otherwise: 64 GiB.
pub(crate) const BUNDLE_BYTES_MAX: u64 = 64 << 30;

/// What every call can reach.
pub(crate) struct ServerContext {
    pub(crate) app: Arc<App>,
    pub(crate) config: HttpConfig,
    pub(crate) metrics: Metrics,
    /// Those of the doors. Who monitors has others.
    pub(crate) places: Arc<Places>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) is_draining: AtomicBool,
    pub(crate) openapi: std::sync::OnceLock<Bytes>,
    attested_routes: std::sync::OnceLock<AttestedRoutes>,
}

impl ServerContext {
    /// [`attested_routes`], made once.
    pub(crate) fn attested_routes(&self) -> AttestedRoutes {
        self.attested_routes.get_or_init(attested_routes).clone()
    }
}

/// Counts for the metrics page, of the doors. Nothing in them is of a tenant.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) by_status: [AtomicU64; 5],
    pub(crate) in_flight: AtomicU64,
}

/// The server's doors: one route table and what it stands on.
pub struct Server {
    context: Arc<ServerContext>,
    pub(crate) places: Arc<Places>,
    /// Whether it is the doors, where who shows no credential waits for a turn; who monitors does not.
    is_doors: bool,
    routes: Vec<Route>,
    known_query: Vec<Arc<[&'static str]>>,
    /// The names of each row's path parameters.
    parameters: Vec<Vec<&'static str>>,
    routers: HashMap<(&'static str, bool), Router<usize>>,
    /// Which methods a path takes; for folders, whose paths end in a slash, by itself.
    by_path: HashMap<bool, Router<Vec<&'static str>>>,
}

/// The whole table.
pub fn routes() -> Vec<Route> {
    let mut routes = crate::operations::routes();
    routes.extend(crate::native::routes());
    routes.extend(crate::vault::routes());
    routes
}

/// What the whole table comes to in an attestation, the operations listener's part included.
pub fn attested_routes() -> AttestedRoutes {
    bailiwick_app::attestation::routes_of(routes().iter().map(Route::line).collect())
}

impl Server {
    /// The doors of an application.
    ///
    /// # Errors
    /// A text that says which two rows of the table collide.
    pub fn new(app: Arc<App>, config: HttpConfig) -> Result<Arc<Self>, String> {
        let places = places(config.connections_max);
        let context = ServerContext {
            app,
            places: Arc::clone(&places),
            bodies: bodies::bodies(config.bodies_bytes),
            config,
            metrics: Metrics::default(),
            is_draining: AtomicBool::new(false),
            openapi: std::sync::OnceLock::new(),
            attested_routes: std::sync::OnceLock::new(),
        };
        // Totals over all tenants are for operators' networks: they are mounted on the operations listener only.
        let rows = routes().into_iter().filter(|route| !route.is_for_operations_only()).collect();
        Self::of(Arc::new(context), places, rows)
    }

    /// The same server as monitoring sees it: health, readiness and metrics, and no door to anything else.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub fn operations(&self) -> Result<Arc<Self>, String> {
        Self::of(Arc::clone(&self.context), places(OPERATIONS_CONNECTIONS_MAX), crate::operations::routes())
    }

    fn of(context: Arc<ServerContext>, places: Arc<Places>, routes: Vec<Route>) -> Result<Arc<Self>, String> {
        let mut routers: HashMap<(&'static str, bool), Router<usize>> = HashMap::new();
        let mut by_path: HashMap<bool, Router<Vec<&'static str>>> = HashMap::new();
        let mut methods: HashMap<(bool, &'static str), Vec<&'static str>> = HashMap::new();
        for (at, route) in routes.iter().enumerate() {
            let is_folder = route.path.ends_with('/');
            let router = routers.entry((route.method, is_folder)).or_default();
            router.insert(matched_path(route.path), at).map_err(|error| format!("{}: {error}", route.name()))?;
            methods.entry((is_folder, matched_path(route.path))).or_default().push(route.method);
        }
        for ((is_folder, path), mut methods) in methods {
            methods.sort_unstable();
            methods.dedup();
            let router = by_path.entry(is_folder).or_default();
            router.insert(path, methods).map_err(|error| format!("{path}: {error}"))?;
        }
        let known_query = routes.iter().map(|route| route.query.iter().map(|query| query.name).collect()).collect();
        let parameters = routes.iter().map(|route| parameters(route.path)).collect();
        let is_doors = Arc::ptr_eq(&places, &context.places);
        Ok(Arc::new(Self { context, places, is_doors, routes, known_query, parameters, routers, by_path }))
    }

    /// The rows that are mounted.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The application behind the doors.
    pub fn app(&self) -> &Arc<App> {
        &self.context.app
    }

    /// From now on readiness says no.
    pub fn drain(&self) {
        self.context.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether readiness says no because the server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.context.is_draining.load(Ordering::Relaxed)
    }

    /// Answers one request from `peer`.
    pub async fn handle<B: RequestBody>(&self, request: Request<B>, peer: Option<SocketAddr>) -> Response<Body> {
        let id = RequestId::random(self.context.app.random());
        // Whatever is logged on the way says of which request: the caller has the same id.
        self.handle_as(id, request, peer).instrument(tracing::error_span!("request", %id)).await
    }

    /// The answer to a request for which there is no place on its connection.
    pub(crate) fn refuse<B>(&self, request: &Request<B>) -> Response<Body> {
        let id = RequestId::random(self.context.app.random());
        let error = AppError::overloaded("there are as many requests as places for connections");
        failure(&error, id, door_of(request.uri().path()))
    }

    async fn handle_as<B: RequestBody>(
        &self,
        id: RequestId,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Response<Body> {
        // Who asks again and again and is refused at once never waits for anything: commits need a thread, too.
        tokio::task::consume_budget().await;
        let metrics = &self.context.metrics;
        metrics.in_flight.fetch_add(1, Ordering::Relaxed);
        let _leaves = Leaves(metrics);
        let (mut parts, body) = request.into_parts();
        let door = door_of(parts.uri.path());
        let response = match self.answer(&mut parts, body, peer, id, door).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = failure(&error, id, door);
                if error.code() == Code::MethodNotAllowed {
                    self.add_allow(&mut response, &parts);
                }
                response
            }
        };
        let class = usize::from(response.status().as_u16() / 100).saturating_sub(1);
        if let Some(count) = metrics.by_status.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }

    async fn answer<B: RequestBody>(
        &self,
        parts: &mut Parts,
        body: B,
        peer: Option<SocketAddr>,
        id: RequestId,
        door: DoorKind,
    ) -> Result<Response<Body>, AppError> {
        let prepared = self.prepare(parts, body, peer, id, door).await;
        // The others take their own, once it is known whose.
        if self.is_doors && prepared.as_ref().map_or(true, |(route, _)| matches!(route.access, Access::Open(_))) {
            let source = peer.map(|peer| peer.ip().into());
            Box::pin(self.app().in_turn_of_stranger(source, std::future::ready(()))).await;
        }
        let (route, call) = prepared?;
        let reply: Reply = Guarded((route.handler)(call)).await?;
        Ok(reply.into_response(route.status, id))
    }

    /// Which row a request asks for, and with what.
    async fn prepare<B: RequestBody>(
        &self,
        parts: &mut Parts,
        body: B,
        peer: Option<SocketAddr>,
        id: RequestId,
        door: DoorKind,
    ) -> Result<(&Route, Call), AppError> {
        // hyper takes such a request for chunked. Who passed it on may have taken it otherwise, and then what follows on
        // the connection is not what they looked at.
        if parts.headers.contains_key(header::TRANSFER_ENCODING) && parts.headers.contains_key(header::CONTENT_LENGTH) {
            return Err(AppError::invalid("`Content-Length` and `Transfer-Encoding` exclude each other"));
        }
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        if target.len() > URI_BYTES_MAX {
            return Err(AppError::new(Code::UriTooLong));
        }
        let mut query = parse_query(parts.uri.query())?;
        let mut method = parts.method.as_str();
        let mut stated = Vec::new();
        let mut path = std::borrow::Cow::Borrowed(parts.uri.path());
        if door == DoorKind::Vault {
            let adapted = crate::vault::adapt(parts, &mut query)?;
            method = adapted.method;
            path = std::borrow::Cow::Owned(adapted.path);
            stated = adapted.stated;
        }
        if door == DoorKind::Operations && method == "HEAD" {
            // Load balancers ask like this. What listens leaves the body out.
            method = "GET";
        }
        let (at, params) = self.find(method, &path)?;
        let route = self.routes.get(at).ok_or_else(|| AppError::new(Code::RouteNotFound))?;
        // The row, not the path: what a tenant names its things is the tenant's.
        tracing::debug!(method, route = route.path, "asked");
        let known_query = self.known_query.get(at).cloned().ok_or_else(|| AppError::new(Code::RouteNotFound))?;
        if door != DoorKind::Vault {
            stated.extend(params.iter().find(|(name, _)| *name == "tenant").map(|(_, value)| value.clone()));
        }
        let credential = match door {
            DoorKind::Vault => crate::vault::credential(&parts.headers)?,
            _ => bearer(&parts.headers)?,
        };
        // Who shows no credential is refused whatever the body says: nobody fills memory without one.
        let shows_one = credential.as_ref().is_some_and(|text| CredentialText::parse(text.expose()).is_ok());
        let is_open = matches!(route.access, Access::Open(_));
        let mut meta = RequestMeta {
            id,
            source: peer.map(|peer| peer.ip().to_canonical()),
            door: if door == DoorKind::Vault { Door::Vault } else { Door::Api },
            credential,
            stated,
            idempotency: None,
        };
        let (body, upload) = match (route.is_upload, shows_one || is_open) {
            (true, true) => (Received::default(), Some(crate::stream::upload(body))),
            (false, true) => {
                (bodies::receive(bodies::TIMEOUT, &self.context.bodies, || self.app().payer(&meta), body).await?, None)
            }
            (_, false) => (Received::default(), None),
        };
        meta.idempotency = idempotency(&parts.headers, method, target, &body.bytes)?;

        let call = Call {
            server: Arc::clone(&self.context),
            meta,
            params,
            query,
            known_query,
            headers: std::mem::take(&mut parts.headers),
            body: body.bytes,
            _room: body.room,
            upload: std::sync::Mutex::new(upload),
            must_heed_conditions: door == DoorKind::Api && !parts.method.is_safe(),
            has_seen_if_match: AtomicBool::new(false),
        };
        Ok((route, call))
    }

    fn find(&self, method: &str, path: &str) -> Result<(usize, Params), AppError> {
        let (trimmed, is_folder) = trimmed_path(path);
        let router = self.routers.get(&(method, is_folder));
        let Some(matched) = router.and_then(|router| router.at(trimmed).ok()) else {
            let code = match self.methods_of(path) {
                Some(_) => Code::MethodNotAllowed,
                None => Code::RouteNotFound,
            };
            return Err(AppError::new(code));
        };
        let names = self.parameters.get(*matched.value).map(Vec::as_slice).unwrap_or_default();
        let mut params = Vec::with_capacity(names.len());
        for (name, raw) in matched.params.iter() {
            let Some(name) = names.iter().copied().find(|known| *known == name) else { continue };
            params.push((name, decode_path(raw)?));
        }
        Ok((*matched.value, params))
    }

    fn add_allow(&self, response: &mut Response<Body>, parts: &Parts) {
        if let Some(methods) = self.methods_of(parts.uri.path())
            && let Ok(value) = HeaderValue::from_str(&methods.join(", "))
        {
            response.headers_mut().insert(header::ALLOW, value);
        }
    }

    /// The methods that some row takes at this path.
    fn methods_of(&self, path: &str) -> Option<&[&'static str]> {
        let (trimmed, is_folder) = trimmed_path(path);
        self.by_path.get(&is_folder)?.at(trimmed).ok().map(|matched| matched.value.as_slice())
    }
}

/// A failure in the words of its door.
fn failure(error: &AppError, id: RequestId, door: DoorKind) -> Response<Body> {
    match door {
        DoorKind::Vault => crate::vault::failure(error, id),
        _ => problem(error, id),
    }
}

/// A handler whose panic is an internal error of its own request and of nothing else.
struct Guarded<F>(std::pin::Pin<Box<F>>)
where
    F: Future + ?Sized;

impl<F: Future<Output = Result<Reply, AppError>> + ?Sized> Future for Guarded<F> {
    type Output = Result<Reply, AppError>;
    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let handler = self.0.as_mut();
        // A handler that has panicked is not polled again: its answer is this one.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler.poll(context)))
            .unwrap_or_else(|_| std::task::Poll::Ready(Err(AppError::internal("a handler panicked"))))
    }
}

struct Leaves<'a>(&'a Metrics);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A path without the slash at its end, and whether it had one: then it names a folder.
fn trimmed_path(path: &str) -> (&str, bool) {
    path.strip_suffix('/').map_or((path, false), |trimmed| (trimmed, true))
}

fn matched_path(path: &'static str) -> &'static str {
    path.strip_suffix('/').unwrap_or(path)
}

fn door_of(path: &str) -> DoorKind {
    if path == "/v1" || path.starts_with("/v1/") {
        DoorKind::Vault
    } else if path.starts_with("/api/") {
        DoorKind::Api
    } else {
        DoorKind::Operations
    }
}

/// The names in `{…}` of a route's path.
fn parameters(path: &'static str) -> Vec<&'static str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.strip_prefix('*').unwrap_or(name))
        .collect()
}

/// Decodes a path once, and strictly: no encoded slash, nothing that is not UTF-8, no half escapes.
pub(crate) fn decode_path(raw: &str) -> Result<String, AppError> {
    let bad = |why: &str| AppError::with_detail(Code::InvalidPath, why);
    let mut rest = raw;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| bad("a `%` must be followed by two hexadecimal digits"))?;
        if digits.eq_ignore_ascii_case("2f") {
            return Err(bad("an encoded slash"));
        }
        rest = after;
    }
    let decoded = percent_decode_str(raw).decode_utf8().map_err(|_| bad("not UTF-8"))?;
    Ok(decoded.into_owned())
}

pub(crate) fn parse_query(query: Option<&str>) -> Result<Vec<(String, String)>, AppError> {
    let mut out = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            let decoded = percent_decode_str(&text).decode_utf8().map(std::borrow::Cow::into_owned);
            decoded.map_err(|_| AppError::invalid("the query is not UTF-8"))
        };
        out.push((decode(name)?, decode(value)?));
        if out.len() > 64 {
            return Err(AppError::invalid("at most 64 query parameters"));
        }
    }
    Ok(out)
}

/// The one value of a header. Of two, each reader could take another.
pub(crate) fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, AppError> {
    let mut values = headers.get_all(&name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(AppError::invalid(format!("the header `{name}` is given twice")));
    }
    Ok(value)
}

/// The credential in `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<Secret<String>>, AppError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(AppError::with_detail(Code::CredentialMalformed, "several Authorization headers"));
    }
    let text = value.to_str().map_err(|_| AppError::new(Code::CredentialMalformed))?;
    let (scheme, credential) = text.split_once(' ').ok_or_else(|| AppError::new(Code::CredentialMalformed))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AppError::with_detail(Code::Unauthenticated, "the only scheme is Bearer"));
    }
    Ok(Some(Secret::new(credential.trim().to_owned())))
}

fn idempotency(headers: &HeaderMap, method: &str, target: &str, body: &Bytes) -> Result<Option<Idempotency>, AppError> {
    let Some(value) = single(headers, HeaderName::from_static("idempotency-key"))? else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AppError::invalid(format!(
            "`Idempotency-Key` must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
        )));
    }
    let mut request = Vec::with_capacity(method.len() + target.len() + body.len() + 2);
    request.extend_from_slice(method.as_bytes());
    request.push(0);
    request.extend_from_slice(target.as_bytes());
    request.push(0);
    request.extend_from_slice(body);
    Ok(Some(Idempotency { key: key.to_owned(), request: Secret::new(request) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_strictly() {
        assert_eq!(decode_path("a%20b/%C3%A9").unwrap(), "a b/é");
        assert_eq!(decode_path("a%252e").unwrap(), "a%2e");
        for bad in ["%2f", "a%2Fb", "%", "%4", "%zz", "%ff"] {
            assert_eq!(decode_path(bad).unwrap_err().code(), Code::InvalidPath, "{bad}");
        }
    }

    #[test]
    fn no_two_rows_collide() {
        let mut names: Vec<String> = routes().iter().map(Route::name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
