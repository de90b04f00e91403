//! What a command runs in: the streams, the flags, the time, and the way to the server.

use std::cell::OnceCell;

use bailiwick_client::routes::{self, Tenant};
use bailiwick_client::{Call, Client, Options, Reply};
use bailiwick_types::api::identity::IssuedKey;
use bailiwick_types::api::{Done, Page};
use bailiwick_types::time::parse_duration;
use bailiwick_types::{CredentialText, Timestamp};

use crate::args::{Globals, Paging};
use crate::clock;
use crate::env::Environment;
use crate::fail::Fail;
use crate::output::{self, Human, Noun, OutputFormat};
use crate::target::{self, Target};
use crate::terminal::Terminal;

/// Everything that a command needs from outside.
pub(crate) struct Session {
    pub(crate) globals: Globals,
    pub(crate) env: Environment,
    pub(crate) terminal: Terminal,
    pub(crate) now: Timestamp,
    /// The client, once a command has asked for it, with the credential as what it says it is.
    connection: OnceCell<(Client, Option<CredentialText>)>,
}

impl Session {
    /// Of this process.
    pub(crate) fn of_this_process(globals: Globals) -> Self {
        Self::of_parts(globals, Environment::of_this_process(), Terminal::of_this_process(), clock::now())
    }

    pub(crate) fn of_parts(globals: Globals, env: Environment, terminal: Terminal, now: Timestamp) -> Self {
        Self { globals, env, terminal, now, connection: OnceCell::new() }
    }

    /// Whether machines read the output.
    pub(crate) fn is_json(&self) -> bool {
        self.globals.output == OutputFormat::Json
    }

    /// Whether only names and credentials are wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.globals.quiet
    }

    /// It is so much later than when the command began.
    pub(crate) fn has_waited(&mut self, span: std::time::Duration) {
        self.now = self.now.plus(span);
    }

    /// Times relative to now.
    pub(crate) fn human(&self) -> Human {
        Human { now: self.now }
    }

    fn connection(&self) -> Result<&(Client, Option<CredentialText>), Fail> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        let target = target::resolve(&self.globals, &self.env)?;
        let parsed = target.credential.as_ref().map(target::parse).transpose()?;
        let client = self.client_of(target)?;
        Ok(self.connection.get_or_init(|| (client, parsed)))
    }

    fn client_of(&self, target: Target) -> Result<Client, Fail> {
        let mut options = Options { ca_file: target.ca_file, ..Options::default() };
        options.allow_plain_http = self.globals.insecure_http;
        if let Some(text) = &self.globals.timeout {
            options.timeout =
                parse_duration(text).map_err(|error| Fail::usage(format!("--timeout `{text}`: {error}")))?;
        }
        Ok(Client::new(&target.address, target.credential, options)?)
    }

    /// The client, with a credential.
    pub(crate) fn client(&self) -> Result<&Client, Fail> {
        let (client, credential) = self.connection()?;
        match credential {
            Some(_) => Ok(client),
            None => Err(no_credential()),
        }
    }

    /// A client for the routes that take no credential: none is read, checked or sent.
    pub(crate) fn anonymous(&self) -> Result<Client, Fail> {
        let target = target::resolve(&self.globals, &self.env)?;
        self.client_of(Target { credential: None, ..target })
    }

    /// A client of this target, for `login`.
    pub(crate) fn client_as(&self, target: Target) -> Result<Client, Fail> {
        self.client_of(target)
    }

    /// The plane of the credential's tenant.
    pub(crate) fn tenant(&self) -> Result<Tenant, Fail> {
        if let Some(tenant) = &self.globals.tenant {
            // The server compares; that is where it counts.
            return Ok(routes::tenant(tenant));
        }
        match &self.connection()?.1 {
            Some(credential) if credential.is_operator() => {
                Err(Fail::credential("this command is for a tenant's principals, and the credential is an operator's")
                    .with_hint("use the credential of a member or an account of the tenant"))
            }
            Some(credential) => Ok(routes::tenant(&credential.claimed_tenant().to_string())),
            None => Err(no_credential()),
        }
    }

    /// The client, and the terminal to tell how far it is.
    pub(crate) fn terminal_and_client(&mut self) -> Result<(&mut Terminal, &Client), Fail> {
        self.client()?;
        match self.connection.get() {
            Some((client, _)) => Ok((&mut self.terminal, client)),
            None => Err(no_credential()),
        }
    }

    /// Whether the credential says that it is an operator's.
    pub(crate) fn is_operator(&self) -> Result<bool, Fail> {
        match &self.connection()?.1 {
            Some(credential) => Ok(credential.is_operator()),
            None => Err(no_credential()),
        }
    }

    /// The credential itself, as an operator's, for requests that no [`Client`] writes.
    pub(crate) fn operator_credential(&self) -> Result<bailiwick_types::Secret<String>, Fail> {
        match &self.connection()?.1 {
            Some(credential) if credential.is_operator() => Ok(credential.reveal()),
            Some(_) => Err(Fail::credential("this command is for operators, and the credential is a tenant's")
                .with_hint("use an operator's credential: only an operator may make and delete tenants")),
            None => Err(no_credential()),
        }
    }

    /// Sends a call.
    pub(crate) fn send<A>(&self, call: &Call<A>) -> Result<Reply<A>, Fail> {
        Ok(self.client()?.send(call)?)
    }

    /// Prints an answer of the API as it is.
    pub(crate) fn json(&mut self, text: &str) -> Result<(), Fail> {
        if self.terminal.is_out_terminal {
            let laid_out = output::pretty(text);
            return self.terminal.line(&laid_out);
        }
        self.terminal.line(text.trim_end())
    }

    /// Sends a call and prints its answer: as it is for machines, and as `view` makes it for people.
    pub(crate) fn show_with<A: serde::de::DeserializeOwned>(
        &mut self,
        call: &Call<A>,
        view: impl FnOnce(A, Human) -> String,
    ) -> Result<(), Fail> {
        let reply = self.send(call)?;
        self.print_with(&reply, view)
    }

    /// Prints an answer that is there already.
    pub(crate) fn print_with<A: serde::de::DeserializeOwned>(
        &mut self,
        reply: &Reply<A>,
        view: impl FnOnce(A, Human) -> String,
    ) -> Result<(), Fail> {
        if self.is_json() {
            return self.json(reply.text());
        }
        let text = view(reply.value()?, self.human());
        self.terminal.print(&text)
    }

    /// Sends a call and prints the thing that it answers with.
    pub(crate) fn show<N: Noun>(&mut self, call: &Call<N>) -> Result<(), Fail> {
        let is_quiet = self.is_quiet();
        self.show_with(
            call,
            |noun, human| {
                if is_quiet { format!("{}\n", noun.name()) } else { output::fields(&noun.fields(human)) }
            },
        )
    }

    /// Sends a call that answers with nothing, and says what was done.
    pub(crate) fn done(&mut self, call: &Call<Done>, sentence: &str) -> Result<(), Fail> {
        let reply = self.send(call)?;
        match (self.is_json(), self.is_quiet()) {
            (true, _) => self.json(reply.text()),
            (false, true) => Ok(()),
            (false, false) => self.terminal.line(&output::clean(sentence)),
        }
    }

    /// Sends a call that issues a credential, and hands the credential over, once.
    pub(crate) fn issued(&mut self, call: &Call<IssuedKey>) -> Result<(), Fail> {
        let reply = self.send(call)?;
        if self.is_json() {
            self.json(reply.text())?;
        } else {
            let issued = reply.value()?;
            if self.is_quiet() {
                return self.terminal.line(&issued.credential);
            }
            let mut fields = issued.key.fields(self.human());
            fields.push(("credential", issued.credential));
            self.terminal.print(&output::fields(&fields))?;
        }
        self.shown_once("the credential");
        Ok(())
    }

    /// Says that what was printed will not be printed again.
    pub(crate) fn shown_once(&mut self, what: &str) {
        if !self.is_quiet() {
            self.terminal.note(&format!("note: {what} is shown this once; store it now"));
        }
    }

    /// Sends the calls of a list and prints it.
    pub(crate) fn list<N: Noun>(&mut self, call: Call<Page<N>>, paging: &Paging) -> Result<(), Fail> {
        let is_quiet = self.is_quiet();
        self.list_with(call, paging, |items: Vec<N>, human| output::list(&items, is_quiet, human))
    }

    /// Sends the calls of a list and prints it as `view` makes it.
    pub(crate) fn list_with<T: serde::de::DeserializeOwned>(
        &mut self,
        call: Call<Page<T>>,
        paging: &Paging,
        view: impl FnOnce(Vec<T>, Human) -> String,
    ) -> Result<(), Fail> {
        let text = if paging.all {
            let client = self.client()?;
            let mut call = call;
            output::merged(|cursor| {
                call.set_page(PAGE_SIZE_MAX, cursor);
                Ok(client.send(&call)?.text().to_owned())
            })?
        } else {
            self.send(&call.page(paging.limit, paging.cursor.as_deref()))?.text().to_owned()
        };
        if self.is_json() {
            return self.json(&text);
        }
        let page: Page<T> = serde_json::from_str(&text).map_err(|_| not_a_page())?;
        let printed = view(page.items, self.human());
        self.terminal.print(&printed)?;
        if let Some(next) = page.next.filter(|_| !self.is_quiet()) {
            self.terminal.note(&format!("there are more: --all, or --cursor {}", output::clean(&next)));
        }
        Ok(())
    }

    /// Asks before something that cannot be undone, unless `--yes` was given.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<(), Fail> {
        let is_decided = self.globals.yes;
        self.terminal.confirm(&output::clean(question), is_decided)
    }
}

/// The largest page that the API gives.
pub(crate) const PAGE_SIZE_MAX: u64 = 1_000;

fn no_credential() -> Fail {
    Fail::credential("no credential was given")
        .with_hint("set BAILIWICK_CREDENTIAL, give --credential-file, or keep one with `bailiwick login`")
}

fn not_a_page() -> Fail {
    Fail::new(bailiwick_types::ErrorClass::Fault, "unexpected_answer", "the answer is not the list that was asked for")
}
