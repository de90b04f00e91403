//! An export holds or it does not, and who reads it need not ask anybody.
//!
//! - `live`: exports of a server that is written to, in every form.
//! - `tamper`: what is said of an export that somebody has touched, in the library and on the command line.
//! - `proofs`: inclusion and consistency, fetched and checked one by one.
//!
//! Every single byte is changed in `bailiwick-verify`'s own tests; here are samples, of files that a server has made.

mod live;
mod proofs;
mod tamper;

use bailiwick_verify::VerifierKey;
use serde_json::json;

use crate::harness::Ask;
use crate::harness::export::{Lines, keys_of};
use crate::harness::house::{House, Tenant};

/// A tenant with something in its ledger.
struct Kept {
    tenant: Tenant,
    /// Its own key, then the installation's.
    keys: Vec<VerifierKey>,
}

impl Kept {
    /// Two of them, with the same things in them.
    async fn two(house: &House, entries: usize) -> [Self; 2] {
        let mut both = Vec::new();
        for slug in ["acme", "globex"] {
            let tenant = house.tenant_named(slug).await;
            for number in 0..entries {
                // Writes, reads, and reads of what is not there.
                if number % 3 == 0 {
                    house.write(&tenant, "app/db", "value").await;
                } else {
                    let path = if number % 3 == 1 { "app/db" } else { "app/nothing" };
                    house.ask(Ask::get(tenant.at(&format!("/secrets/secret/{path}"))).by(&tenant.owner)).await;
                }
            }
            let shown = house.ask(Ask::get(tenant.at("/keyring")).by(&tenant.owner)).await.ok();
            both.push(Self { tenant, keys: keys_of(&shown) });
        }
        both.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// The key that is nobody's but this tenant's.
    fn own_key(&self) -> &VerifierKey {
        &self.keys[0]
    }

    fn get(&self, path: &str) -> Ask {
        Ask::get(self.tenant.at(path)).by(&self.tenant.owner)
    }

    async fn export(&self, house: &House) -> Lines {
        Lines::of(&house.ask(self.get("/ledger/export")).await.ok().body)
    }

    /// One more entry.
    async fn grow(&self, house: &House) {
        let ask = Ask::post(self.tenant.at("/policies:check")).by(&self.tenant.owner);
        house.ask(ask.json(json!({ "action": "secret:reveal", "resource": "secret/secret/app" }))).await.ok();
    }
}
