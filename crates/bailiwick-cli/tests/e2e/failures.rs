//! Exit codes by class of error, and what is said on standard error: a sentence for people, a problem for machines.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::house::{Dev, House, Ran};

/// Runs a line in both forms; they must agree.
#[track_caller]
fn refused(house: &House, line: &str, code: i32, problem: &str) {
    let people = house.sh(line).fails(code);
    assert!(people.err.starts_with("error: "), "{line}: {}", people.err);
    assert_eq!(people.out, "", "{line}");
    let machines = house.sh(&format!("{line} -o json")).fails(code);
    assert_eq!((machines.problem().as_str(), machines.out.as_str()), (problem, ""), "{line}");
}

#[test]
fn each_class_has_its_exit_code() {
    let mut dev = Dev::start();
    let h = &dev.house;
    // 2: the command line, or the request.
    for line in [
        "nonsense",
        "secret get",
        "member list --limit 0",
        "whoami --output yaml",
        "secret put secret/a",
        "secret put secret/a//b x=1",
        "secret get secret/a/../b",
    ] {
        assert_eq!(h.sh(line).code, 2, "{line}");
    }
    refused(h, "binding create mem_0123456789abcdefghjkmnpqrg viewer", 2, "invalid_reference");
    refused(h, "ledger list --cursor nonsense", 2, "invalid_cursor");
    // 5: absent.
    refused(h, "account show acc_0123456789abcdefghjkmnpqrg", 5, "not_found");
    refused(h, "account show nonsense", 5, "not_found");
    refused(h, "secret get nothing/a", 5, "mount_not_found");
    refused(h, "secret get secret/nothing", 5, "not_found");
    refused(h, "whoami --tenant globex", 5, "not_found");
    // 6: conflict.
    h.sh("secret put secret/a x=1").ok();
    refused(h, "secret put secret/a x=1 --cas 0", 6, "cas_conflict");
    refused(h, "mount create secret", 6, "already_exists");
    let owner = h.sh("whoami -q").word();
    refused(h, &format!("member disable {owner}"), 6, "still_in_use");
    // 4: denied.
    let account = h.sh("account create ci -q").word();
    let key = h.sh(&format!("key issue {account} -q")).word();
    dev.act_as(&key);
    refused(&dev.house, "secret get secret/a", 4, "permission_denied");
    refused(&dev.house, "member list", 4, "permission_denied");
    // 7: a limit.
    let (operator, acme) = (dev.operator.clone(), dev.acme.clone());
    dev.act_as(&operator);
    dev.house.sh("tenant quota set acme mounts=1").ok();
    dev.act_as(&acme);
    refused(&dev.house, "mount create kv", 7, "limit_exceeded");
    // 3: no valid credential.
    let wrong = format!("{}0", &acme[..acme.len() - 1]);
    let wrong = if wrong == acme { format!("{}1", &acme[..acme.len() - 1]) } else { wrong };
    dev.act_as(&wrong);
    assert_eq!(dev.house.sh("whoami").code, 3);
    dev.act_as("nonsense");
    assert_eq!(dev.house.sh("whoami").code, 3);
    dev.act_as(&operator);
    refused(&dev.house, "member list", 3, "credential");
    dev.act_as(&acme);
    refused(&dev.house, "tenant list", 4, "permission_denied");
    dev.house.unset("BAILIWICK_CREDENTIAL");
    refused(&dev.house, "whoami", 3, "credential");
    // 8: sealed.
    dev.act_as(&operator);
    dev.house.sh("tenant seal acme").ok();
    dev.act_as(&acme);
    refused(&dev.house, "whoami", 8, "tenant_sealed");
    // 4 again: suspended.
    dev.act_as(&operator);
    dev.house.sh("tenant unseal acme").ok();
    dev.house.sh("tenant suspend acme").ok();
    dev.act_as(&acme);
    refused(&dev.house, "whoami", 4, "tenant_suspended");
}

/// A server that answers everything with this.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4_096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn servers_that_are_gone_or_strange() {
    let mut house = House::new();
    let credential = "bwo_".to_owned() + &"0".repeat(84);
    let anybody = |house: &House| -> Ran { house.sh("status") };
    // 9: nobody there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    house.aim(&format!("http://{free}"), &credential);
    anybody(&house).fails(9);
    // 10: a fault, with the id to tell the operator.
    let fault = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/problem+json\r\nContent-Length: 144\r\n\
                 Connection: close\r\n\r\n{\"type\":\"urn:bailiwick:error:internal\",\"title\":\"internal error\",\"status\":500,\
                 \"code\":\"internal\",\"request_id\":\"req_0123456789abcdefghjkmnpqrg\"}  ";
    let length = fault.split_once("\r\n\r\n").unwrap().1.len();
    let fault: &'static str = Box::leak(fault.replace("144", &length.to_string()).into_boxed_str());
    house.aim(&answering(fault), &credential);
    let ran = anybody(&house).fails(10);
    assert!(ran.err.contains("req_0123456789abcdefghjkmnpqrg"), "{}", ran.err);
    // 10: something that is no Bailiwick.
    house.aim(&answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"), &credential);
    anybody(&house).fails(10);
}
