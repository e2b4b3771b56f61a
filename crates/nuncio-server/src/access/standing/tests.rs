use std::convert::Infallible;
use std::time::Duration;

use futures::stream::once;
use http_body_util::BodyExt as _;
use nuncio_core::caller::limits::CallerLimits;
use nuncio_core::job::CallerId;
use tokio::time::timeout;

use super::*;
use crate::access::usage::Usage;

const ONE: CallerLimits = CallerLimits { calls_per_second: None, calls_at_once: Some(1) };

/// A body that has told one thing and stays open.
fn open_body() -> Body {
    let told = once(async { Ok::<_, Infallible>("told") });
    Body::from_stream(told.chain(futures::stream::pending()))
}

fn caller() -> CallerId {
    CallerId("portal".to_owned())
}

#[tokio::test]
async fn a_stream_ends_with_the_reason_when_its_caller_loses_the_right() {
    let usage = Usage::new();
    let ticket = usage.enter(&caller(), ONE).unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut body = until(open_body(), Box::pin(async { told.await.unwrap() }), ticket);
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "told");
    assert!(usage.enter(&caller(), ONE).is_err(), "the stream is under way");

    tell.send(Status::unauthenticated("no caller has this token")).unwrap();

    let last = timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap().unwrap();
    let trailers = last.into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "16");
    assert!(body.frame().await.is_none());
    drop(body);
    assert!(usage.enter(&caller(), ONE).is_ok());
}

#[tokio::test]
async fn an_answer_whose_caller_stays_is_as_it_was() {
    let usage = Usage::new();
    let ticket = usage.enter(&caller(), ONE).unwrap();
    let body = until(Body::from("all of it"), Box::pin(pending()), ticket);

    let whole = body.collect().await.unwrap().to_bytes();

    assert_eq!(whole, "all of it");
    assert!(usage.enter(&caller(), ONE).is_ok());
}
