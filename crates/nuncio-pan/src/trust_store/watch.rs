//! Watches over the expiry of trusted certificates.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::records::{RecordKey, RecordKind, RecordStore};
use nuncio_core::ports::trust::CertificateReader;
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::trust_store::{CertificateAlarm, alarms};
use nuncio_runtime::chain::Chain;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::read;
use crate::standing::{Raised, StandingAlarms, Wish};

/// Which alarms about trusted certificates stand.
const STANDING: RecordKind = RecordKind("trust-watch");
/// How often it looks.
const PERIOD: Duration = Duration::from_hours(1);
/// How soon it looks again if an alarm could not be told.
const RETRY: Duration = Duration::from_mins(1);

/// Everything that the watch needs. It builds none of it, so a test can bring its own.
#[derive(Clone)]
pub struct TrustWatch {
    pub records: Arc<dyn RecordStore>,
    /// The trust store.
    pub document: watch::Receiver<Option<Arc<SavedDocument>>>,
    pub reader: Arc<dyn CertificateReader>,
    pub alarms: Arc<dyn AlarmSink>,
    pub clock: Arc<dyn Clock>,
}

impl TrustWatch {
    /// Looks at the start, after each change and once an hour, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut document = self.document.clone();
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Ok(()) = document.changed() => {}
                () = sleep(wait) => {}
            }
            wait = match stop.run_until_cancelled(self.look()).await {
                None | Some(Ok(())) => PERIOD,
                Some(Err(error)) => {
                    warn!("the alarms about trusted certificates must wait: {}", Chain(&error));
                    RETRY
                }
            };
        }
    }

    /// Raises what is to stand and does not, and clears what stands and is over.
    pub async fn look(&self) -> Result<(), StoreError> {
        let saved = self.document.borrow().clone();
        let store = match read(saved.as_deref(), &*self.reader) {
            Ok(store) => store,
            Err(problem) => {
                error!("{problem}; nobody is told of the expiry of its certificates");
                return Ok(());
            }
        };
        let wishes = alarms(&store, self.clock.now()).into_iter().map(|alarm| {
            let CertificateAlarm { alarm_type, name, stage, description, details } = alarm;
            let key = format!("{alarm_type}/{name}");
            let labels = BTreeMap::from([("certificate".to_owned(), name)]);
            let raised = Raised { stage, labels };
            (key, Wish { raised, severity: None, description, details })
        });
        let wishes = wishes.collect();
        let standing = StandingAlarms {
            records: &*self.records,
            alarms: &*self.alarms,
            clock: &*self.clock,
            key: RecordKey::new(STANDING, "trust-store"),
        };
        let before = standing.read().await?;
        standing.settle(before, wishes).await
    }
}
