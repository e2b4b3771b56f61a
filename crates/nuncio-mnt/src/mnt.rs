//! The role as a whole.

use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::alarm_service_server::AlarmServiceServer;
use tonic::service::RoutesBuilder;

use crate::service::AlarmApi;

/// Everything the role needs. It builds none of it, so a test can bring its own.
pub struct Mnt;

impl Mnt {
    /// Adds the role's services to a node's.
    pub fn register(routes: &mut RoutesBuilder) {
        let service = AlarmServiceServer::new(AlarmApi)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes.add_service(service);
    }
}
