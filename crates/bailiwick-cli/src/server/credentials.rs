//! The credentials of `bailiwick dev`, in a file for scripts.
//!
//! ```json
//! {"address": "http://127.0.0.1:8200", "operator": {"credential": "bwo_…"},
//!  "tenants": {"acme": {"id": "ten_…", "slug": "acme", "admin": {"credential": "bwk_…"}}}}
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bailiwick_types::{Slug, TenantId};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::fail::Fail;
use crate::files;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DevCredentials {
    /// Where the server is.
    pub(crate) address: String,
    /// The first operator.
    pub(crate) operator: Holder,
    /// The sample tenants, by slug.
    pub(crate) tenants: BTreeMap<String, DevTenant>,
}

/// A sample tenant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DevTenant {
    /// Its id.
    pub(crate) id: TenantId,
    /// Its slug.
    pub(crate) slug: Slug,
    /// Its first member.
    pub(crate) admin: Holder,
}

/// Somebody with a credential.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Holder {
    /// It.
    pub(crate) credential: String,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl DevCredentials {
    /// Writes the file, private and as a whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Fail> {
        let mut text = serde_json::to_vec_pretty(self)
            .map(Zeroizing::new)
            .map_err(|_| Fail::usage("the credentials cannot be written as JSON"))?;
        text.push(b'\n');
        files::write_private(path, &text).map_err(|error| Fail::file(path, &error))
    }

    /// Reads a file that an earlier start wrote, if there is one.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Fail> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fail::file(path, &error)),
        };
        // The parser's own message might quote a credential.
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Fail::usage(format!("`{}` is not as it was written, at line {}", path.display(), error.line()))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bailiwick_types::Random;

    use super::*;

    struct Ones;
    impl Random for Ones {
        fn fill(&self, out: &mut [u8]) {
            out.fill(1);
        }
    }

    pub(crate) fn sample() -> DevCredentials {
        let holder = |text: &str| Holder { credential: text.to_owned() };
        let tenant = |slug: &str| {
            let admin = holder(&format!("bwk_{slug}"));
            (slug.to_owned(), DevTenant { id: TenantId::random(&Ones), slug: slug.parse().unwrap(), admin })
        };
        DevCredentials {
            address: "http://127.0.0.1:8200".into(),
            operator: holder("bwo_operator"),
            tenants: [tenant("acme"), tenant("globex")].into(),
        }
    }

    #[test]
    fn the_file_has_the_shape_that_scripts_expect() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        assert!(DevCredentials::read(&path).unwrap().is_none());
        sample().write(&path).unwrap();
        assert!(!files::is_exposed(&path).unwrap());
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let tenant = |slug: &str| {
            serde_json::json!({
                "id": TenantId::random(&Ones).to_string(),
                "slug": slug,
                "admin": { "credential": format!("bwk_{slug}") },
            })
        };
        assert_eq!(
            read,
            serde_json::json!({
                "address": "http://127.0.0.1:8200",
                "operator": { "credential": "bwo_operator" },
                "tenants": { "acme": tenant("acme"), "globex": tenant("globex") },
            })
        );
        let again = DevCredentials::read(&path).unwrap().unwrap();
        assert_eq!(again.tenants["acme"].admin.credential, "bwk_acme");
        assert!(!format!("{again:?}").contains("bwk_"));
    }
}
