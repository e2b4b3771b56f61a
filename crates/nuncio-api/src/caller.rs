//! Who makes a call.

use nuncio_core::caller::Caller;
use nuncio_core::job::CallerId;
use tonic::Request;

/// The caller of a request, as the node has put it there before the service was asked.
///
/// A service that is called without a node around it, as tests do, is called by `local`.
pub fn caller_id<T>(request: &Request<T>) -> CallerId {
    request.extensions().get::<Caller>().map_or_else(|| Caller::local().id, |one| one.id.clone())
}
