//! The role as a whole.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::mail_job_service_server::MailJobServiceServer;
use nuncio_api::v1::portal_service_server::PortalServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use crate::approvals::page;
use crate::portal::service::PortalMail;
use crate::portal::{Portal, keeper};
use crate::service::MailJobs;

/// Everything the role needs. It builds none of it, so a test can bring its own.
#[derive(Clone)]
pub struct Psn {
    pub portal: Portal,
}

impl Psn {
    /// Adds the role's services to a node's. Their streams end when `shutdown` is cancelled.
    pub fn register(&self, routes: &mut RoutesBuilder, shutdown: &CancellationToken) {
        let service = MailJobs::new(self.portal.intake.clone(), shutdown.clone());
        let service = MailJobServiceServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes.add_service(service);
        let service = PortalServiceServer::new(PortalMail { portal: self.portal.clone() })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes.add_service(service);
    }

    /// The page behind the links of approvals, to be served over HTTP.
    pub fn approval_page(&self) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
        page::routes(self.portal.clone()).into_make_service_with_connect_info()
    }

    /// Looks after approvals and bulks until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        keeper::run(self.portal, stop).await;
    }
}
