//! More connections than a server has: whoever opens few is served.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::house::House;

/// Much less than a connection may stay open on which nothing is asked.
const SOON: Duration = Duration::from_secs(20);

async fn connect(from: &str, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

/// Opens so many, says half a word on each, and leaves them open.
async fn open_many(port: u16, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let mut stream = connect("127.0.0.1", port).await;
        let _ = stream.write_all(b"GET /hea").await;
        all.push(stream);
    }
    all
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let read = tokio::time::timeout(SOON, stream.read_buf(&mut answer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the connection has ended");
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        if body.len() >= length {
            return text.into_owned();
        }
    }
}

/// How many the server ends, once it has ended as many as are expected.
async fn ended(mut all: Vec<TcpStream>, expected: usize) -> usize {
    let (count, until) = (all.len(), tokio::time::Instant::now() + SOON);
    loop {
        let is_enough = count - all.len() >= expected;
        let mut open = Vec::new();
        for mut stream in all {
            let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
            if !matches!(read, Ok(Ok(0) | Err(_))) {
                open.push(stream);
            }
        }
        all = open;
        if is_enough || tokio::time::Instant::now() > until {
            return count - all.len();
        }
    }
}

fn port_in(line: &str) -> u16 {
    line.split("127.0.0.1:")
        .nth(1)
        .unwrap()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn who_opens_many_connections_keeps_nobody_out() {
    let house = House::new();
    let config = "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[node]\nconnections_max = 16\n[operations]\nlisten = \"127.0.0.1:0\"\n";
    house.file("bailiwick.toml", config);
    let server = house.start(&["serve", "--config", "bailiwick.toml"]);
    let operations = port_in(&server.err.wait_for("health and metrics"));
    let port = port_in(&server.err.wait_for("listening"));
    in_time(async {
        let mut few = connect("127.0.0.2", port).await;
        assert!(ask(&mut few, "/healthz").await.starts_with("HTTP/1.1 200"));
        let many = open_many(port, 64).await;
        let mut more = connect("127.0.0.2", port).await;
        for stream in [&mut few, &mut more] {
            assert!(ask(stream, "/healthz").await.starts_with("HTTP/1.1 200"));
        }
        let metrics = ask(&mut connect("127.0.0.1", operations).await, "/metrics").await;
        for line in
            ["connections 16", "connections_max 16", "connections_given_up_total 50", "connections_refused_total 0"]
        {
            assert!(metrics.contains(&format!("\nbailiwick_{line}\n")), "{line}: {metrics}");
        }
        assert_eq!(ended(many, 50).await, 50, "of 16, two are somebody else's");
    });
    assert_eq!(server.terminate().0, 0);
}

#[test]
fn bodies_that_one_address_sends_slowly_fill_no_more_than_their_share() {
    const MIB: usize = 1 << 20;
    let house = House::new();
    house.file("bailiwick.toml", "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[node]\nbodies_mib = 64\n");
    let server = house.start(&["serve", "--config", "bailiwick.toml"]);
    let port = port_in(&server.err.wait_for("listening"));
    in_time(async {
        let head = "PUT /v1/sys/unseal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2097152\r\n\r\n";
        let mut slow = Vec::new();
        for _ in 0..32 {
            let mut stream = connect("127.0.0.1", port).await;
            // An answer may be there before all of it is sent.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&vec![b' '; MIB]).await;
            slow.push(stream);
        }
        let (mut refused, mut told) = (0, String::new());
        for stream in &mut slow {
            let mut answer = [0; 4_096];
            // What was still being sent to a connection that ends may cost the answer to it.
            let Ok(read) = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut answer)).await else {
                continue;
            };
            refused += 1;
            told.push_str(&String::from_utf8_lossy(&answer[..read.unwrap_or_default()]));
        }
        assert!((24..=28).contains(&refused), "an eighth of 64 MiB has room for eight: {refused} {told}");
        assert!(told.contains("HTTP/1.1 429") && told.contains("retry-after: 1"), "{told}");
        // Somebody else sends as much, and is answered what is to be said of it.
        let mut other = connect("127.0.0.2", port).await;
        other.write_all(head.as_bytes()).await.unwrap();
        other.write_all(&vec![b' '; 2 * MIB]).await.unwrap();
        let mut answer = [0; 4_096];
        let length = tokio::time::timeout(SOON, other.read(&mut answer)).await.unwrap().unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer[..length]));
    });
    assert_eq!(server.terminate().0, 0);
}

/// A limit of open files leaves some for what is no connection.
#[test]
fn connections_do_not_take_all_files_that_may_be_open() {
    let house = House::new();
    let server =
        house.start_after("ulimit -n 400 && ulimit -S -n 100", &["dev", "--listen", "127.0.0.1:0", "--data", "data"]);
    let port = port_in(&server.out.wait_for("http://127.0.0.1:"));
    server.out.wait_for("Ctrl-C stops it");
    in_time(async {
        let many = open_many(port, 500).await;
        let mut few = connect("127.0.0.2", port).await;
        assert!(ask(&mut few, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert_eq!(ended(many, 301).await, 301, "a half of 400 have a place");
    });
    assert_eq!(server.terminate().0, 0);
}
