//! Members, accounts and their credentials.

use bailiwick_types::api::identity::{
    Account, CreateAccount, CreateMember, Credential, IssueCredential, IssuedKey, Member, RotateCredential,
    UpdateAccount, UpdateMember,
};
use bailiwick_types::api::{Done, Page};

use super::tenant::Tenant;
use crate::call::Call;
use crate::path::Path;

impl Tenant {
    fn member_at(&self, member: &str) -> Path {
        self.at("/members").segment(member)
    }

    fn account_at(&self, account: &str) -> Path {
        self.at("/accounts").segment(account)
    }

    fn key_at(&self, account: &str, key: &str) -> Path {
        self.account_at(account).then("/keys").segment(key)
    }

    /// All members.
    pub fn members(&self) -> Call<Page<Member>> {
        Call::get(self.at("/members"))
    }

    /// Adds a member.
    pub fn create_member(&self, body: &CreateMember) -> Call<Member> {
        Call::post(self.at("/members")).json(body)
    }

    /// One member.
    pub fn member(&self, member: &str) -> Call<Member> {
        Call::get(self.member_at(member))
    }

    /// Changes a member.
    pub fn update_member(&self, member: &str, body: &UpdateMember) -> Call<Member> {
        Call::patch(self.member_at(member)).json(body)
    }

    /// Deletes a member and its credentials.
    pub fn delete_member(&self, member: &str) -> Call<Done> {
        Call::delete(self.member_at(member))
    }

    /// A member's credentials.
    pub fn member_credentials(&self, member: &str) -> Call<Page<Credential>> {
        Call::get(self.member_at(member).then("/credentials"))
    }

    /// Issues a credential to a member.
    pub fn issue_member_credential(&self, member: &str, body: &IssueCredential) -> Call<IssuedKey> {
        Call::post(self.member_at(member).then("/credentials")).json(body)
    }

    /// Revokes a member's credential.
    pub fn revoke_member_credential(&self, member: &str, credential: &str) -> Call<Done> {
        Call::delete(self.member_at(member).then("/credentials").segment(credential))
    }

    /// All accounts. Filters: `kind`, `owner`, `label` as `name=value`.
    pub fn accounts(&self) -> Call<Page<Account>> {
        Call::get(self.at("/accounts"))
    }

    /// Creates an account.
    pub fn create_account(&self, body: &CreateAccount) -> Call<Account> {
        Call::post(self.at("/accounts")).json(body)
    }

    /// One account.
    pub fn account(&self, account: &str) -> Call<Account> {
        Call::get(self.account_at(account))
    }

    /// Changes an account.
    pub fn update_account(&self, account: &str, body: &UpdateAccount) -> Call<Account> {
        Call::patch(self.account_at(account)).json(body)
    }

    /// Deletes an account, its keys and its bindings.
    pub fn delete_account(&self, account: &str) -> Call<Done> {
        Call::delete(self.account_at(account))
    }

    /// An account's keys.
    pub fn keys(&self, account: &str) -> Call<Page<Credential>> {
        Call::get(self.account_at(account).then("/keys"))
    }

    /// Issues a key to an account.
    pub fn issue_key(&self, account: &str, body: &IssueCredential) -> Call<IssuedKey> {
        Call::post(self.account_at(account).then("/keys")).json(body)
    }

    /// One key, without its secret.
    pub fn key(&self, account: &str, key: &str) -> Call<Credential> {
        Call::get(self.key_at(account, key))
    }

    /// Issues a successor to a key.
    pub fn rotate_key(&self, account: &str, key: &str, body: &RotateCredential) -> Call<IssuedKey> {
        Call::post(self.key_at(account, key).then("/rotate")).json(body)
    }

    /// Revokes a key.
    pub fn revoke_key(&self, account: &str, key: &str) -> Call<Done> {
        Call::delete(self.key_at(account, key))
    }
}
