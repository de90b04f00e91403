//! Answers that are made piece by piece, and requests that are taken in piece by piece.
//!
//! What goes wrong in an answer breaks the connection: a reader must not take a part for the whole.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bailiwick_app::recovery::BundleStream;
use bailiwick_app::{AppError, Export};
use bailiwick_types::Code;
use bytes::{Buf as _, Bytes};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::bodies::RequestBody;
use crate::reply::Reply;

/// Something that is handed out piece by piece.
pub(crate) trait Source: Send + 'static {
    /// The next piece; `None` at the end.
    fn next_piece(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, AppError>> + Send;
}

impl Source for Export {
    async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        Export::next_piece(self).await
    }
}

impl Source for BundleStream {
    async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        BundleStream::next_piece(self).await
    }
}

/// An answer that is made while it is sent.
pub(crate) fn reply(content_type: &'static str, source: impl Source) -> Reply {
    let pieces = Pieces { next: Some(Box::pin(step(source))) };
    Reply::of(content_type, StreamBody::new(pieces).boxed_unsync())
}

struct Pieces<S> {
    next: Option<Pin<Box<dyn Future<Output = Step<S>> + Send>>>,
}

/// A source and its next piece.
type Step<S> = (S, Result<Option<Vec<u8>>, AppError>);

async fn step<S: Source>(mut source: S) -> Step<S> {
    let piece = source.next_piece().await;
    (source, piece)
}

impl<S: Source> futures_core::Stream for Pieces<S> {
    type Item = Result<Frame<Bytes>, std::io::Error>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        match next.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((_, Ok(None))) => {
                self.next = None;
                Poll::Ready(None)
            }
            Poll::Ready((source, Ok(Some(piece)))) => {
                self.next = Some(Box::pin(step(source)));
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Poll::Ready((_, Err(error))) => {
                self.next = None;
                tracing::warn!(%error, "an export was broken off");
                Poll::Ready(Some(Err(std::io::Error::other("the export was broken off"))))
            }
        }
    }
}

/// A body that is still to come.
pub(crate) type Upload = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// How long the client may take for each piece of an upload.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes a body into one that a handler can keep.
pub(crate) fn upload(body: impl RequestBody) -> Upload {
    body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        .map_err(Into::into)
        .boxed_unsync()
}

/// Puts a body into a file without a name, which is gone with the process.
pub(crate) async fn spool(mut body: Upload, directory: Option<&Path>, bytes_max: u64) -> Result<File, AppError> {
    let mut file = match directory {
        Some(directory) => tempfile::tempfile_in(directory),
        None => tempfile::tempfile(),
    }
    .map_err(AppError::internal)?;
    let mut bytes = 0u64;
    loop {
        let frame = match tokio::time::timeout(PIECE_TIMEOUT, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(AppError::invalid("the body was cut off")),
            Err(_) => return Err(AppError::invalid("the body took too long")),
        };
        let Ok(piece) = frame.into_data() else { continue };
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if bytes > bytes_max {
            return Err(AppError::with_detail(Code::BodyTooLarge, format!("at most {bytes_max} bytes")));
        }
        // Where no other request waits for the disk.
        let written = tokio::task::spawn_blocking(move || file.write_all(&piece).map(|()| file));
        file = written.await.map_err(AppError::internal)?.map_err(|error| {
            tracing::warn!(%error, "an upload could not be kept");
            AppError::new(Code::StorageUnavailable)
        })?;
    }
    file.seek(SeekFrom::Start(0)).map_err(AppError::internal)?;
    Ok(file)
}
