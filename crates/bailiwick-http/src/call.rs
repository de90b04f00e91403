//! One request on its way from the wire to a use case.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick_app::{App, AppError, PageRequest, RequestMeta};
use bailiwick_types::{Code, NameError, Secret};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::bodies::Room;
use crate::json;
use crate::server::{ServerContext, single};
use crate::stream::Upload;

/// The parameters of a path, by their names in the route.
pub(crate) type Params = Vec<(&'static str, String)>;

/// A request whose route is known: parameters, query, body. Not yet authenticated; nothing in it is trusted.
pub(crate) struct Call {
    pub(crate) server: Arc<ServerContext>,
    pub(crate) meta: RequestMeta,
    pub(crate) params: Params,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) known_query: Arc<[&'static str]>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What `body` fills.
    pub(crate) _room: Option<Room>,
    /// The body of a route that takes a stream, until somebody takes it.
    pub(crate) upload: std::sync::Mutex<Option<Upload>>,
    /// Whether it may change something at the native door. Vault's clients send no conditions, and its servers heed none.
    pub(crate) must_heed_conditions: bool,
    /// Whether anybody has looked at `If-Match`.
    pub(crate) has_seen_if_match: AtomicBool,
}

impl Call {
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.server.app
    }

    pub(crate) fn meta(&self) -> &RequestMeta {
        &self.meta
    }

    /// The body that is still to come.
    pub(crate) fn take_upload(&self) -> Option<Upload> {
        self.upload.lock().ok()?.take()
    }

    /// A path parameter as text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A path parameter that is an id. One that is no id cannot exist.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<T, AppError> {
        self.text(name).parse().map_err(|_| AppError::not_found())
    }

    /// A path parameter that is a name.
    pub(crate) fn name<T: FromStr<Err = NameError>>(&self, name: &str) -> Result<T, AppError> {
        self.text(name).parse().map_err(AppError::from)
    }

    /// A query parameter as text.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter as whatever parses.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, AppError> {
        match self.query(name) {
            None => Ok(None),
            Some(text) => {
                let value = text.parse().map_err(|_| AppError::invalid(format!("`{name}` does not parse")))?;
                Ok(Some(value))
            }
        }
    }

    /// Parameters that nobody knows are mistakes, and so are those given twice.
    pub(crate) fn check_query(&self) -> Result<(), AppError> {
        for (at, (name, _)) in self.query.iter().enumerate() {
            if !self.known_query.contains(&name.as_str()) {
                let known = self.known_query.join(", ");
                let detail = if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {known}") };
                return Err(AppError::with_detail(Code::UnknownParameter, detail));
            }
            if self.query.iter().skip(at + 1).any(|(other, _)| other == name) {
                return Err(AppError::invalid(format!("`{name}` is given twice")));
            }
        }
        Ok(())
    }

    pub(crate) fn page(&self) -> Result<PageRequest, AppError> {
        Ok(PageRequest { limit: self.parsed("limit")?, cursor: self.query("cursor").map(str::to_owned) })
    }

    /// The body as the shape that the route takes.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, AppError> {
        self.check_content_type("application/json")?;
        json::parse(&self.body)
    }

    /// As [`Call::json`], where nothing at all stands for `{}`.
    pub(crate) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, AppError> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// The raw text of a member of the body that must be an object, such as a secret's `data`.
    pub(crate) fn raw_object(text: &serde_json::value::RawValue, name: &str) -> Result<Secret<Vec<u8>>, AppError> {
        if !text.get().starts_with('{') {
            return Err(AppError::with_detail(Code::InvalidJson, format!("`{name}` must be a JSON object")));
        }
        Ok(Secret::new(text.get().as_bytes().to_vec()))
    }

    pub(crate) fn check_content_type(&self, wanted: &str) -> Result<(), AppError> {
        let Some(given) = single(&self.headers, header::CONTENT_TYPE)? else { return Ok(()) };
        let given = given.to_str().unwrap_or_default();
        let essence = given.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        Err(AppError::with_detail(Code::UnsupportedMediaType, format!("send `{wanted}`")))
    }

    /// The version that `If-Match` asks for.
    pub(crate) fn if_match(&self) -> Result<Option<u64>, AppError> {
        self.has_seen_if_match.store(true, Ordering::Relaxed);
        let Some(value) = single(&self.headers, header::IF_MATCH)? else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
        version.map(Some).ok_or_else(|| AppError::invalid("`If-Match` must be an ETag that this server gave"))
    }

    /// A condition that nobody looked at must not look as if it held.
    pub(crate) fn check_conditions(&self) -> Result<(), AppError> {
        let is_ignored = self.headers.contains_key(header::IF_MATCH) && !self.has_seen_if_match.load(Ordering::Relaxed);
        if is_ignored && self.must_heed_conditions {
            return Err(AppError::invalid("`If-Match` is not taken here: what this changes has no ETag"));
        }
        Ok(())
    }

    /// Whether `If-None-Match: *` asks that there be none yet.
    pub(crate) fn must_be_new(&self) -> bool {
        self.headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == b"*")
    }
}
