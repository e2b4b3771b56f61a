//! The role as a whole.

use std::sync::Arc;

use nuncio_api::v1::smtp_settings_service_server::SmtpSettingsServiceServer;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::mail::SmtpTester;
use nuncio_core::ports::settings::SettingsShare;
use tonic::service::RoutesBuilder;

use crate::service::SmtpSettingsApi;

/// Everything the role needs. It builds none of it, so a test can bring its own.
///
/// It has no parts that run by themselves: it only answers.
pub struct Pan {
    pub settings: Arc<dyn SettingsShare>,
    /// Tests from every live node.
    pub tester: Arc<dyn SmtpTester>,
    pub clock: Arc<dyn Clock>,
    /// The name of this node.
    pub node: String,
}

impl Pan {
    /// Adds the role's services to a node's.
    pub fn register(&self, routes: &mut RoutesBuilder) {
        let service = SmtpSettingsApi::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.tester),
            Arc::clone(&self.clock),
            self.node.clone(),
        );
        routes.add_service(SmtpSettingsServiceServer::new(service));
    }
}
