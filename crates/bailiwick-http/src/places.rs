//! Who has a connection: there are so many places, shared by where connections come from.
//!
//! A connection has a place, and in HTTP/2 each request beside the first one that is being answered has another. So there are no
//! more requests than places and connections together.
//!
//! # Deliberately absent
//! A smaller share of each source: behind a load balancer all connections have one source, and may have all places.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bailiwick_types::Source;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::reply::Body;
use crate::shares::{Held, InUse, Rules, Shares};

/// The places of one listener.
pub(crate) type Places = Shares<Source>;
/// A connection's place.
pub(crate) type Place = Held<Source>;

/// So many places.
pub(crate) fn places(max: usize) -> Arc<Places> {
    let max = u64::try_from(max).unwrap_or(u64::MAX);
    Shares::new(Rules { max, share: max, prefers_new: true })
}

/// A request that is being answered on a connection.
pub(crate) struct Answering {
    _used: InUse,
    _beside: Option<Place>,
}

impl Answering {
    /// `None` if others are being answered on the connection, and there is no place for one more.
    pub(crate) fn on(place: &Place) -> Option<Self> {
        let used = place.used();
        let beside = if used.is_only() { None } else { Some(place.beside(1)?) };
        Some(Self { _used: used, _beside: beside })
    }
}

/// What goes out. It is being answered until this is dropped.
pub(crate) struct Answer {
    pub(crate) body: Body,
    pub(crate) _answering: Option<Answering>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http_body_util::BodyExt as _;

    use super::*;

    fn source(number: u8) -> Source {
        IpAddr::from([192, 0, 2, number]).into()
    }

    #[test]
    fn an_answer_is_under_way_until_its_body_is_dropped() {
        let places = places(1);
        let place = places.take(source(1), 1).unwrap();
        let answer = Answer { body: crate::reply::full("x"), _answering: Answering::on(&place) };
        assert!(places.take(source(1), 1).is_none());
        drop(answer);
        assert!(places.take(source(1), 1).is_some());
    }

    #[tokio::test]
    async fn an_answer_is_whole() {
        let answer = Answer { body: crate::reply::full("whole"), _answering: None };
        assert_eq!(http_body::Body::size_hint(&answer).exact(), Some(5));
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "whole");
    }

    #[test]
    fn each_request_beside_the_first_has_a_place_of_its_own() {
        let places = places(3);
        let place = places.take(source(1), 1).unwrap();
        let mut requests: Vec<_> = (0..4).map(|_| Answering::on(&place)).collect();
        assert_eq!(requests.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(places.held(), 3);
        requests.clear();
        assert_eq!(places.held(), 1);
    }
}
