//! Where the credential comes from, and where it does not go.

use super::house::{Dev, House, is_private};

#[test]
fn from_the_environment_a_file_or_a_profile() {
    let mut dev = Dev::start();
    let (acme, globex, operator) = (dev.acme.clone(), dev.globex.clone(), dev.operator.clone());
    let tenant = |house: &House, line: &str| house.sh(line).json()["tenant"]["slug"].as_str().unwrap().to_owned();
    assert_eq!(tenant(&dev.house, "whoami -o json"), "acme");
    // A file wins over the environment.
    dev.house.file("globex.credential", format!("{globex}\n"));
    assert_eq!(tenant(&dev.house, "--credential-file globex.credential whoami -o json"), "globex");
    assert_eq!(dev.house.run(&["--insecure-credential", &globex, "whoami", "-q"]).ok().err, "");
    dev.house.run(&["--insecure-credential", &globex, "--credential-file", "globex.credential", "whoami"]).fails(2);

    // `login` tries it and keeps it, privately, and under the address that it is for.
    dev.house.unset("BAILIWICK_CREDENTIAL");
    let said = dev.house.run_with(&["login"], acme.as_bytes()).ok();
    assert!(said.err.contains("kept as profile `acme`"), "{}", said.err);
    let file = dev.house.path(".config/bailiwick/profiles.toml");
    assert!(is_private(&file));
    dev.house.unset("BAILIWICK_ADDRESS");
    assert_eq!(tenant(&dev.house, "whoami -o json"), "acme");
    dev.house.run_with(&["profile", "add", "other", "--address", &dev.address], globex.as_bytes()).ok();
    assert_eq!(tenant(&dev.house, "--profile other whoami -o json"), "globex");
    assert_eq!(tenant(&dev.house, "whoami -o json"), "acme");
    dev.house.sh("profile use other").ok();
    assert_eq!(tenant(&dev.house, "whoami -o json"), "globex");
    let list = dev.house.sh("profile list").ok().out;
    assert!(list.contains("acme") && list.contains("other") && list.contains("default"), "{list}");
    for secret in [&acme, &globex] {
        assert!(!list.contains(secret.as_str()));
    }
    // The environment wins over the default profile, and `--profile` over the environment.
    dev.house.aim(&dev.address.clone(), &acme);
    assert_eq!(tenant(&dev.house, "whoami -o json"), "acme");
    assert_eq!(tenant(&dev.house, "--profile other whoami -o json"), "globex");
    dev.house.unset("BAILIWICK_CREDENTIAL");
    // Nobody can send it elsewhere by setting an address.
    dev.house.set("BAILIWICK_ADDRESS", "http://127.0.0.1:1");
    dev.house.sh("whoami").fails(2);
    dev.house.unset("BAILIWICK_ADDRESS");
    dev.house.sh("profile remove other").ok();
    dev.house.sh("whoami").fails(3);
    dev.house.sh("--profile other whoami").fails(2);

    // An operator is asked about as one, and kept as one.
    let address = dev.address.clone();
    let said = dev.house.run_with(&["login", "--address", &address], operator.as_bytes()).ok();
    assert!(said.err.contains("kept as profile `operator`"), "{}", said.err);
    dev.house.sh("tenant list").ok();
    // A file that others can read is not used.
    std::process::Command::new("chmod").arg("644").arg(&file).status().unwrap();
    dev.house.sh("tenant list").fails(2);
}

#[test]
fn no_message_shows_it() {
    let mut dev = Dev::start();
    let acme = dev.acme.clone();
    let other = if &acme[50..51] == "x" { "y" } else { "x" };
    let half = format!("{}{other}{}", &acme[..50], &acme[51..]);
    let mut said = String::new();
    for credential in [half.as_str(), &acme[..80], &acme.to_uppercase()] {
        dev.act_as(credential);
        for line in ["whoami", "whoami -o json", "secret get secret/a", "tenant list"] {
            let ran = dev.house.sh(line);
            assert_ne!(ran.code, 0, "{line}");
            said.push_str(&ran.out);
            said.push_str(&ran.err);
        }
        let ran = dev.house.run(&["--insecure-credential", credential, "whoami"]).fails(3);
        said.push_str(&ran.err);
        let ran = dev.house.run_with(&["login"], credential.as_bytes()).fails(3);
        said.push_str(&ran.err);
    }
    for part in [&acme[10..40], &acme[60..79], &acme.to_uppercase()[10..40]] {
        assert!(!said.contains(part), "{said}");
    }
}

#[test]
fn the_tenant_may_only_be_restated() {
    let dev = Dev::start();
    let id = dev.house.sh("whoami -o json").json()["tenant"]["id"].as_str().unwrap().to_owned();
    for tenant in ["acme", &id] {
        dev.house.run(&["--tenant", tenant, "whoami"]).ok();
    }
    let answers: Vec<_> = ["globex", "nobody", "ACME", "ten_0123456789abcdefghjkmnpqrg"]
        .map(|tenant| dev.house.run(&["--tenant", tenant, "whoami"]).fails(5).err)
        .into_iter()
        .map(|text| text.lines().filter(|line| !line.starts_with("request")).collect::<Vec<_>>().join("\n"))
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}
