//! The role as a whole.

use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::mail_job_service_server::MailJobServiceServer;
use nuncio_delivery::intake::Intake;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use crate::service::MailJobs;

/// Everything the role needs. It builds none of it, so a test can bring its own.
pub struct Psn {
    pub intake: Intake,
}

impl Psn {
    /// Adds the role's services to a node's. Their streams end when `shutdown` is cancelled.
    pub fn register(&self, routes: &mut RoutesBuilder, shutdown: &CancellationToken) {
        let service = MailJobs::new(self.intake.clone(), shutdown.clone());
        let service = MailJobServiceServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes.add_service(service);
    }
}
