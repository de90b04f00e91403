//! Refusals and failures in Vault's words: `{"errors": […]}`.
//!
//! # Invariants
//! - INV-VAULT-3: whatever is wrong with a credential, the answer is the same. Likewise what is not the caller's and what
//!   is not there.
//! - INV-VAULT-4: 412 and 429, which Vault's clients repeat by themselves, mean that repeating helps.

use bailiwick_app::AppError;
use bailiwick_types::{Code, ErrorClass, RequestId};
use http::{HeaderValue, Response, StatusCode, header};

use super::envelope;
use crate::reply::Body;

/// Whoever asks may not. Vault's words for a policy's refusal.
pub(super) const REFUSED: &str = "1 error occurred:\n\t* permission denied\n\n";

pub(crate) fn failure(error: &AppError, id: RequestId) -> Response<Body> {
    let (status, text) = told(error, id);
    let texts: Vec<&str> = text.as_deref().into_iter().filter(|text| !text.is_empty()).collect();
    let mut reply = envelope::errors(status, &texts);
    if let Some(ms) = error.retry_after_ms() {
        reply.headers.push((header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1))));
    } else if matches!(error.class(), ErrorClass::Stale | ErrorClass::Busy) {
        reply.headers.push((header::RETRY_AFTER, HeaderValue::from(1)));
    }
    reply.into_response(status.as_u16(), id)
}

/// The status, and what to say if anything.
fn told(error: &AppError, id: RequestId) -> (StatusCode, Option<String>) {
    let code = error.code();
    let said = || Some(error.detail().unwrap_or(code.title()).to_owned());
    match code {
        // Word for word: clients compare these. The detail, which version it has by now, Vault does not tell.
        Code::CasConflict => {
            let text = "check-and-set parameter did not match the current version";
            (StatusCode::BAD_REQUEST, Some(text.to_owned()))
        }
        Code::CasRequired => {
            (StatusCode::BAD_REQUEST, Some("check-and-set parameter required for this call".to_owned()))
        }
        Code::InvalidJson | Code::DuplicateMember => {
            (StatusCode::BAD_REQUEST, said().map(|why| format!("failed to decode JSON input: {why}")))
        }
        Code::NestingTooDeep => {
            (StatusCode::BAD_REQUEST, Some("failed to decode JSON input: exceeded max depth".to_owned()))
        }
        Code::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, said()),
        Code::UriTooLong => (StatusCode::URI_TOO_LONG, said()),
        Code::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, said()),
        Code::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, error.detail().map(str::to_owned)),
        Code::TenantSuspended => (StatusCode::FORBIDDEN, Some(format!("1 error occurred:\n\t* {}\n\n", code.title()))),
        Code::RateLimited | Code::Overloaded => (StatusCode::TOO_MANY_REQUESTS, said()),
        _ => match error.class() {
            ErrorClass::Unauthenticated => (StatusCode::FORBIDDEN, Some("permission denied".to_owned())),
            ErrorClass::Denied => (StatusCode::FORBIDDEN, Some(REFUSED.to_owned())),
            ErrorClass::Absent => (StatusCode::NOT_FOUND, error.detail().map(str::to_owned)),
            ErrorClass::Invalid | ErrorClass::Conflict | ErrorClass::Limited => (StatusCode::BAD_REQUEST, said()),
            ErrorClass::Sealed => (StatusCode::SERVICE_UNAVAILABLE, Some("Vault is sealed".to_owned())),
            ErrorClass::Stale | ErrorClass::Busy => (StatusCode::SERVICE_UNAVAILABLE, said()),
            ErrorClass::Fault => (StatusCode::INTERNAL_SERVER_ERROR, Some(format!("internal error, request {id}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(error: &AppError) -> (u16, Option<String>) {
        let (status, text) = told(error, RequestId::from_bytes([1; 16]));
        (status.as_u16(), text)
    }

    #[test]
    fn every_code_has_a_status_that_vault_has() {
        for code in Code::ALL.iter().copied() {
            let (status, text) = shown(&AppError::new(code));
            let wanted: &[u16] = match code.class() {
                ErrorClass::Invalid => &[400, 405, 413, 414, 415],
                ErrorClass::Unauthenticated | ErrorClass::Denied => &[403],
                ErrorClass::Absent => &[404],
                ErrorClass::Conflict => &[400],
                ErrorClass::Limited => &[400, 429],
                ErrorClass::Sealed | ErrorClass::Stale => &[503],
                ErrorClass::Busy => &[429, 503],
                ErrorClass::Fault => &[500],
            };
            assert!(wanted.contains(&status), "{code}: {status}");
            assert_eq!(status == 429, matches!(code, Code::RateLimited | Code::Overloaded), "{code}");
            // Absence says nothing; everything else says something.
            let is_silent = matches!(code.class(), ErrorClass::Absent) || code == Code::MethodNotAllowed;
            assert_eq!(text.is_none(), is_silent, "{code}");
        }
    }

    #[test]
    fn a_bad_credential_is_a_bad_credential() {
        let all = Code::ALL.iter().copied().filter(|code| code.class() == ErrorClass::Unauthenticated);
        let texts: std::collections::BTreeSet<_> =
            all.map(|code| shown(&AppError::with_detail(code, "why it is bad"))).collect();
        assert_eq!(texts.into_iter().collect::<Vec<_>>(), [(403, Some("permission denied".to_owned()))]);
        assert_eq!(shown(&AppError::new(Code::PermissionDenied)), (403, Some(REFUSED.to_owned())));
    }

    #[test]
    fn refusals_and_faults_carry_no_detail() {
        for code in [Code::PermissionDenied, Code::TenantSuspended, Code::Internal, Code::Sealed, Code::TenantSealed] {
            let (plain, detailed) = (shown(&AppError::new(code)), shown(&AppError::with_detail(code, "of another")));
            assert_eq!(plain, detailed, "{code}");
        }
    }

    #[test]
    fn answers_that_clients_compare() {
        let texts = [
            (Code::CasConflict, 400, "check-and-set parameter did not match the current version"),
            (Code::CasRequired, 400, "check-and-set parameter required for this call"),
            (Code::Sealed, 503, "Vault is sealed"),
            (Code::NotInitialized, 503, "Vault is sealed"),
            (Code::TenantSealed, 503, "Vault is sealed"),
        ];
        for (code, status, text) in texts {
            assert_eq!(shown(&AppError::with_detail(code, "more")), (status, Some(text.to_owned())));
        }
        assert_eq!(shown(&AppError::invalid("no data provided")), (400, Some("no data provided".to_owned())));
        assert_eq!(shown(&AppError::not_found()), (404, None));
    }
}
