//! How many entries per second the verifier checks, in one thread and in one per core, and what hashing alone would allow:
//! an export of as many entries as the argument says (default 1,000,000) is made in memory and verified. After `stream` it
//! is verified while it is written, so that it can be of any size, and the most memory that this took is told. Run it with
//! `--release`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that measures")]

use std::hint::black_box;
use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;
use std::time::Instant;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1};
use bailiwick_ledger::export::{EntryLine, ExportHeader, ExportWriter};
use bailiwick_ledger::note::{NoteSigner, VerifierKey};
use bailiwick_ledger::{Checkpoint, CompactRange, Hash, leaf_hash, node_hash, sha256};
use bailiwick_types::{TenantId, Timestamp};
use bailiwick_verify::{Options, verify_export};
use data_encoding::BASE64;

struct Signer(Ed25519KeyPair);

impl NoteSigner for Signer {
    fn name(&self) -> &str {
        "bailiwick.example/throughput"
    }
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

/// An entry as reading a secret makes it.
fn entry(index: u64) -> Entry {
    let digits = format!("{index:016}");
    Entry {
        v: V1,
        tenant: TenantId::from_bytes([7; 16]).to_string(),
        time: Timestamp::from_unix_ms(1_769_860_800_000 + i64::try_from(index).unwrap()),
        request: format!("req_0w3ge1r70w{digits}"),
        actor: Actor {
            kind: ActorKind::Service,
            id: Some("acc_0w3ge1r70w3ge1r70w3ge1r70w".to_owned()),
            credential: Some("key_0w3ge1r70w3ge1r70w3ge1r70w".to_owned()),
            operator: None,
        },
        source: Some("192.0.2.17".to_owned()),
        door: "vault".into(),
        action: "secret:reveal".into(),
        resource: EntryResource { kind: "Secret".into(), id: "kv/payments/stripe/api".to_owned(), version: Some(3) },
        decision: Decision::Allow,
        policies: vec!["role/secret-reader".to_owned()],
        outcome: "ok".into(),
        code: None,
        detail: [].into(),
        salt: BASE64.encode(digits.as_bytes()),
    }
}

/// An export that is written while it is read: always the same entry, so that writing is not what takes the time.
struct Stream {
    writer: Option<ExportWriter>,
    tree: CompactRange,
    entries: u64,
    leaf: Hash,
    bytes: Vec<u8>,
    piece: Vec<u8>,
    at: usize,
}

impl Stream {
    fn of(entries: u64) -> Self {
        let (writer, piece) = ExportWriter::new(header(entries));
        let bytes = entry(0).canonical();
        Self { writer: Some(writer), tree: CompactRange::new(), entries, leaf: leaf_hash(&bytes), bytes, piece, at: 0 }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let (index, leaf) = (self.tree.size(), self.leaf);
        if index < self.entries {
            self.tree.append(leaf, |_, _, _| {});
            return self.writer.as_mut().map(|writer| writer.entry(index, &leaf, Some(&self.bytes)).unwrap());
        }
        self.writer.take().map(|writer| end(writer, &self.tree))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.piece = self.next().unwrap_or_default();
            self.at = 0;
        }
        let read = self.piece.get(self.at..).unwrap_or_default().read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

fn signer() -> Signer {
    Signer(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
}

fn header(size: u64) -> ExportHeader {
    ExportHeader {
        origin: signer().name().to_owned(),
        tenant: entry(0).tenant,
        slug: "throughput".to_owned(),
        size,
        exported_at: Timestamp::from_unix_ms(0),
        keys: vec![VerifierKey::of(&signer()).unwrap()],
    }
}

fn end(writer: ExportWriter, tree: &CompactRange) -> Vec<u8> {
    let checkpoint = Checkpoint { origin: signer().name().to_owned(), size: tree.size(), root: tree.root() };
    writer.finish(&checkpoint.sign(&[&signer()]).unwrap(), &[&signer()]).unwrap()
}

fn in_memory(entries: u64) -> Vec<u8> {
    let mut tree = CompactRange::new();
    let (mut writer, mut file) = ExportWriter::new(header(entries));
    for index in 0..entries {
        let bytes = entry(index).canonical();
        let leaf = leaf_hash(&bytes);
        tree.append(leaf, |_, _, _| {});
        file.extend(writer.entry(index, &leaf, Some(&bytes)).unwrap());
    }
    file.extend(end(writer, &tree));
    file
}

/// CPU seconds of this process, all its threads together. Linux counts them in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |at| stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(at)?.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// The most memory that this process ever had resident.
fn memory_peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("unknown").trim().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn measure(what: &str, entries: u64, bytes: usize, work: impl FnOnce()) {
    let (start, before) = (Instant::now(), cpu_seconds());
    work();
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - before);
    let (count, megabytes) = (entries as f64, bytes as f64 / 1e6);
    let (rate, per_core) = (count / seconds, count / cpu);
    println!(
        "{what:<32} {seconds:>7.2} s  {rate:>9.0} entries/s  {:>6.0} MB/s  {per_core:>9.0} entries per CPU second",
        megabytes / seconds
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_stream = arguments.next_if(|argument| argument == "stream").is_some();
    let entries: u64 = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    if is_stream {
        let line = EntryLine { index: entries, leaf: [0; 32], entry: Some(&entry(0).canonical()) };
        let mut text = Vec::new();
        line.write(&mut text);
        let bytes = text.len() * usize::try_from(entries).unwrap();
        measure("streamed, writing included", entries, bytes, || {
            verify_export(BufReader::with_capacity(1 << 20, Stream::of(entries)), &Options::default()).unwrap();
        });
        println!("about {} MB were read; at most {} of memory were resident", bytes / 1_000_000, memory_peak());
        return;
    }
    let file = in_memory(entries);
    println!("{entries} entries of {} bytes", file.len() / usize::try_from(entries).unwrap());
    let verify = |threads| {
        let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
        verify_export(&file[..], &options).unwrap();
    };
    // What has to be hashed: each entry for its leaf, a node of the tree for each, and what is around it for the
    // seal.
    measure("hashing alone", entries, file.len(), || {
        let bytes = entry(0).canonical();
        for _ in 0..entries {
            black_box(node_hash(&leaf_hash(&bytes), &[0; 32]));
        }
        let around = file.len() - bytes.len() * usize::try_from(entries).unwrap();
        black_box(sha256(file.get(..around).unwrap()));
    });
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for threads in [1, cores] {
        measure(&format!("verified, --threads {threads}"), entries, file.len(), || verify(threads));
    }
}
