//! The service as a node registers it.

use std::sync::Arc;

use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::template_service_server::TemplateServiceServer;
use nuncio_delivery::intake::Intake;
use tonic::service::RoutesBuilder;

use crate::service::TemplatesApi;
use crate::share::TemplateShare;

/// Everything the service needs.
pub struct TemplateApi {
    pub share: Arc<TemplateShare>,
    /// Takes test mails.
    pub intake: Intake,
}

impl TemplateApi {
    /// Adds the service to a node's.
    pub fn register(self, routes: &mut RoutesBuilder) {
        let service = TemplatesApi { share: self.share, intake: self.intake };
        let server = TemplateServiceServer::new(service);
        routes.add_service(server.max_decoding_message_size(MESSAGE_BYTES_MAX));
    }
}
