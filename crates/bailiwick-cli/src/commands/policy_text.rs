//! Policies and guardrails are the same kind of text; what they share is here.

use std::path::{Path, PathBuf};

use bailiwick_client::Call;
use bailiwick_types::PolicyName;
use bailiwick_types::api::policy::{CreatePolicy, Policy, PutPolicy};
use clap::Args;

use crate::fail::Fail;
use crate::input;
use crate::output::{Human, Noun as _, clean_lines, fields};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// A file with Cedar policies, or `-` for standard input
    file: PathBuf,
    /// Its name [default: the file's name without its ending]
    #[arg(long)]
    name: Option<PolicyName>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    description: String,
    /// Check it and show what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace it only if this is still its version
    #[arg(long, value_name = "VERSION")]
    if_match: Option<String>,
    /// Refuse if there is one of that name already
    #[arg(long, conflicts_with = "if_match")]
    new: bool,
}

impl PutArgs {
    /// Reads the text, sends it with one of the two calls, and shows what is stored now.
    pub(crate) fn run(
        &self,
        session: &mut Session,
        create: impl FnOnce(&CreatePolicy) -> Call<Policy>,
        replace: impl FnOnce(&PolicyName, &PutPolicy) -> Call<Policy>,
    ) -> Result<(), Fail> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.file)?,
        };
        let text = input::text_of(&self.file, &mut session.terminal)?;
        let (description, dry_run) = (self.description.clone(), self.dry_run);
        let call = if self.new {
            create(&CreatePolicy { name, description, text, dry_run })
        } else {
            replace(&name, &PutPolicy { description, text, dry_run })
        };
        let call = match &self.if_match {
            Some(version) => call.if_match(version),
            None => call,
        };
        session.show_with(&call, |policy, human| stored(&policy, dry_run, human))
    }
}

/// `policies/deploy.cedar` is `deploy`.
pub(crate) fn name_of(file: &Path) -> Result<PolicyName, Fail> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.parse().map_err(|error| {
        Fail::usage(format!("the file's name is no policy's name: {error}")).with_hint("give one with --name")
    })
}

/// After a change: what it is now, without repeating the text.
pub(crate) fn stored(policy: &Policy, is_dry_run: bool, human: Human) -> String {
    let mut lines = policy.fields(human);
    lines.retain(|(name, _)| *name != "text");
    if is_dry_run {
        lines.push(("dry run", "nothing was stored".to_owned()));
    }
    fields(&lines)
}

/// Only the text, for a file or an editor.
pub(crate) fn text(policy: &Policy) -> String {
    only(&policy.text)
}

/// The same of any text.
pub(crate) fn only(text: &str) -> String {
    let mut text = clean_lines(text);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_named_after_its_file() {
        assert_eq!(name_of(Path::new("a/b/deploy-prod.cedar")).unwrap().as_str(), "deploy-prod");
        for bad in ["-", "Deploy.cedar", "a b.cedar"] {
            assert!(name_of(Path::new(bad)).unwrap_err().text().contains("--name"), "{bad}");
        }
    }
}
