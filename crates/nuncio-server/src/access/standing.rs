//! A call that is under way ends when its caller loses the right to it.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use futures::StreamExt as _;
use futures::future::pending;
use futures::stream::unfold;
use http_body::Frame;
use http_body_util::{BodyStream, StreamBody};
use nuncio_core::settings::document::SavedDocument;
use tokio::sync::watch;
use tonic::Status;

use super::usage::Ticket;
use super::{Access, table};
use crate::grpc::peer::Peer;

/// On what a call was admitted.
pub(super) struct Standing {
    pub(super) access: Arc<Access>,
    /// As the callers were then: marked changed with each save from then on.
    pub(super) document: watch::Receiver<Option<Arc<SavedDocument>>>,
    pub(super) need: table::Need,
    /// What of the headers says who calls.
    pub(super) headers: HeaderMap,
    pub(super) peer: Peer,
    pub(super) method: String,
}

/// Ends when the call must.
pub(super) type Lost = Pin<Box<dyn Future<Output = Status> + Send>>;

impl Standing {
    /// Waits until the caller may not make this call any more, and tells why.
    pub(super) fn lost(mut self) -> Lost {
        Box::pin(async move {
            loop {
                if self.document.changed().await.is_err() {
                    // The node stops.
                    return pending().await;
                }
                let admitted = self.access.admit(self.need, &self.headers, &self.peer.link);
                if let Err(denial) = admitted {
                    return self.access.deny(&denial, &self.method, &self.peer);
                }
            }
        })
    }
}

/// The body of an answer, which ends with the status of `lost` when that comes first.
pub(super) fn until(body: Body, lost: Lost, ticket: Ticket) -> Body {
    let under_way = (Some(BodyStream::new(body)), lost, ticket);
    let frames = unfold(under_way, |(body, mut lost, ticket)| async move {
        let mut frames = body?;
        tokio::select! {
            biased;
            status = &mut lost => {
                let mut trailers = HeaderMap::new();
                // What cannot be a header ends the stream all the same, without a status.
                status.add_header(&mut trailers).ok();
                Some((Ok(Frame::trailers(trailers)), (None, lost, ticket)))
            }
            frame = frames.next() => frame.map(|frame| (frame, (Some(frames), lost, ticket))),
        }
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests;
