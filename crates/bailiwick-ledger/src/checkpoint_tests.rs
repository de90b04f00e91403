//! Checkpoints: the specification's own example, and every malformed shape.

use super::*;
use crate::testing::Signer;

const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_specifications_example_is_read_and_written_as_it_is() {
    let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_string(), EXAMPLE);
}

#[test]
fn a_signed_checkpoint_is_opened() {
    let signer = Signer::new("log", 1);
    let checkpoint = Checkpoint { origin: "log".to_owned(), size: 0, root: crate::empty_root() };
    let note = checkpoint.sign(&[&signer]).unwrap();
    assert_eq!(Checkpoint::open(&note, &[signer.key()]).unwrap().0, checkpoint);
    let stranger = Signer::new("log", 2).key();
    assert_eq!(Checkpoint::open(&note, &[stranger]), Err(CheckpointError::Note(NoteError::NoKnownKey)));
    let unnamed = Checkpoint { origin: "two words".to_owned(), ..checkpoint };
    assert_eq!(unnamed.sign(&[&signer]), Err(CheckpointError::Origin));
    let other = note::sign("not a checkpoint\n", &[&signer]).unwrap();
    assert_eq!(Checkpoint::open(&other, &[signer.key()]), Err(CheckpointError::Lines));
}

#[test]
fn malformed_checkpoints_are_refused() {
    use CheckpointError::{Lines, Origin, Root, Size};
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for (text, error) in [
        (String::new(), Lines),
        (EXAMPLE.trim_end().to_owned(), Lines),
        (format!("{EXAMPLE}extension\n"), Lines),
        (format!("{EXAMPLE}\n"), Lines),
        (format!("log\n1{root}\n"), Lines),
        (format!("\n1\n{root}\n"), Origin),
        (format!("a b\n1\n{root}\n"), Origin),
        (format!("a+b\n1\n{root}\n"), Origin),
        (format!("log\n\n{root}\n"), Size),
        (format!("log\n01\n{root}\n"), Size),
        (format!("log\n+1\n{root}\n"), Size),
        (format!("log\n-1\n{root}\n"), Size),
        (format!("log\n1 \n{root}\n"), Size),
        (format!("log\n0x1\n{root}\n"), Size),
        (format!("log\n18446744073709551616\n{root}\n"), Size),
        (format!("log\n1\n{}\n", root.split_at(43).0), Root),
        (format!("log\n1\n{}J=\n", root.split_at(42).0), Root), // trailing bits
        (format!("log\n1\n{}\n", "A".repeat(44)), Root),
        (format!("log\n1\n{root}\r\n"), Root),
        ("log\n1\n\n".to_owned(), Root),
    ] {
        assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
    }
}
