//! Mounts and secrets.

use bailiwick_types::SecretPath;
use bailiwick_types::api::secret::{
    ConfigureSecret, CreateMount, Mount, RevealedSecret, SecretMetadata, UpdateMount, VersionInfo, Versions,
    WriteSecret,
};
use bailiwick_types::api::{Done, Page};

use super::tenant::Tenant;
use crate::call::Call;
use crate::path::Path;

impl Tenant {
    fn secret_at(&self, tree: &'static str, mount: &str, path: &SecretPath) -> Path {
        self.at(tree).segment(mount).secret(path)
    }

    /// All mounts.
    pub fn mounts(&self) -> Call<Page<Mount>> {
        Call::get(self.at("/mounts"))
    }

    /// Mounts an engine.
    pub fn create_mount(&self, body: &CreateMount) -> Call<Mount> {
        Call::post(self.at("/mounts")).json(body)
    }

    /// One mount.
    pub fn mount(&self, mount: &str) -> Call<Mount> {
        Call::get(self.at("/mounts").segment(mount))
    }

    /// Changes a mount.
    pub fn update_mount(&self, mount: &str, body: &UpdateMount) -> Call<Mount> {
        Call::patch(self.at("/mounts").segment(mount)).json(body)
    }

    /// Unmounts an engine and destroys every secret in it.
    pub fn delete_mount(&self, mount: &str) -> Call<Done> {
        Call::delete(self.at("/mounts").segment(mount))
    }

    /// The names in a folder, or at the top of the mount; folders end in `/`.
    pub fn list_secrets(&self, mount: &str, folder: Option<&SecretPath>) -> Call<Page<String>> {
        let top = self.at("/secrets").segment(mount);
        Call::get(match folder {
            Some(folder) => top.secret(folder).folder(),
            None => top,
        })
    }

    /// A version of a secret; the current one if none is named.
    pub fn reveal_secret(&self, mount: &str, path: &SecretPath, version: Option<u64>) -> Call<RevealedSecret> {
        Call::get(self.secret_at("/secrets", mount, path)).query_opt("version", version)
    }

    /// Writes a new version.
    pub fn write_secret(&self, mount: &str, path: &SecretPath, body: &WriteSecret) -> Call<VersionInfo> {
        Call::put(self.secret_at("/secrets", mount, path)).json(body)
    }

    /// Writes a new version by merging into the current one (RFC 7396).
    pub fn patch_secret(&self, mount: &str, path: &SecretPath, body: &WriteSecret) -> Call<VersionInfo> {
        Call::patch(self.secret_at("/secrets", mount, path)).json(body)
    }

    /// Deletes the current version so that it can be undeleted.
    pub fn delete_secret(&self, mount: &str, path: &SecretPath) -> Call<Done> {
        Call::delete(self.secret_at("/secrets", mount, path))
    }

    /// Deletes versions so that they can be undeleted.
    pub fn delete_versions(&self, mount: &str, path: &SecretPath, body: &Versions) -> Call<Done> {
        Call::post(self.secret_at("/secret-delete", mount, path)).json(body)
    }

    /// Brings deleted versions back.
    pub fn undelete_versions(&self, mount: &str, path: &SecretPath, body: &Versions) -> Call<Done> {
        Call::post(self.secret_at("/secret-undelete", mount, path)).json(body)
    }

    /// Destroys versions for good.
    pub fn destroy_versions(&self, mount: &str, path: &SecretPath, body: &Versions) -> Call<Done> {
        Call::post(self.secret_at("/secret-destroy", mount, path)).json(body)
    }

    /// A secret's versions and settings.
    pub fn secret_metadata(&self, mount: &str, path: &SecretPath) -> Call<SecretMetadata> {
        Call::get(self.secret_at("/secret-metadata", mount, path))
    }

    /// Sets a secret's settings; replaces its custom metadata.
    pub fn put_secret_metadata(&self, mount: &str, path: &SecretPath, body: &ConfigureSecret) -> Call<SecretMetadata> {
        Call::put(self.secret_at("/secret-metadata", mount, path)).json(body)
    }

    /// Changes a secret's settings; merges its custom metadata.
    pub fn patch_secret_metadata(
        &self,
        mount: &str,
        path: &SecretPath,
        body: &ConfigureSecret,
    ) -> Call<SecretMetadata> {
        Call::patch(self.secret_at("/secret-metadata", mount, path)).json(body)
    }

    /// Destroys a secret with all versions and metadata.
    pub fn purge_secret(&self, mount: &str, path: &SecretPath) -> Call<Done> {
        Call::delete(self.secret_at("/secret-metadata", mount, path))
    }
}
