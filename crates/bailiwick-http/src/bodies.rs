//! Receiving bodies: how large one may be, how long it may take, and how much memory all of them fill.
//!
//! # Invariants
//! - INV-BODIES-1: bodies that are received, and those of requests that are not answered, fill no more memory than they may, nor
//!   those of one payer more than an eighth of it. Short ones are not counted: their requests take as much beside them, and there
//!   are no more of those than connections.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::{AppError, Payer};
use bailiwick_types::Code;
use bailiwick_types::limits::BODY_BYTES_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::BodyExt as _;

use crate::shares::{Held, InUse, Rules, Shares};

/// How long a client may take to send a body: as with heads, nobody holds a connection by sending nothing.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// A body as short as this is not counted.
const SHORT: usize = 8_192;

/// A request's body, as it comes in.
pub trait RequestBody: http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static {}

impl<B> RequestBody for B where
    B: http_body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static
{
}

/// What fills memory.
pub(crate) type Bodies = Shares<Payer>;

/// Room for bodies.
pub(crate) fn bodies(max: u64) -> Arc<Bodies> {
    Shares::new(Rules { max, share: max / 8, prefers_new: false })
}

/// A body.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<Room>,
}

/// That a body which is complete fills memory.
pub(crate) struct Room {
    _held: Held<Payer>,
    /// It cannot end any more for a body that is being received.
    _used: InUse,
}

/// Receives a body, `within` this time. `payer` is asked only if it is to be counted.
pub(crate) async fn receive(
    within: Duration,
    bodies: &Arc<Bodies>,
    payer: impl FnOnce() -> Payer,
    body: impl RequestBody,
) -> Result<Received, AppError> {
    if body.is_end_stream() {
        return Ok(Received::default());
    }
    let is_short = body.size_hint().upper().is_some_and(|most| usize::try_from(most).is_ok_and(|most| most <= SHORT));
    let room = if is_short { None } else { Some(bodies.take(payer(), to_u64(SHORT)).ok_or_else(full)?) };
    let ends = async {
        match &room {
            Some(room) => room.ends().await,
            None => std::future::pending().await,
        }
    };
    // Apart: most requests have no body.
    let bytes = Box::pin(async {
        tokio::select! {
            collected = tokio::time::timeout(within, collect(body, room.as_ref())) => {
                collected.map_err(|_| AppError::invalid("the body took too long"))?
            }
            () = ends => Err(full()),
        }
    })
    .await?;
    let room = room.map(|held| Room { _used: held.used(), _held: held });
    Ok(Received { bytes, room })
}

async fn collect(body: impl RequestBody, room: Option<&Held<Payer>>) -> Result<Bytes, AppError> {
    let mut bytes = BytesMut::new();
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| AppError::invalid("the body was cut off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len().saturating_add(data.remaining());
        if length > BODY_BYTES_MAX {
            return Err(AppError::with_detail(Code::BodyTooLarge, format!("at most {BODY_BYTES_MAX} bytes")));
        }
        let more = length.saturating_sub(bytes.len().max(SHORT));
        if more > 0 && !room.is_some_and(|room| room.grow(to_u64(more))) {
            return Err(full());
        }
        bytes.put(data);
    }
    Ok(bytes.freeze())
}

fn full() -> AppError {
    AppError::overloaded("bodies of requests fill as much memory as they may, or as those of one tenant or address may")
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const MIB: usize = 1 << 20;

    fn payer(number: u8) -> Payer {
        Payer::Source(Some(IpAddr::from([192, 0, 2, number]).into()))
    }

    async fn received(bodies: &Arc<Bodies>, number: u8, length: usize) -> Result<Received, AppError> {
        receive(TIMEOUT, bodies, || payer(number), Full::new(Bytes::from(vec![b'x'; length]))).await
    }

    /// One that brings this and goes on for ever.
    fn endless(length: usize) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + Send {
        let mut first = Some(Frame::data(Bytes::from(vec![b'x'; length])));
        StreamBody::new(Endless(std::iter::from_fn(move || first.take())))
    }

    struct Endless<I>(I);

    impl<I: Iterator<Item = Frame<Bytes>> + Unpin> futures_core::Stream for Endless<I> {
        type Item = Result<Frame<Bytes>, std::io::Error>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0.next().map_or(std::task::Poll::Pending, |frame| std::task::Poll::Ready(Some(Ok(frame))))
        }
    }

    #[tokio::test]
    async fn a_body_fills_memory_until_its_request_is_answered() {
        let bodies = bodies(to_u64(64 * MIB));
        let body = received(&bodies, 1, MIB).await.unwrap();
        assert_eq!((body.bytes.len(), bodies.held()), (MIB, to_u64(MIB)));
        drop(body);
        assert_eq!(bodies.held(), 0);
    }

    #[tokio::test]
    async fn a_short_body_is_not_counted_unless_nobody_says_that_it_is_short() {
        let bodies = bodies(to_u64(64 * MIB));
        let _short = received(&bodies, 1, SHORT).await.unwrap();
        assert_eq!(bodies.held(), 0);
        let _longer = received(&bodies, 1, SHORT + 1).await.unwrap();
        assert_eq!(bodies.held(), to_u64(SHORT + 1));
        let stream = StreamBody::new(Endless([Frame::data(Bytes::from("x"))].into_iter()));
        let _waits = tokio::time::timeout(Duration::ZERO, receive(TIMEOUT, &bodies, || payer(1), stream));
        assert_eq!(bodies.held(), to_u64(SHORT + 1), "nothing was received yet");
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_with_the_limit() {
        let bodies = bodies(to_u64(64 * MIB));
        let body = received(&bodies, 1, BODY_BYTES_MAX).await.unwrap();
        assert_eq!(body.bytes.len(), BODY_BYTES_MAX);
        let error = received(&bodies, 1, BODY_BYTES_MAX + 1).await.map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.detail()), (Code::BodyTooLarge, Some("at most 2097152 bytes")));
    }

    #[tokio::test]
    async fn a_body_that_takes_too_long_is_refused() {
        let bodies = bodies(to_u64(64 * MIB));
        let soon = Duration::from_millis(20);
        let error = receive(soon, &bodies, || payer(1), endless(MIB)).await.map(|_| ()).unwrap_err();
        assert_eq!(error.detail(), Some("the body took too long"));
        assert_eq!(bodies.held(), 0);
    }

    #[tokio::test]
    async fn nobody_fills_more_than_an_eighth() {
        let bodies = bodies(to_u64(32 * MIB));
        let mut kept = Vec::new();
        for _ in 0..4 {
            kept.push(received(&bodies, 1, MIB).await.unwrap());
        }
        let error = received(&bodies, 1, MIB).await.map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.retry_after_ms()), (Code::Overloaded, Some(1_000)));
        let _others = received(&bodies, 2, MIB).await.unwrap();
    }

    #[tokio::test]
    async fn who_sends_slowly_makes_room_for_who_has_less() {
        let bodies = bodies(to_u64(8 * MIB));
        let mut slow = Vec::new();
        for number in 0..8 {
            let bodies = Arc::clone(&bodies);
            slow.push(tokio::spawn(async move {
                receive(TIMEOUT, &bodies, || payer(number), endless(MIB)).await.map(|_| ())
            }));
        }
        while bodies.held() < to_u64(8 * MIB) {
            tokio::task::yield_now().await;
        }
        let _quick = received(&bodies, 9, MIB / 2).await.unwrap();
        let mut refused = 0;
        for slow in slow {
            match tokio::time::timeout(Duration::from_millis(50), slow).await {
                Ok(ended) => {
                    assert_eq!(ended.unwrap().unwrap_err().code(), Code::Overloaded);
                    refused += 1;
                }
                Err(_) => continue,
            }
        }
        assert_eq!((refused, bodies.given_up()), (1, 1));
    }
}
