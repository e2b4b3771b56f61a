//! Reading settings of a request and testing them: what the PAN and every single node have in common.

use std::sync::Arc;

use futures::Stream;
use nuncio_api::convert::settings::smtp_settings_draft;
use nuncio_api::error::{invalid, status};
use nuncio_api::v1;
use nuncio_core::ports::mail::SmtpTester;
use nuncio_core::settings::{SavedSmtpSettings, SmtpSettings};
use nuncio_core::smtp_test::{NodeTest, StageResult};
use nuncio_core::violation::Violations;
use nuncio_runtime::progress::{Progress, with_progress};
use tokio::sync::mpsc;
use tonic::{Code, Status};

/// How many stages may wait for a slow client.
pub(crate) const STAGES_QUEUED: usize = 16;

/// The settings of a request, completed by the provider's values and the `saved` secrets; the saved ones
/// where the request has none.
pub fn read_settings(
    settings: Option<v1::SmtpSettings>,
    saved: Option<&SavedSmtpSettings>,
) -> Result<SmtpSettings, Status> {
    let saved = saved.map(|saved| &saved.settings);
    let Some(settings) = settings else {
        return saved.cloned().ok_or_else(|| {
            let message = "there are no smtp settings yet; give those to test";
            status(Code::NotFound, "SMTP_SETTINGS_NOT_SET", message, [])
        });
    };
    let mut violations = Violations::default();
    let draft = smtp_settings_draft(&mut violations, settings);
    match draft.check(saved) {
        Ok(settings) if violations.is_empty() => Ok(settings),
        Ok(_) => Err(not_valid(violations)),
        Err(more) => {
            violations.append(more);
            Err(not_valid(violations))
        }
    }
}

fn not_valid(violations: Violations) -> Status {
    invalid("INVALID_SMTP_SETTINGS", "the smtp settings are not valid", violations)
}

/// Tests settings and tells each stage as it ends.
pub fn test_stream(
    tester: Arc<dyn SmtpTester>,
    settings: SmtpSettings,
) -> impl Stream<Item = Progress<StageResult, NodeTest>> + Send {
    let (tell, stages) = mpsc::channel(STAGES_QUEUED);
    with_progress(stages, async move { tester.test(&settings, tell).await })
}
