//! Every noun and verb, once, in an order that a person could type them in. The golden file reads as that session.

use super::house::{Dev, House, Ran};

/// A session and what it looked like.
struct Session {
    dev: Dev,
    text: String,
    /// What differs from run to run, and what stands for it.
    words: Vec<(String, String)>,
}

impl Session {
    fn new() -> Self {
        Self { dev: Dev::start(), text: String::new(), words: Vec::new() }
    }

    fn title(&mut self, title: &str) {
        self.text.push_str(&format!("\n# {title}\n"));
    }

    /// From here on a word is shown as another.
    fn know(&mut self, value: &str, shown: &str) {
        self.words.push((value.to_owned(), shown.to_owned()));
    }

    fn shown(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, shown) in &self.words {
            text = text.replace(value, shown);
        }
        plain(&text.replace(&self.dev.address, "ADDRESS"))
    }

    fn record(&mut self, ran: &Ran, stdin: &str) {
        let from =
            if stdin.is_empty() { String::new() } else { format!(" <<< {}", stdin.trim_end().replace('\n', "\\n")) };
        let shown = self.shown(&format!("{}{from}", ran.line));
        self.text.push_str(&format!("$ {shown}\n"));
        let mut out = self.shown(&ran.out);
        if ran.line.contains(" list") {
            // Lists go by ids, and those are random.
            let mut lines: Vec<&str> = out.split_inclusive('\n').collect();
            lines.get_mut(1..).unwrap_or_default().sort_unstable();
            out = lines.concat();
        }
        self.text.push_str(&out);
        if !out.is_empty() && !out.ends_with('\n') {
            self.text.push('\n');
        }
        let err = self.shown(&ran.err);
        for line in err.lines() {
            self.text.push_str(&format!("! {line}\n"));
        }
        if ran.code != 0 {
            self.text.push_str(&format!("exit code {}\n", ran.code));
        }
    }

    /// Runs a line in which `NAMES` stand for what they were captured as.
    fn run_with(&mut self, line: &str, stdin: &str) -> Ran {
        let mut words: Vec<String> = Vec::new();
        for word in line.split_whitespace() {
            let known = self.words.iter().find(|(_, shown)| shown == word);
            words.push(known.map_or(word, |(value, _)| value).to_owned());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.dev.house.run_with(&words, stdin.as_bytes());
        self.record(&ran, stdin);
        ran
    }

    #[track_caller]
    fn run(&mut self, line: &str) {
        self.run_with(line, "").ok();
    }

    #[track_caller]
    fn pipe(&mut self, line: &str, stdin: &str) {
        self.run_with(line, stdin).ok();
    }

    /// Runs a line that prints one word, and gives the word a name.
    #[track_caller]
    fn capture(&mut self, name: &str, line: &str) {
        let word = self.run_with(line, "").word();
        // It was recorded before it had a name.
        self.know(&word, name);
        self.text = self.text.replace(&format!("\n{}\n", plain(&word)), &format!("\n{name}\n"));
    }
}

/// Ids, credentials, times, hashes and counts that no two runs have in common, as words; columns as two spaces.
fn plain(text: &str) -> String {
    const MASKS: &[(&str, &str)] = &[
        (r"\b(bw[ko])_[0-9a-z]{60,}", "${1}_…"),
        (r"\bbws_[0-9A-Za-z_-]{60,}", "bws_…"),
        (r"\b[0-9a-f]{64}\b", "SHA256"),
        (r"cvc5 \d\S*", "cvc5 VERSION"),
        (r"\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{26}\b", "${1}_…"),
        (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\b\d+[smhd] ago\b|\bin \d+[smhd]\b", "SOON"),
        (r"\(now\)", "(SOON)"),
        (r"  now\b", "  SOON"),
        // Base64 may begin with what is no letter.
        (r"(^|[^0-9A-Za-z+/])[0-9A-Za-z+/]{43}=", "${1}HASH"),
        (r"(^|[^0-9A-Za-z+/])[0-9A-Za-z+/]{22}==", "${1}SALT"),
        (r"\+[0-9a-f]{8}\+[0-9A-Za-z+/]{44}", "+VKEY"),
        (r"\b127\.0\.0\.1:\d+", "ADDRESS"),
        (r"\b\d+\.\d [KM]iB\b", "SIZE"),
        (r"--cursor \S+", "--cursor CURSOR"),
        (r" +\n", "\n"),
        (r"(\S)  +", "$1  "),
    ];
    MASKS.iter().fold(text.to_owned(), |text, (pattern, shown)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *shown).into_owned()
    })
}

#[test]
fn a_session() {
    let mut s = Session::new();
    let (operator, acme) = (s.dev.operator.clone(), s.dev.acme.clone());
    s.know(&operator, "OPERATOR");
    s.know(&acme, "ACME");
    people(&mut s);
    accounts(&mut s);
    rules(&mut s);
    secrets(&mut s);
    evidence(&mut s);
    s.dev.act_as(&operator);
    platform(&mut s);
    expect_test::expect_file!["transcript.txt"].assert_eq(&s.text);
}

fn people(s: &mut Session) {
    s.title("who am I, and who else is there");
    s.run("status");
    s.run("whoami");
    s.run("whoami -q");
    s.capture("MEMBER", "member create Ada --role admin --email ada@acme.example -q");
    s.run("member list");
    s.run("member show MEMBER");
    s.run("member update MEMBER --role auditor");
    s.run("member disable MEMBER");
    s.run("member enable MEMBER");
    s.run("member credential issue MEMBER --expires 90d");
    s.capture("HERS", "member credential issue MEMBER -q");
    let list = s.run_with("member credential list MEMBER -q", "").ok().out;
    let first = list.lines().next().unwrap().to_owned();
    s.know(&first, "FIRST");
    s.run("member credential revoke MEMBER FIRST");
    s.capture("BOB", "member create Bob --role viewer -q");
    s.run("member delete BOB");
}

fn accounts(s: &mut Session) {
    s.title("machines and their keys");
    s.capture("ACCOUNT", "account create deployer --label env=prod --expires 30d --description deploys -q");
    s.run("account create helper --kind agent --owner MEMBER");
    s.run("account list --kind agent --owner MEMBER");
    s.run("account list --label env=prod");
    s.run("account show ACCOUNT");
    s.run("account update ACCOUNT --name deployer-2 --no-labels");
    s.run("account disable ACCOUNT");
    s.run("account enable ACCOUNT");
    s.capture("ITS", "key issue ACCOUNT --ttl 12h -q");
    let id = s.run_with("key list ACCOUNT -q", "").word();
    s.know(&id, "KEY");
    s.run("key show ACCOUNT KEY");
    s.run("key rotate ACCOUNT KEY --overlap 1h");
    s.run("key revoke ACCOUNT KEY");
    s.run("key list ACCOUNT");
}

const RULE: &str = "forbid(principal is Agent, action == Action::\"secret:destroy\", resource);\n";

fn rules(s: &mut Session) {
    s.title("who may do what");
    s.run("role list -q");
    s.run("role show secret-reader");
    s.capture("BINDING", "binding create ACCOUNT secret-reader --on folder/secret/app -q");
    s.run("binding list --principal ACCOUNT");
    s.run("binding show BINDING");
    s.run("binding delete BINDING");
    s.pipe("policy put - --name house-rules --dry-run", RULE);
    s.pipe("policy put - --name house-rules --new", RULE);
    s.pipe("policy put - --name house-rules --if-match 1", RULE);
    s.run_with("policy put - --name broken", "permit(principal, action, resource)\nwhen { principal.nme == 1 };\n")
        .fails(2);
    s.run("policy list");
    s.run("policy show house-rules");
    s.run("policy show house-rules --text");
    s.run("policy check secret:destroy secret/secret/app/db --principal ACCOUNT");
    s.run("policy check secret:reveal secret/secret/app/db -q");
    s.pipe(
        "policy check secret:reveal secret/secret/app/db --tag env=prod --source 10.0.0.1 --without house-rules --with new=-",
        "forbid(principal, action, resource) when { resource.hasTag(\"env\") };\n",
    );
    proofs(s);
    s.run("policy delete house-rules");
}

/// With the real cvc5, which must be installed: `apt-get install cvc5` or `cargo xtask setup`.
fn proofs(s: &mut Session) {
    s.run("prove");
    s.pipe(
        "policy diff --with house-rules=-",
        "forbid(principal is Agent, action == Action::\"secret:purge\", resource);\n",
    );
    s.pipe(
        "policy subset --with more=-",
        "forbid(principal is Agent, action == Action::\"secret:purge\", resource);\n",
    );
    s.run_with("policy subset --without house-rules", "").fails(6);
    s.pipe("invariant put - --name no-destroying --description why --new", RULE);
    s.run("invariant list");
    s.run("invariant show no-destroying --text");
    s.run("invariant check");
    s.run_with("policy delete house-rules", "").fails(6);
    s.run("policy show house-rules");
    s.run("invariant delete no-destroying");
}

#[test]
fn a_policy_is_edited_in_an_editor() {
    let mut dev = Dev::start();
    dev.house.run_with(&["policy", "put", "-", "--name", "house-rules"], RULE.as_bytes()).ok();
    dev.house.sh("policy edit house-rules").fails(2);
    dev.house.set("PATH", "/usr/bin:/bin");
    dev.house.set("EDITOR", "true");
    assert!(dev.house.sh("policy edit house-rules").ok().err.contains("nothing was changed"));
    dev.house.set("EDITOR", "sed -i s/destroy/purge/");
    dev.house.sh("policy edit house-rules").ok();
    assert!(dev.house.sh("policy show house-rules --text").ok().out.contains("secret:purge"));
    // What does not fit is not stored, and not lost.
    dev.house.set("VISUAL", "sed -i s/purge/prune/");
    let ran = dev.house.sh("policy edit house-rules").fails(2);
    let kept = ran.err.split("your text is kept in ").nth(1).unwrap().trim().split('\n').next().unwrap().to_owned();
    assert!(std::fs::read_to_string(&kept).unwrap().contains("secret:prune"));
    std::fs::remove_dir_all(std::path::Path::new(&kept).parent().unwrap()).unwrap();
    assert!(dev.house.sh("policy show house-rules --text").ok().out.contains("secret:purge"));
}

/// Every command is run by some test in this directory: those of the session, or those of the files besides.
#[test]
fn every_command_is_run() {
    let reference = House::new().sh("docs cli").ok().out;
    let headings: Vec<&str> = reference
        .lines()
        .filter_map(|line| line.trim_start_matches('#').trim().strip_prefix("`bailiwick ")?.strip_suffix('`'))
        .collect();
    let is_leaf = |heading: &&&str| !headings.iter().any(|other| other.starts_with(&format!("{heading} ")));
    let leaves: Vec<&str> = headings.iter().filter(is_leaf).copied().collect();
    assert!(leaves.len() > 90, "{leaves:?}");
    let sources = [
        include_str!("transcript.rs"),
        include_str!("answers.rs"),
        include_str!("bench.rs"),
        include_str!("bundle.rs"),
        include_str!("credentials.rs"),
        include_str!("database.rs"),
        include_str!("failures.rs"),
        include_str!("isolation.rs"),
        include_str!("ledger.rs"),
        include_str!("recovery.rs"),
        include_str!("serve.rs"),
        include_str!("house.rs"),
    ]
    .concat();
    // As one line, or word by word.
    let joined = sources.replace("\", \"", " ");
    let is_run = |leaf: &str| [&sources, &joined].iter().any(|text| text.contains(&format!("\"{leaf}")));
    let missing: Vec<_> = leaves.into_iter().filter(|leaf| !is_run(leaf)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "commands that no test runs");
}

fn secrets(s: &mut Session) {
    s.title("secrets");
    s.run("mount create team-a --max-versions 20 --delete-version-after 1d --description tried");
    s.run("mount list");
    s.run("mount show team-a");
    s.run("mount update team-a --cas-required true");
    s.run("secret put secret/app/db user=app password=hunter2 --cas 0");
    s.pipe("secret put secret/app/db user=app password=-", "correct horse");
    s.pipe("secret put secret/app/json --json -", "{\"n\": 1.50, \"o\": {\"p\": null}}");
    s.run("secret get secret/app/db");
    s.run("secret get secret/app/db --version 1 --field password");
    s.run("secret get secret/app/json -q");
    s.run("secret patch secret/app/db user=new --remove password");
    s.run("secret get secret/app/db");
    s.run("secret list secret");
    s.run("secret list secret/app/");
    s.run("secret delete secret/app/db");
    s.run_with("secret get secret/app/db", "").fails(5);
    s.run("secret undelete secret/app/db --versions 3");
    s.run("secret destroy secret/app/db --versions 1,2");
    s.run("secret metadata put secret/app/db --max-versions 10 --custom owner=team-a");
    s.run("secret metadata patch secret/app/db --custom env=staging --remove-custom owner");
    s.run("secret metadata get secret/app/db");
    s.run("secret metadata delete secret/app/db");
    s.run("capabilities secret/app/db");
    s.run("mount delete team-a");
    s.run("account delete ACCOUNT");
}

fn evidence(s: &mut Session) {
    s.title("evidence");
    s.run("ledger list --action mount: --oldest-first");
    s.run("ledger list --decision deny --since 24h");
    s.run("ledger list --resource secret/app/db --outcome absent --limit 1");
    s.run("ledger show 0");
    s.run("limits");
    s.run("keyring rotate records");
    s.run("keyring show -q");
    s.run("attest --file acme.attestation");
}

fn platform(s: &mut Session) {
    s.title("the platform");
    s.run("platform whoami");
    s.run("tenant create initech --name Initech --admin-email a@initech.example --admin-ttl 90d");
    s.run("tenant list");
    s.run("tenant update initech --name Initrode");
    s.run("tenant suspend initech --reason unpaid");
    s.run("tenant list --state suspended -q");
    s.run("tenant resume initech");
    s.run("tenant seal initech --reason stolen");
    s.run("tenant unseal initech");
    s.run("tenant quota set initech secrets=5000 accounts=7");
    s.run("tenant quota set initech accounts=default");
    s.run("tenant quota show initech");
    s.run("tenant delete initech --hold 7d");
    s.run("tenant show initech");
    s.capture("GRACE", "operator create Grace --role operator-viewer -q");
    s.run("operator list");
    s.run("operator update GRACE --role operator-admin");
    s.run("operator disable GRACE");
    s.run("operator enable GRACE");
    s.run("operator show GRACE");
    s.run("operator credential issue GRACE --expires 90d --network 10.0.0.0/8 --network 192.0.2.1/32");
    let id = s.run_with("operator credential list GRACE -q", "").word();
    s.know(&id, "GRACES");
    s.run("operator credential revoke GRACE GRACES");
    s.run("operator delete GRACE");
    let text = "forbid(principal, action == Action::\"key:issue\", resource);\n";
    s.pipe("guardrail put - --name no-keys --description why --new", text);
    s.run("guardrail list");
    s.run("guardrail show no-keys --text");
    s.pipe("platform invariant put - --name no-keys", text);
    s.run("platform invariant list");
    s.run("platform invariant show no-keys");
    s.run("platform invariant check");
    s.run_with("guardrail delete no-keys", "").fails(6);
    s.run("platform invariant delete no-keys");
    s.run("guardrail delete no-keys");
    s.run("platform ledger list --action guardrail:put");
    s.run("platform rotate-root-key --provider shamir --shares 2 --threshold 2 -q");
    s.run("platform seal --reason moving");
    s.run_with("status", "").fails(8);
    s.run_with("tenant list", "").fails(8);
}
