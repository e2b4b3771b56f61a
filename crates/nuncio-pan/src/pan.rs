//! The role as a whole.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::caller_service_server::CallerServiceServer;
use nuncio_api::v1::directory_service_server::DirectoryServiceServer;
use nuncio_api::v1::guest_mail_settings_service_server::GuestMailSettingsServiceServer;
use nuncio_api::v1::reminder_service_server::ReminderServiceServer;
use nuncio_api::v1::smtp_settings_service_server::SmtpSettingsServiceServer;
use nuncio_api::v1::trust_store_service_server::TrustStoreServiceServer;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::mail::NodeTesters;
use nuncio_core::ports::records::RecordStore;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_directory::directory::Directory;
use nuncio_nodes::election::{Elections, Leadership};
use nuncio_nodes::fenced::FencedRecords;
use nuncio_nodes::lease::Duty;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use crate::callers::service::CallersApi;
use crate::directory::DirectoryApi;
use crate::guest_mail_service::GuestMailApi;
use crate::reminder_service::ReminderApi;
use crate::reminders::Reminders;
use crate::secret_watch::SecretWatch;
use crate::service::SmtpSettingsApi;
use crate::trust_store::service::TrustStoreApi;
use crate::trust_store::watch::TrustWatch;

/// Everything the role needs. It builds none of it, so a test can bring its own.
pub struct Pan {
    pub settings: Arc<dyn SettingsShare>,
    /// Test from every live node.
    pub testers: Arc<dyn NodeTesters>,
    pub clock: Arc<dyn Clock>,
    pub directory: Directory,
    /// Of the nodes with this role and store one is the primary PAN; all of them serve.
    pub elections: Elections,
    pub reminders: Reminders,
    pub secret_watch: SecretWatch,
    pub trust_watch: TrustWatch,
}

impl Pan {
    /// Adds the role's services to a node's.
    pub fn register(&self, routes: &mut RoutesBuilder, shutdown: &CancellationToken) {
        let service = SmtpSettingsApi::new(
            Arc::clone(&self.settings),
            Arc::clone(&self.testers),
            Arc::clone(&self.clock),
            self.secret_watch.seen.subscribe(),
        );
        routes.add_service(SmtpSettingsServiceServer::new(service));
        let (directory, clock) = (self.directory.clone(), Arc::clone(&self.clock));
        let directory = DirectoryApi::new(directory, clock, shutdown.clone());
        let directory = DirectoryServiceServer::new(directory);
        routes.add_service(directory.max_decoding_message_size(MESSAGE_BYTES_MAX));
        let (reminders, settings) = (self.reminders.clone(), Arc::clone(&self.settings));
        let guest_mail = GuestMailApi { reminders, settings };
        routes.add_service(GuestMailSettingsServiceServer::new(guest_mail));
        let reminders = self.reminders.clone();
        let service = ReminderApi { reminders, settings: Arc::clone(&self.settings) };
        routes.add_service(ReminderServiceServer::new(service));
        let (settings, clock) = (Arc::clone(&self.settings), Arc::clone(&self.clock));
        let reader = Arc::clone(&self.trust_watch.reader);
        let service = TrustStoreServiceServer::new(TrustStoreApi { settings, reader, clock });
        // A hundred certificates are more than an ordinary message.
        routes.add_service(service.max_decoding_message_size(MESSAGE_BYTES_MAX));
        let (settings, clock) = (Arc::clone(&self.settings), Arc::clone(&self.clock));
        let entropy = Arc::clone(&self.reminders.intake.entropy);
        routes.add_service(CallerServiceServer::new(CallersApi { settings, clock, entropy }));
    }

    /// Runs the parts of the role that work by themselves while this node is the primary PAN, until `shutdown` is cancelled.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let elections = self.elections.clone();
        let lead = async |leadership: Leadership| self.work(&leadership).await;
        elections.lead(Duty::Pan, shutdown, lead).await;
        Ok(())
    }

    /// Works for one term.
    async fn work(&self, leadership: &Leadership) -> Duration {
        let fenced =
            |records: &Arc<dyn RecordStore>| FencedRecords::over(Arc::clone(records), leadership);
        let mut reminders = self.reminders.clone();
        reminders.records = fenced(&reminders.records);
        let mut secret_watch = self.secret_watch.clone();
        secret_watch.records = fenced(&secret_watch.records);
        let mut trust_watch = self.trust_watch.clone();
        trust_watch.records = fenced(&trust_watch.records);
        let (keeper, over) = (reminders.clone(), leadership.over());
        let (Ok(()), Ok(()), Ok(()), Ok(())) = tokio::join!(
            reminders.run(over.clone()),
            keeper.keep_house(over.clone()),
            secret_watch.run(over.clone()),
            trust_watch.run(over.clone()),
        );
        Duration::ZERO
    }
}
