//! Webhooks as Standard Webhooks describes them (<https://github.com/standard-webhooks/standard-webhooks>, version 1).

use std::sync::Mutex;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::http::request::Builder;
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Uri};
use nuncio_core::alarm::route::{Route, RouteFailure, RouteMessage};
use nuncio_core::secret::Sensitive;
use nuncio_http::exchange::{Exchange, HttpError, Trusts};
use nuncio_net::network::Tcp;
use nuncio_runtime::chain::Chain;
use nuncio_tls::diagnosis::Server;
use nuncio_tls::trust::Trust;
use serde_json::json;

use crate::sender::{Sender, failure};

/// Posts one message. Any 2xx means that the receiver has it; no redirect is followed.
pub(crate) async fn send(
    sender: &Sender,
    route: &Route,
    url: &str,
    secret: &Sensitive,
    message: &RouteMessage,
) -> Result<String, RouteFailure> {
    let uri: Uri =
        url.parse().map_err(|_malformed| failure("INVALID_URL", "the URL is malformed"))?;
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    // Of an IPv6 address, without its brackets.
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let trust = trust(&sender.trusts, secure, &route.ca_certificates_pem).await?;
    let now = sender.clock.now();
    let exchange = Exchange {
        network: &Tcp,
        trust: trust.as_ref(),
        server: Server { role: "the webhook", host: &host, port },
        proxy: None,
        timeout: route.timeout,
        now,
        seen: Mutex::default(),
    };
    let request = signed(Request::builder().uri(uri), secret, message, now.as_second());
    let request = request.map_err(|problem| failure("INVALID_URL", problem.to_string()))?;
    let answer = exchange.send(request).await;
    let seen = exchange.seen().unwrap_or_default();
    match answer {
        Ok(answer) if answer.status().is_success() => Ok(format!("{}", answer.status())),
        Ok(answer) => Err(RouteFailure {
            retry_after: seen.retry_after,
            not_understood: [400, 413, 415, 422].contains(&answer.status().as_u16()),
            ..failure("HTTP_STATUS", format!("the receiver answered {}", answer.status()))
        }),
        Err(fault) => Err(no_answer(&fault)),
    }
}

/// The request with its headers: id, time of this try, and signature of both with the body.
fn signed(
    request: Builder,
    secret: &Sensitive,
    message: &RouteMessage,
    seconds: i64,
) -> Result<Request<Vec<u8>>, hyper::http::Error> {
    let body = body(message);
    let signature = sign(secret, &message.id, seconds, &body);
    request
        .method(Method::POST)
        .header("content-type", "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", format!("v1,{signature}"))
        .body(body)
}

fn body(message: &RouteMessage) -> Vec<u8> {
    let body = json!({
        "type": message.kind.name(),
        "timestamp": message.at.to_string(),
        "data": {
            "severity": format!("{:?}", message.severity).to_lowercase(),
            "summary": message.summary,
            "fields": message.fields,
        },
    });
    body.to_string().into_bytes()
}

/// HMAC-SHA256 of `id.timestamp.body` in Base64.
fn sign(secret: &Sensitive, id: &str, seconds: i64, body: &[u8]) -> String {
    let key = secret.expose().trim_start_matches("whsec_");
    // One that is no Base64 was refused when it was saved.
    let key = BASE64_STANDARD.decode(key).unwrap_or_default();
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    BASE64_STANDARD.encode(context.sign())
}

/// Whom to trust, if there is TLS.
pub(crate) async fn trust(
    trusts: &Trusts,
    secure: bool,
    ca_certificates_pem: &str,
) -> Result<Option<Trust>, RouteFailure> {
    if !secure {
        return Ok(None);
    }
    trusts.trust(ca_certificates_pem).await.map(Some).map_err(|fault| no_answer(&fault))
}

fn no_answer(fault: &HttpError) -> RouteFailure {
    let code = match fault {
        HttpError::TimedOut => "TIMED_OUT",
        HttpError::NotResolved => "NOT_RESOLVED",
        HttpError::Proxy(_) => "PROXY",
        HttpError::Refused => "REFUSED",
        HttpError::Cut => "CUT",
        HttpError::Tls(problem) => {
            let message = format!("{}; {}", problem.cause, problem.remedy);
            return failure("TLS", message);
        }
        HttpError::TooLarge => "ANSWER_TOO_LARGE",
        HttpError::Trust(_) => "INVALID_CA_CERTIFICATES",
        HttpError::Other(_) => "FAILED",
    };
    failure(code, Chain(fault).to_string())
}

#[cfg(test)]
mod tests;
