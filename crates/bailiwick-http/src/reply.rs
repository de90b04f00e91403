//! Answers on their way to the wire.

use bailiwick_app::{Answer, AppError};
use bailiwick_types::api::Problem;
use bailiwick_types::{ErrorClass, RequestId};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;

/// What goes out: usually one piece, for exports a stream.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer before the headers that all answers have.
pub(crate) struct Reply {
    pub(crate) status: Option<StatusCode>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Body,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// A body of one piece.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

impl Reply {
    /// An answer as JSON. There is no way to one but from a durable commit's [`Answer`].
    pub(crate) fn json<T: Serialize>(answer: Answer<T>) -> Result<Self, AppError> {
        let etag = answer.etag();
        let mut reply = Self::open_json(answer.value())?;
        if let Some(version) = etag
            && let Ok(value) = HeaderValue::from_str(&format!("\"{version}\""))
        {
            reply.headers.push((header::ETAG, value));
        }
        Ok(reply)
    }

    /// What everybody may see, as JSON.
    pub(crate) fn open_json(value: &impl Serialize) -> Result<Self, AppError> {
        let bytes = serde_json::to_vec(value).map_err(AppError::internal)?;
        Ok(Self::of("application/json", full(bytes)))
    }

    pub(crate) fn of(content_type: &'static str, body: Body) -> Self {
        Self { status: None, content_type, body, headers: Vec::new() }
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    pub(crate) fn into_response(self, usual: u16, request: RequestId) -> Response<Body> {
        let status = self.status.unwrap_or(StatusCode::from_u16(usual).unwrap_or(StatusCode::OK));
        let mut response = Response::new(self.body);
        *response.status_mut() = status;
        if status != StatusCode::NO_CONTENT {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        finish(&mut response, request);
        response
    }
}

/// The headers that every answer has, whatever it says.
pub(crate) fn finish(response: &mut Response<Body>, request: RequestId) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::try_from(request.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}

/// A failure as RFC 9457 problem details.
///
/// The request id is in the header; in the body it is only for faults, which say nothing else. So a refusal's body is
/// the same, byte for byte, for a thing that is another's and a thing that is not there.
pub(crate) fn problem(error: &AppError, request: RequestId) -> Response<Body> {
    let code = error.code();
    let is_fault = error.class() == ErrorClass::Fault;
    let hint = Some(code.hint()).filter(|hint| !hint.is_empty() && !is_fault);
    let problem = Problem {
        kind: format!("urn:bailiwick:error:{code}"),
        title: code.title().to_owned(),
        status: code.status(),
        code: code.as_str().to_owned(),
        detail: error.detail().filter(|_| !is_fault).map(str::to_owned),
        hint: hint.map(str::to_owned),
        request_id: is_fault.then(|| request.to_string()),
        errors: error.problems().to_vec(),
        refuted: error.refutations().to_vec(),
    };
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut reply = Reply::of("application/problem+json", full(body));
    reply.headers.extend(failure_headers(error));
    reply.into_response(code.status(), request)
}

/// The headers that failures of some kinds have at every door.
pub(crate) fn failure_headers(error: &AppError) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    if let Some(ms) = error.retry_after_ms() {
        headers.push((header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1))));
    } else if matches!(error.class(), ErrorClass::Busy | ErrorClass::Stale) {
        headers.push((header::RETRY_AFTER, HeaderValue::from(1)));
    }
    if error.class() == ErrorClass::Unauthenticated {
        headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    headers
}
