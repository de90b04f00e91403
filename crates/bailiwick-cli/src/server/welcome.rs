//! What `bailiwick dev` says once it runs: who there is, and lines to paste into another terminal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::credentials::DevCredentials;
use crate::output::fields;

/// What there is to say.
pub(crate) struct Welcome<'a> {
    /// How to call this program in another terminal.
    pub(crate) program: String,
    /// Where everything is kept.
    pub(crate) data: &'a Path,
    /// Where the credentials were written.
    pub(crate) credentials_file: &'a Path,
    /// Whether the tenants were made just now.
    pub(crate) is_first_start: bool,
    /// Who there is.
    pub(crate) credentials: &'a DevCredentials,
}

impl Welcome<'_> {
    /// The text, for standard output.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let address = &self.credentials.address;
        let began = if self.is_first_start { "made just now" } else { "as it was left" };
        let _ = writeln!(text, "Bailiwick {} listens at {address}\n", env!("CARGO_PKG_VERSION"));
        text.push_str(&fields(&[
            ("data", format!("{} ({began})", self.data.display())),
            ("credentials", format!("{} (for scripts)", self.credentials_file.display())),
            ("good for", "trying it on this machine: plain HTTP, and the root key lies next to the data".to_owned()),
        ]));
        text.push('\n');

        let mut holders = vec![("operator", self.credentials.operator.credential.clone())];
        holders.extend(
            self.credentials.tenants.iter().map(|(slug, tenant)| (slug.as_str(), tenant.admin.credential.clone())),
        );
        text.push_str(&fields(&holders));
        text.push_str("\nPaste into another terminal:\n");
        if let Some((slug, tenant)) = self.credentials.tenants.first_key_value() {
            self.as_tenant(&mut text, slug, &tenant.admin.credential);
        }
        if let Some((slug, tenant)) = self.credentials.tenants.last_key_value() {
            let _ = write!(
                text,
                "\n  # {slug}, with curl\n  curl -H 'Authorization: Bearer {}' {address}/api/v1/t/{slug}/whoami\n",
                tenant.admin.credential
            );
        }
        let _ = write!(
            text,
            "\n  # the operator\n  export BAILIWICK_ADDRESS={address} BAILIWICK_CREDENTIAL={}\n  {program} tenant list\n",
            self.credentials.operator.credential,
            program = self.program,
        );
        text.push_str("\nCtrl-C stops it. The next start finds everything as it was left.\n");
        text
    }

    fn as_tenant(&self, text: &mut String, slug: &str, credential: &str) {
        let (address, program) = (&self.credentials.address, &self.program);
        let _ = write!(
            text,
            "
  # {slug}, with the OpenBao client (for Vault's: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE and `vault`)
  export BAO_ADDR={address} BAO_NAMESPACE={slug} BAO_TOKEN={credential}
  bao kv put secret/hello who=world
  bao kv get secret/hello

  # {slug}, with bailiwick
  export BAILIWICK_ADDRESS={address} BAILIWICK_CREDENTIAL={credential}
  {program} secret get secret/hello
  {program} ledger list
"
        );
    }
}

/// How to call this program in another terminal that is in the same directory.
pub(crate) fn program(executable: Option<PathBuf>, here: Option<&Path>, search: &[PathBuf]) -> String {
    let Some(executable) = executable else { return "bailiwick".to_owned() };
    if executable.parent().is_some_and(|parent| search.iter().any(|directory| directory == parent)) {
        return "bailiwick".to_owned();
    }
    // With a `/` in it, a relative name is a path to every shell.
    let near = here.and_then(|here| executable.strip_prefix(here).ok()).filter(|near| near.components().count() > 1);
    near.unwrap_or(&executable).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::credentials::tests::sample;

    #[test]
    fn a_newcomer_reads_this() {
        let credentials = sample();
        let welcome = Welcome {
            program: "target/release/bailiwick".to_owned(),
            data: Path::new("bailiwick-data"),
            credentials_file: Path::new("bailiwick-data/credentials.json"),
            is_first_start: true,
            credentials: &credentials,
        };
        expect_test::expect![[r#"
            Bailiwick VERSION listens at http://127.0.0.1:8200

            data         bailiwick-data (made just now)
            credentials  bailiwick-data/credentials.json (for scripts)
            good for     trying it on this machine: plain HTTP, and the root key lies next to the data

            operator  bwo_operator
            acme      bwk_acme
            globex    bwk_globex

            Paste into another terminal:

              # acme, with the OpenBao client (for Vault's: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE and `vault`)
              export BAO_ADDR=http://127.0.0.1:8200 BAO_NAMESPACE=acme BAO_TOKEN=bwk_acme
              bao kv put secret/hello who=world
              bao kv get secret/hello

              # acme, with bailiwick
              export BAILIWICK_ADDRESS=http://127.0.0.1:8200 BAILIWICK_CREDENTIAL=bwk_acme
              target/release/bailiwick secret get secret/hello
              target/release/bailiwick ledger list

              # globex, with curl
              curl -H 'Authorization: Bearer bwk_globex' http://127.0.0.1:8200/api/v1/t/globex/whoami

              # the operator
              export BAILIWICK_ADDRESS=http://127.0.0.1:8200 BAILIWICK_CREDENTIAL=bwo_operator
              target/release/bailiwick tenant list

            Ctrl-C stops it. The next start finds everything as it was left.
        "#]]
        .assert_eq(&welcome.text().replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn the_program_is_called_as_it_can_be_found() {
        let call = |executable: &str| {
            program(Some(executable.into()), Some(Path::new("/src")), &["/usr/bin".into(), "/bin".into()])
        };
        assert_eq!(call("/usr/bin/bailiwick"), "bailiwick");
        assert_eq!(call("/src/target/release/bailiwick"), "target/release/bailiwick");
        assert_eq!(call("/src/bailiwick"), "/src/bailiwick");
        assert_eq!(call("/opt/bailiwick"), "/opt/bailiwick");
        assert_eq!(program(None, None, &[]), "bailiwick");
    }
}
