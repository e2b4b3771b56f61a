//! The page behind the links of an approval.
//!
//! A GET decides nothing: mail systems look at links before people do. It shows who is to be approved, with a button;
//! the POST of the button decides. Neither cookies nor scripts are used; the link itself is the right to decide, so it
//! is never passed on (`Referrer-Policy`), kept (`Cache-Control`) or logged.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, RawForm, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nuncio_core::directory::guest::Guest;
use nuncio_core::portal::approval::{ApprovalState, DECISION_REASON_CHARS_MAX, Verdict};
use nuncio_directory::approvals as record;
use nuncio_runtime::chain::Chain;
use tokio::time::Instant;
use tracing::warn;

use super::act::{self, NotDone};
use super::link::Link;
use crate::portal::{Portal, keys};
use limiter::Limiter;
use texts::{Texts, language};

mod limiter;
mod markup;
mod texts;

/// The longest form: a reason in which each character takes four octets of three letters each.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// The page as a part of a node's HTTP.
#[derive(Clone)]
pub(crate) struct Page {
    portal: Portal,
    limiter: Arc<Mutex<Limiter>>,
}

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum View {
    Confirm {
        guest: Box<Guest>,
        verdict: Verdict,
    },
    Done(Verdict),
    /// Decided before, maybe by somebody else.
    Already(ApprovalState),
    Expired,
    Forged,
    GuestChanged,
    TooMany,
    Trouble,
}

/// Where the link of a person leads.
struct Found {
    link: Link,
    approver: String,
}

/// The routes of the page. They need the address of who connects.
pub(crate) fn routes(portal: Portal) -> Router {
    let page = Page { portal, limiter: Arc::default() };
    Router::new()
        .route("/approvals/{token}", get(show).post(decide))
        .fallback(async || View::Forged.response(Texts::of("en")))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(page)
}

async fn show(
    State(page): State<Page>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let view = match page.admit(peer.ip(), &token).await {
        Ok(found) => page.view(&found.link).await,
        Err(view) => view,
    };
    view.response(texts(&headers))
}

async fn decide(
    State(page): State<Page>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let view = match page.admit(peer.ip(), &token).await {
        Ok(found) => page.decided(&found, &reason(&form)).await,
        Err(view) => view,
    };
    view.response(texts(&headers))
}

impl Page {
    /// Reads the link, unless this address asks too often.
    async fn admit(&self, peer: IpAddr, token: &str) -> Result<Found, View> {
        let is_admitted = {
            let mut limiter = self.limiter.lock().expect("nobody panics while holding it");
            limiter.admit(peer, Instant::now())
        };
        if !is_admitted {
            return Err(View::TooMany);
        }
        let key =
            keys::key(&*self.portal.settings, self.portal.now()).await.map_err(|problem| {
                warn!("no portal key: {}", Chain(&problem));
                View::Trouble
            })?;
        let link = Link::read(token, &key).map_err(|_forged| View::Forged)?;
        if link.expires_at <= self.portal.now() {
            return Err(self.view(&link).await);
        }
        let found = record::find(self.portal.records(), link.approval).await;
        let found = found.map_err(|problem| {
            warn!("approval not read: {}", Chain(&problem));
            View::Trouble
        })?;
        let approval = found.ok_or(View::Expired)?.approval;
        let approver = approval.approvers.get(usize::from(link.approver)).ok_or(View::Forged)?;
        Ok(Found { link, approver: approver.to_string() })
    }

    /// How the approval of a link stands.
    async fn view(&self, link: &Link) -> View {
        let now = self.portal.now();
        let found = match record::find(self.portal.records(), link.approval).await {
            Ok(found) => found,
            Err(problem) => {
                warn!("approval not read: {}", Chain(&problem));
                return View::Trouble;
            }
        };
        // It is removed long after its end.
        let Some(stored) = found else { return View::Expired };
        match stored.approval.state_at(now) {
            ApprovalState::Pending if link.expires_at <= now => View::Expired,
            ApprovalState::Pending => {
                match self.portal.directory.get::<Guest>(&stored.approval.guest).await {
                    Ok(Some(entry)) => {
                        View::Confirm { guest: Box::new(entry.subject), verdict: link.verdict }
                    }
                    Ok(None) => View::GuestChanged,
                    Err(problem) => {
                        warn!("guest not read: {}", Chain(&problem));
                        View::Trouble
                    }
                }
            }
            ApprovalState::Expired => View::Expired,
            state
            @ (ApprovalState::Approved | ApprovalState::Denied | ApprovalState::Cancelled) => {
                View::Already(state)
            }
        }
    }

    async fn decided(&self, found: &Found, reason: &str) -> View {
        let Link { approval, verdict, .. } = found.link;
        let reason = if verdict == Verdict::Deny { reason } else { "" };
        match act::decide(&self.portal, approval, verdict, &found.approver, reason).await {
            Ok(_) => View::Done(verdict),
            Err(NotDone::NotPending(problem)) => match problem.state {
                ApprovalState::Expired => View::Expired,
                state @ (ApprovalState::Pending
                | ApprovalState::Approved
                | ApprovalState::Denied
                | ApprovalState::Cancelled) => View::Already(state),
            },
            Err(NotDone::NotFound(_)) => View::Expired,
            Err(NotDone::GuestGone(_) | NotDone::Guest(_)) => View::GuestChanged,
            Err(problem) => {
                problem.log();
                View::Trouble
            }
        }
    }
}

impl View {
    fn status(&self) -> StatusCode {
        match self {
            Self::Confirm { .. } | Self::Done(_) => StatusCode::OK,
            Self::Already(_) | Self::GuestChanged => StatusCode::CONFLICT,
            Self::Expired => StatusCode::GONE,
            Self::Forged => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Trouble => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn response(&self, texts: &'static Texts) -> Response {
        let style = markup::style_source();
        let policy = format!(
            "default-src 'none'; style-src '{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        let mut response = (self.status(), markup::page(self, texts)).into_response();
        let headers = response.headers_mut();
        let policy = HeaderValue::from_str(&policy).expect("it has visible characters only");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_LANGUAGE, texts.language),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::VARY, "Accept-Language"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if *self == Self::TooMany {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

fn texts(headers: &HeaderMap) -> &'static Texts {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Texts::of(language(wanted.unwrap_or_default()))
}

/// The reason of a form, on one line and no longer than it may be.
fn reason(form: &[u8]) -> String {
    let fields = form_urlencoded::parse(form);
    let given = fields.filter(|(name, _)| name == "reason").map(|(_, value)| value).next();
    let line = given.unwrap_or_default().replace(char::is_control, " ");
    line.trim().chars().take(DECISION_REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
