//! `SmtpSettingsService`: get, test, save.

use nuncio_api::caller::caller_id;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _};
use nuncio_api::convert::settings::expected_etag;
use nuncio_api::convert::smtp_test::{report, stage};
use nuncio_api::error::{Precondition, failed_precondition, invalid, status};
use nuncio_api::v1;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::smtp_settings_service_server::SmtpSettingsService;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::mail::{NodeTesters, TestingNode};
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::changes::smtp_changes;
use nuncio_core::settings::document::DocumentChange;
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use nuncio_core::violation::Violations;
use nuncio_runtime::progress::Progress;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};
use tracing::{info, warn};

use crate::errors::{no_store, not_saved};
use crate::every_node::{Choice, choose, test_stream};
use crate::proofs::Proofs;
use crate::secret_watch::SeenSecrets;
use crate::smtp_test::read_settings;

/// The most nodes that a request may leave out.
const EXCEPT_NODES_MAX: usize = 100;

pub(crate) struct SmtpSettingsApi {
    settings: Arc<dyn SettingsShare>,
    testers: Arc<dyn NodeTesters>,
    clock: Arc<dyn Clock>,
    proofs: Arc<Mutex<Proofs>>,
    /// What the watch knows of the client secrets.
    secrets: watch::Receiver<Option<SeenSecrets>>,
}

impl SmtpSettingsApi {
    pub(crate) fn new(
        settings: Arc<dyn SettingsShare>,
        testers: Arc<dyn NodeTesters>,
        clock: Arc<dyn Clock>,
        secrets: watch::Receiver<Option<SeenSecrets>>,
    ) -> Self {
        Self { settings, testers, clock, proofs: Arc::default(), secrets }
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

    /// The live nodes that will use the settings.
    async fn choose(&self, except_nodes: &[String]) -> Result<Choice, Status> {
        if EXCEPT_NODES_MAX < except_nodes.len() {
            let mut violations = Violations::default();
            let problem = format!("has {}; give at most {EXCEPT_NODES_MAX}", except_nodes.len());
            violations.add("except_nodes", problem);
            return Err(invalid("INVALID_SMTP_SETTINGS", "these are too many nodes", violations));
        }
        let nodes = self.testers.nodes().await.map_err(|error| no_store(&error))?;
        Ok(choose(nodes, except_nodes))
    }

    /// The names of the nodes that use the settings untested, as was asked for; an error if there are others, or if nothing
    /// was proved at all.
    async fn proved(
        &self,
        settings: &SmtpSettings,
        except_nodes: &[String],
    ) -> Result<Vec<String>, Status> {
        let Choice { asked, left_out } = self.choose(except_nodes).await?;
        let mut proofs = self.proofs.lock().expect("nobody panics while holding it");
        let (passed, missing) = proofs.of(settings, asked);
        let (passed_too, untested) = proofs.of(settings, left_out);
        if !missing.is_empty() || passed.is_empty() && passed_too.is_empty() {
            return Err(not_tested(&names(&missing)));
        }
        Ok(names(&untested))
    }
}

fn names(nodes: &[TestingNode]) -> Vec<String> {
    nodes.iter().map(|node| node.name.clone()).collect()
}

/// What changes, and on which nodes nobody knows whether it works.
fn summary(
    present: Option<&SavedSmtpSettings>,
    settings: &SmtpSettings,
    untested: &[String],
) -> String {
    let changes = smtp_changes(present.map(|saved| &saved.settings), settings);
    if untested.is_empty() {
        return changes;
    }
    format!("{changes}; not tested from {}", untested.join(", "))
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
        let v1::TestSmtpSettingsRequest { smtp_settings, except_nodes } = request.into_inner();
        let settings = self.read(smtp_settings)?;
        let Choice { asked, left_out } = self.choose(&except_nodes).await?;
        let (proofs, left_out) = (Arc::clone(&self.proofs), names(&left_out));
        let testers = Arc::clone(&self.testers);
        let told = test_stream(testers, asked, settings.clone()).map(move |progress| {
            let event = match progress {
                Progress::Step((node, result)) => {
                    v1::test_smtp_settings_response::Event::Stage(stage(&node, result))
                }
                Progress::Done(tests) => {
                    let mut proofs = proofs.lock().expect("nobody panics while holding it");
                    for (node, test) in &tests {
                        if test.passed() {
                            proofs.add(&settings, &node.incarnation);
                        } else {
                            proofs.remove(&settings, &node.incarnation);
                        }
                    }
                    let tests = tests.into_iter().map(|(_, test)| test).collect();
                    let report = report(tests, left_out.clone());
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
        let v1::UpdateSmtpSettingsRequest { smtp_settings, validate_only, except_nodes } =
            request.into_inner();
        let given = smtp_settings.unwrap_or_default();
        let expected = expected_etag(&given).map(str::to_owned);
        let settings = self.read(Some(given))?;
        if validate_only {
            let smtp_settings = Some((&settings).into());
            return Ok(Response::new(v1::UpdateSmtpSettingsResponse { smtp_settings }));
        }
        let untested = self.proved(&settings, &except_nodes).await?;
        let present = self.saved();
        let change = DocumentChange {
            caller: by.0,
            at: self.clock.now(),
            summary: summary(present.as_deref(), &settings, &untested),
        };
        let saved = self.settings.save_smtp(settings, change, expected.as_deref()).await;
        let saved = saved.map_err(not_saved)?;
        info!(settings.generation = saved.generation, "smtp settings were saved");
        if !untested.is_empty() {
            let nodes = untested.join(", ");
            warn!(
                settings.generation = saved.generation,
                "smtp settings were saved without a test from {nodes}, as was asked for"
            );
        }
        Ok(Response::new(v1::UpdateSmtpSettingsResponse { smtp_settings: Some((&*saved).into()) }))
    }
}

fn not_tested(nodes: &[String]) -> Status {
    let remedy = "test exactly these values first; save within ten minutes of the passed test";
    let precondition = Precondition { kind: "SMTP_TEST", subject: "smtpSettings", remedy };
    let nodes = nodes.join(", ");
    let message = match nodes.as_str() {
        "" => "these smtp settings have not passed a test in the last ten minutes".to_owned(),
        nodes => {
            format!(
                "these smtp settings have not passed a test from {nodes} in the last ten minutes"
            )
        }
    };
    let metadata = [("nodes", nodes)];
    failed_precondition("SMTP_SETTINGS_NOT_TESTED", message, metadata, &precondition)
}
