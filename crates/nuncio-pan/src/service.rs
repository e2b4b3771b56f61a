//! `SmtpSettingsService`: get, test, save.

use nuncio_api::caller::caller_id;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _};
use nuncio_api::convert::settings::expected_etag;
use nuncio_api::convert::smtp_test::stage;
use nuncio_api::error::{Precondition, failed_precondition, status};
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::smtp_settings_service_server::SmtpSettingsService;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::mail::SmtpTester;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::changes::smtp_changes;
use nuncio_core::settings::document::DocumentChange;
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use nuncio_runtime::progress::Progress;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};
use tracing::info;

use crate::errors::not_saved;
use crate::proofs::Proofs;
use crate::secret_watch::SeenSecrets;
use crate::smtp_test::{read_settings, test_stream};

pub(crate) struct SmtpSettingsApi {
    settings: Arc<dyn SettingsShare>,
    tester: Arc<dyn SmtpTester>,
    clock: Arc<dyn Clock>,
    node: String,
    proofs: Arc<Mutex<Proofs>>,
    /// What the watch knows of the client secrets.
    secrets: watch::Receiver<Option<SeenSecrets>>,
}

impl SmtpSettingsApi {
    pub(crate) fn new(
        settings: Arc<dyn SettingsShare>,
        tester: Arc<dyn SmtpTester>,
        clock: Arc<dyn Clock>,
        node: String,
        secrets: watch::Receiver<Option<SeenSecrets>>,
    ) -> Self {
        Self { settings, tester, clock, node, proofs: Arc::default(), secrets }
    }

    fn saved(&self) -> Option<Arc<SavedSmtpSettings>> {
        self.settings.smtp().borrow().clone()
    }

    fn known(&self) -> Result<Arc<SavedSmtpSettings>, Status> {
        self.saved().ok_or_else(|| {
            let message = "there are no smtp settings yet; test and save some";
            status(Code::NotFound, "SMTP_SETTINGS_NOT_SET", message, [])
        })
    }

    /// The settings of a request, completed by the provider's values and the saved secrets.
    fn read(&self, settings: Option<v1::SmtpSettings>) -> Result<SmtpSettings, Status> {
        read_settings(settings, self.saved().as_deref())
    }
}

#[tonic::async_trait]
impl SmtpSettingsService for SmtpSettingsApi {
    async fn get_smtp_settings(
        &self,
        _request: Request<v1::GetSmtpSettingsRequest>,
    ) -> Result<Response<v1::GetSmtpSettingsResponse>, Status> {
        let saved = self.known()?;
        let mut settings = v1::SmtpSettings::from(&*saved);
        // What was seen of other settings says nothing of these.
        let seen = self.secrets.borrow().clone();
        let seen = seen.filter(|seen| seen.generation == saved.generation);
        if let (Some(seen), Some(Authentication::Oauth(oauth))) =
            (seen, &mut settings.authentication)
        {
            oauth.client_secret_status = Some(seen.status.into());
        }
        Ok(Response::new(v1::GetSmtpSettingsResponse { smtp_settings: Some(settings) }))
    }

    type TestSmtpSettingsStream =
        Pin<Box<dyn Stream<Item = Result<v1::TestSmtpSettingsResponse, Status>> + Send>>;

    async fn test_smtp_settings(
        &self,
        request: Request<v1::TestSmtpSettingsRequest>,
    ) -> Result<Response<Self::TestSmtpSettingsStream>, Status> {
        let settings = self.read(request.into_inner().smtp_settings)?;
        let (proofs, node) = (Arc::clone(&self.proofs), self.node.clone());
        let told = test_stream(Arc::clone(&self.tester), settings.clone()).map(move |progress| {
            let event = match progress {
                Progress::Step(result) => {
                    v1::test_smtp_settings_response::Event::Stage(stage(&node, result))
                }
                Progress::Done(test) => {
                    if test.passed() {
                        let mut proofs = proofs.lock().expect("nobody panics while holding it");
                        proofs.add(settings.clone());
                    }
                    let (passed, nodes) = (test.passed(), vec![test.into()]);
                    let report = v1::SmtpTestReport { passed, nodes };
                    v1::test_smtp_settings_response::Event::Report(report)
                }
            };
            Ok(v1::TestSmtpSettingsResponse { event: Some(event) })
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn update_smtp_settings(
        &self,
        request: Request<v1::UpdateSmtpSettingsRequest>,
    ) -> Result<Response<v1::UpdateSmtpSettingsResponse>, Status> {
        let by = caller_id(&request);
        let v1::UpdateSmtpSettingsRequest { smtp_settings, validate_only } = request.into_inner();
        let given = smtp_settings.unwrap_or_default();
        let expected = expected_etag(&given).map(str::to_owned);
        let settings = self.read(Some(given))?;
        if validate_only {
            let smtp_settings = Some((&settings).into());
            return Ok(Response::new(v1::UpdateSmtpSettingsResponse { smtp_settings }));
        }
        if !self.proofs.lock().expect("nobody panics while holding it").holds(&settings) {
            return Err(not_tested());
        }
        let present = self.saved();
        let change = DocumentChange {
            caller: by.0,
            at: self.clock.now(),
            summary: smtp_changes(present.as_deref().map(|saved| &saved.settings), &settings),
        };
        let saved = self.settings.save_smtp(settings, change, expected.as_deref()).await;
        let saved = saved.map_err(not_saved)?;
        info!(settings.generation = saved.generation, "smtp settings were saved");
        Ok(Response::new(v1::UpdateSmtpSettingsResponse { smtp_settings: Some((&*saved).into()) }))
    }
}

fn not_tested() -> Status {
    let remedy = "test exactly these values first; save within ten minutes of the passed test";
    let precondition = Precondition { kind: "SMTP_TEST", subject: "smtpSettings", remedy };
    let message = "these smtp settings have not passed a test in the last ten minutes";
    failed_precondition("SMTP_SETTINGS_NOT_TESTED", message, [], &precondition)
}
