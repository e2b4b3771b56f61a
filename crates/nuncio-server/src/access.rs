//! Who calls, and whether the call is theirs to make. It is asked once for each call, before any service.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use nuncio_api::error::{exhausted, status};
use nuncio_core::caller::certificate_name::{CertificateName, Kind};
use nuncio_core::caller::known::{Callers, KnownCaller, TokenHash};
use nuncio_core::caller::limits::CallerLimits;
use nuncio_core::caller::{Caller, Permission};
use nuncio_core::job::CallerId;
use nuncio_core::settings::document::SavedDocument;
use nuncio_pan::callers::document;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Code, Status};
use tracing::{error, warn};

use crate::grpc::peer::{Link, Peer};
use crate::metrics::Metrics;

mod standing;
mod table;
mod told;
mod usage;

use standing::{Standing, until};
use told::Told;
use usage::{Exceeded, Usage};

/// Lets callers in.
pub(crate) struct Access {
    callers: StoredCallers,
    /// Names of clients with a certificate that may do everything, whatever the callers are.
    administrators: BTreeSet<String>,
    /// How this node proves to itself who it is.
    own: (TokenHash, CallerId),
    metrics: Arc<Metrics>,
    usage: Arc<Usage>,
    told: Told,
}

/// Who makes a call that is theirs to make.
#[derive(Debug)]
struct Admitted {
    caller: Caller,
    /// None for nodes, for administrators of the configuration and in the clear.
    limits: Option<CallerLimits>,
}

/// The callers as this node knows them now.
struct StoredCallers {
    document: watch::Receiver<Option<Arc<SavedDocument>>>,
    /// Those of a generation, so that not every call reads the document.
    read: Mutex<(i64, Arc<Callers>)>,
}

/// Why a call is not made.
#[derive(Debug)]
enum Denial {
    /// Nobody says who calls.
    NoCredentials,
    TokenUnknown,
    /// A certificate of the right authority that names nobody.
    CertificateUnknown(String),
    /// A client that nobody has made a caller.
    CallerUnknown(CallerId),
    PermissionMissing(CallerId, Permission),
    Exceeded(CallerId, Exceeded),
}

impl Access {
    pub(crate) fn new(
        document: watch::Receiver<Option<Arc<SavedDocument>>>,
        administrators: BTreeSet<String>,
        (own_token, node): (&str, &str),
        metrics: Arc<Metrics>,
    ) -> Self {
        let callers = StoredCallers { document, read: Mutex::new((0, Arc::default())) };
        let own = (TokenHash::of(own_token), node_id(node));
        let (usage, told) = (Usage::new(), Told::default());
        Self { callers, administrators, own, metrics, usage, told }
    }

    /// Whether anybody can change anything on a node that asks who calls.
    pub(crate) fn has_administrator(&self) -> bool {
        let callers = self.callers.get();
        let may = |permissions: &BTreeSet<_>| permissions.contains(&Permission::Administer);
        !self.administrators.is_empty() || callers.0.iter().any(|one| may(&one.permissions))
    }

    /// Who calls, if the call is theirs to make; none if the method is open.
    fn admit(
        &self,
        need: table::Need,
        headers: &HeaderMap,
        link: &Link,
    ) -> Result<Option<Admitted>, Denial> {
        if need == table::Need::Open {
            return Ok(None);
        }
        let admitted = self.identify(headers, link)?;
        match need.missing(&admitted.caller) {
            None => Ok(Some(admitted)),
            Some(permission) => Err(Denial::PermissionMissing(admitted.caller.id, permission)),
        }
    }

    /// A token counts before a certificate, as it is given with the call itself.
    fn identify(&self, headers: &HeaderMap, link: &Link) -> Result<Admitted, Denial> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value.to_str().ok();
            // The name of the scheme is in any case (RFC 9110, section 11.1).
            let token = text.and_then(|text| text.split_once(' '));
            let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            let (_, token) = token.ok_or(Denial::TokenUnknown)?;
            return self.by_token(token.trim()).ok_or(Denial::TokenUnknown);
        }
        match link {
            Link::Clear => Ok(unlimited(Caller::local())),
            Link::Tls(None) => Err(Denial::NoCredentials),
            Link::Tls(Some(Err(problem))) => Err(Denial::CertificateUnknown(problem.to_string())),
            Link::Tls(Some(Ok(name))) => self.by_certificate(name),
        }
    }

    fn by_token(&self, token: &str) -> Option<Admitted> {
        if TokenHash::of(token) == self.own.0 {
            return Some(unlimited(node(self.own.1.clone())));
        }
        self.callers.get().by_token(token).map(limited)
    }

    fn by_certificate(&self, name: &CertificateName) -> Result<Admitted, Denial> {
        match name.kind {
            Kind::Node => Ok(unlimited(node(node_id(&name.name)))),
            Kind::Client if self.administrators.contains(&name.name) => {
                let id = CallerId(name.name.clone());
                Ok(unlimited(Caller { id, ..Caller::local() }))
            }
            Kind::Client => {
                let callers = self.callers.get();
                let known = callers.by_certificate(&name.name).map(limited);
                known.ok_or_else(|| Denial::CallerUnknown(CallerId(name.name.clone())))
            }
        }
    }

    /// Counts a denied call, tells it in the log, and gives the status for whoever made it.
    fn deny(&self, denial: &Denial, method: &str, peer: &Peer) -> Status {
        self.metrics.call_denied(denial.reason());
        let (caller, address) = (denial.caller(), peer.address);
        let who = caller.map_or_else(|| address.ip().to_string(), str::to_owned);
        if let Some(left_out) = self.told.line(&who) {
            let caller = caller.unwrap_or("somebody");
            let before = match left_out {
                0 => String::new(),
                more => format!("; {more} more lines about this one were left out"),
            };
            warn!(
                reason = denial.reason(),
                caller,
                rpc.method = method,
                client.address = %address,
                "denied the call {method} of {caller} at {address}: {}{before}",
                denial.message(),
            );
        }
        denial.status(method)
    }
}

/// What a node is called as a caller. No other caller may be named so.
fn node_id(name: &str) -> CallerId {
    CallerId(format!("node:{name}"))
}

fn limited(known: &KnownCaller) -> Admitted {
    Admitted { caller: known.caller(), limits: Some(known.limits) }
}

fn unlimited(caller: Caller) -> Admitted {
    Admitted { caller, limits: None }
}

fn node(id: CallerId) -> Caller {
    Caller { id, permissions: BTreeSet::new(), is_node: true }
}

impl StoredCallers {
    fn get(&self) -> Arc<Callers> {
        let Some(saved) = self.document.borrow().clone() else { return Arc::default() };
        // Nothing that holds this lock can leave its value half changed.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != saved.generation {
            let decoded = document::decode(&saved.content).unwrap_or_else(|problem| {
                error!("{problem}; nobody among them may call");
                Callers::default()
            });
            *read = (saved.generation, decoded.into());
        }
        Arc::clone(&read.1)
    }
}

/// Whether there is such a method on some node.
pub(crate) fn is_known(path: &str) -> bool {
    table::need(path).is_some()
}

/// Has every call of these services admitted first. What comes to a service has a [`Caller`] in its extensions.
pub(crate) fn guarded(services: Routes, access: Arc<Access>) -> Routes {
    let router = services.prepare().into_axum_router().fallback(async || answer(not_served()));
    Routes::from(router.layer(from_fn_with_state(access, guard)))
}

async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let Some(need) = table::need(request.uri().path()) else {
        return answer(Status::unimplemented("this node has no such method"));
    };
    // Whoever comes past the listener of this node has no place here.
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return answer(Status::internal("the connection is not known"));
    };
    // As they are before it is asked: no change is missed.
    let mut document = access.callers.document.clone();
    document.mark_unchanged();
    let method = request.uri().path().to_owned();
    let limits = match access.admit(need, request.headers(), &peer.link) {
        Ok(None) => None,
        Ok(Some(Admitted { caller, limits })) => {
            let limits = limits.map(|limits| (caller.id.clone(), limits));
            request.extensions_mut().insert(caller);
            limits
        }
        Err(denial) => return answer(access.deny(&denial, &method, &peer)),
    };
    // Nobody else can lose what a call is admitted on.
    let Some((caller, limits)) = limits else { return next.run(request).await };
    let ticket = match access.usage.enter(&caller, limits) {
        Ok(ticket) => ticket,
        Err(exceeded) => {
            let denial = Denial::Exceeded(caller, exceeded);
            return answer(access.deny(&denial, &method, &peer));
        }
    };
    let proof = request.headers().get(header::AUTHORIZATION).cloned();
    let headers = proof.into_iter().map(|proof| (header::AUTHORIZATION, proof)).collect();
    let standing = Standing { access, document, need, headers, peer, method };
    let mut lost = standing.lost();
    tokio::select! {
        biased;
        response = next.run(request) => response.map(|body| until(body, lost, ticket)),
        status = &mut lost => answer(status),
    }
}

/// A node has only the services of its roles.
fn not_served() -> Status {
    let message = "this node does not serve that: it has another role";
    status(Code::Unimplemented, "NOT_SERVED", message, [])
}

fn answer(status: Status) -> Response {
    status.into_http::<Body>()
}

const CREDENTIALS_MISSING: &str = "CREDENTIALS_MISSING";
const TOKEN_UNKNOWN: &str = "TOKEN_UNKNOWN";
const CERTIFICATE_UNKNOWN: &str = "CERTIFICATE_UNKNOWN";
const CALLER_UNKNOWN: &str = "CALLER_UNKNOWN";
const PERMISSION_MISSING: &str = "PERMISSION_MISSING";
const CALL_RATE_EXCEEDED: &str = "CALL_RATE_EXCEEDED";
const TOO_MANY_CALLS_AT_ONCE: &str = "TOO_MANY_CALLS_AT_ONCE";

/// All reasons for which a call is denied.
pub(crate) const DENIALS: [&str; 7] = [
    CREDENTIALS_MISSING,
    TOKEN_UNKNOWN,
    CERTIFICATE_UNKNOWN,
    CALLER_UNKNOWN,
    PERMISSION_MISSING,
    CALL_RATE_EXCEEDED,
    TOO_MANY_CALLS_AT_ONCE,
];

impl Denial {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoCredentials => CREDENTIALS_MISSING,
            Self::TokenUnknown => TOKEN_UNKNOWN,
            Self::CertificateUnknown(_) => CERTIFICATE_UNKNOWN,
            Self::CallerUnknown(_) => CALLER_UNKNOWN,
            Self::PermissionMissing(..) => PERMISSION_MISSING,
            Self::Exceeded(_, Exceeded::Rate { .. }) => CALL_RATE_EXCEEDED,
            Self::Exceeded(_, Exceeded::AtOnce { .. }) => TOO_MANY_CALLS_AT_ONCE,
        }
    }

    /// Whom it concerns, if that is known.
    fn caller(&self) -> Option<&str> {
        match self {
            Self::NoCredentials | Self::TokenUnknown | Self::CertificateUnknown(_) => None,
            Self::CallerUnknown(caller)
            | Self::PermissionMissing(caller, _)
            | Self::Exceeded(caller, _) => Some(&caller.0),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NoCredentials => {
                "the call does not say who makes it; give a client certificate or an API token"
                    .to_owned()
            }
            Self::TokenUnknown => "no caller has this token; see `nuncio callers list`".to_owned(),
            Self::CertificateUnknown(problem) => problem.clone(),
            Self::CallerUnknown(CallerId(name)) => format!(
                "the client `{name}` is no caller; make it one by `nuncio callers create {name} --certificate`"
            ),
            Self::PermissionMissing(CallerId(name), permission) => {
                format!("the caller `{name}` has not the permission `{permission}`")
            }
            Self::Exceeded(CallerId(name), Exceeded::Rate { limit, .. }) => {
                format!("the caller `{name}` makes more than {limit} calls a second")
            }
            Self::Exceeded(CallerId(name), Exceeded::AtOnce { limit, .. }) => {
                format!(
                    "the caller `{name}` has {limit} calls under way, and may have no more at once"
                )
            }
        }
    }

    fn status(&self, method: &str) -> Status {
        let (reason, message) = (self.reason(), self.message());
        match self {
            Self::NoCredentials | Self::TokenUnknown | Self::CertificateUnknown(_) => {
                status(Code::Unauthenticated, reason, message, [("method", method.to_owned())])
            }
            Self::CallerUnknown(caller) => {
                let metadata = [("method", method.to_owned()), ("caller", caller.0.clone())];
                status(Code::PermissionDenied, reason, message, metadata)
            }
            Self::PermissionMissing(caller, permission) => {
                let metadata = [
                    ("method", method.to_owned()),
                    ("caller", caller.0.clone()),
                    ("permission", permission.name().to_owned()),
                ];
                status(Code::PermissionDenied, reason, message, metadata)
            }
            Self::Exceeded(
                caller,
                Exceeded::Rate { limit, retry_after } | Exceeded::AtOnce { limit, retry_after },
            ) => {
                let metadata = [
                    ("method", method.to_owned()),
                    ("caller", caller.0.clone()),
                    ("limit", limit.to_string()),
                ];
                exhausted(reason, message, metadata, *retry_after)
            }
        }
    }
}

#[cfg(test)]
mod tests;
