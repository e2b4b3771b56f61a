//! The service and the watch over settings and records in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan as _};
use nuncio_api::error::reason;
use nuncio_api::v1;
use nuncio_api::v1::trust_store_service_server::TrustStoreService as _;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm};
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::ports::trust::{CertificateFacts, CertificateProblem};
use nuncio_core::settings::document::SettingsDocument;
use nuncio_store::memory::MemoryJobStore;
use tempfile::TempDir;
use tonic::{Code, Request, Status};

use super::service::TrustStoreApi;
use super::watch::TrustWatch;
use super::*;
use crate::reminders::tests::world::{SetClock, at};

const NOW: &str = "2027-03-01T08:00:00Z";

/// Takes a text for the subject of an authority that counts for 100 days from [`NOW`] on.
struct Reader;

impl CertificateReader for Reader {
    fn read(&self, pem: &str) -> Result<CertificateFacts, CertificateProblem> {
        if pem.is_empty() {
            return Err(CertificateProblem::Missing);
        }
        Ok(CertificateFacts {
            subject: pem.to_owned(),
            issuer: pem.to_owned(),
            sha256_fingerprint: pem.to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: at(NOW) + (24 * 100).hours(),
            is_authority: true,
            is_self_signed: true,
        })
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

#[async_trait]
impl AlarmSink for Told {
    async fn raise(&self, alarm: RaisedAlarm) -> Result<(), StoreError> {
        let AlarmIdentity { alarm_type, labels, .. } = alarm.identity;
        self.0.lock().unwrap().push(format!("raised {alarm_type} {}", labels["certificate"]));
        Ok(())
    }

    async fn clear(&self, identity: AlarmIdentity) -> Result<(), StoreError> {
        let AlarmIdentity { alarm_type, labels, .. } = identity;
        self.0.lock().unwrap().push(format!("cleared {alarm_type} {}", labels["certificate"]));
        Ok(())
    }
}

struct Fixture {
    api: TrustStoreApi,
    watch: TrustWatch,
    clock: Arc<SetClock>,
    told: Arc<Told>,
    _folder: TempDir,
}

fn fixture() -> Fixture {
    let folder = TempDir::new().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings = EmbeddedCluster::open(folder.path(), keys).unwrap();
    let (clock, told) = (Arc::new(SetClock::at(at(NOW))), Arc::new(Told::default()));
    let watch = TrustWatch {
        records: Arc::new(MemoryJobStore::default()),
        document: settings.document(SettingsDocument::TrustStore),
        reader: Arc::new(Reader),
        alarms: Arc::<Told>::clone(&told),
        clock: Arc::<SetClock>::clone(&clock),
    };
    let api = TrustStoreApi {
        settings: Arc::new(settings),
        reader: Arc::new(Reader),
        clock: Arc::<SetClock>::clone(&clock),
    };
    Fixture { api, watch, clock, told, _folder: folder }
}

fn certificate(name: &str, subject: &str) -> v1::TrustedCertificate {
    v1::TrustedCertificate {
        name: name.to_owned(),
        certificate_pem: subject.to_owned(),
        trusted_for: vec![v1::TrustUse::Smtp.into()],
        ..v1::TrustedCertificate::default()
    }
}

impl Fixture {
    async fn update(
        &self,
        certificates: Vec<v1::TrustedCertificate>,
        etag: &str,
        validate_only: bool,
    ) -> Result<v1::TrustStore, Status> {
        let store =
            v1::TrustStore { certificates, etag: etag.to_owned(), ..v1::TrustStore::default() };
        let request = v1::UpdateTrustStoreRequest { trust_store: Some(store), validate_only };
        let response = self.api.update_trust_store(Request::new(request)).await?;
        Ok(response.into_inner().trust_store.unwrap())
    }

    async fn get(&self) -> v1::GetTrustStoreResponse {
        let request = Request::new(v1::GetTrustStoreRequest {});
        self.api.get_trust_store(request).await.unwrap().into_inner()
    }

    async fn look_after(&self, days: i64) -> Vec<String> {
        self.clock.set(at(NOW) + (24 * days).hours());
        self.watch.look().await.unwrap();
        std::mem::take(&mut *self.told.0.lock().unwrap())
    }
}

#[tokio::test]
async fn what_is_saved_is_told_with_its_days_and_who_changed_it() {
    let fixture = fixture();
    let empty = fixture.get().await;
    assert_eq!(empty.trust_store.unwrap(), v1::TrustStore::default());

    fixture.update(vec![certificate("corp", "CN=Corp")], "", false).await.unwrap();

    let response = fixture.get().await;
    let store = response.trust_store.unwrap();
    let [one] = store.certificates.as_slice() else { panic!("{store:?}") };
    assert_eq!((one.name.as_str(), one.subject.as_str(), one.days_left), ("corp", "CN=Corp", 100));
    assert_eq!(one.certificate_pem, "CN=Corp");
    assert_eq!((store.generation, store.etag.as_str()), (1, "g1"));
    let [change] = response.changes.as_slice() else { panic!("{:?}", response.changes) };
    assert_eq!(change.summary, "added corp (CN=Corp, SHA-256 CN=Corp…)");
    assert_eq!(change.caller, "local");
}

#[tokio::test]
async fn a_check_alone_saves_nothing() {
    let fixture = fixture();

    let told = fixture.update(vec![certificate("corp", "CN=Corp")], "", true).await.unwrap();

    assert_eq!(told.certificates[0].subject, "CN=Corp");
    assert_eq!(fixture.get().await.trust_store.unwrap(), v1::TrustStore::default());
}

#[tokio::test]
async fn an_update_of_what_somebody_else_has_changed_is_refused() {
    let fixture = fixture();
    fixture.update(vec![certificate("corp", "CN=Corp")], "", false).await.unwrap();
    fixture.update(vec![], "g1", false).await.unwrap();

    let refused = fixture.update(vec![], "g1", false).await.unwrap_err();

    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(reason(&refused).as_deref(), Some("ETAG_MISMATCH"));
}

#[tokio::test]
async fn everything_that_is_wrong_is_refused_in_one_answer() {
    let fixture = fixture();
    let mut unknown = certificate("corp", "CN=Corp");
    unknown.trusted_for = vec![99];

    let refused = fixture.update(vec![certificate("Corp!", ""), unknown], "", false).await;

    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused).as_deref(), Some("INVALID_TRUST_STORE"));
    let details = tonic_types::StatusExt::get_error_details(&refused);
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    let expected = [
        "trust_store.certificates[1].trusted_for[0]",
        "trust_store.certificates[0].name",
        "trust_store.certificates[0].certificate_pem",
        "trust_store.certificates[1].trusted_for",
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn an_alarm_tells_of_an_expiry_at_each_stage_until_the_certificate_is_replaced() {
    let fixture = fixture();
    fixture.update(vec![certificate("corp", "CN=Corp")], "", false).await.unwrap();

    assert!(fixture.look_after(39).await.is_empty());
    for days in [40, 70, 86, 93, 99] {
        assert_eq!(fixture.look_after(days).await, ["raised certificate-expiration corp"]);
        assert!(fixture.look_after(days).await.is_empty(), "each stage is told once");
    }
    let both = ["cleared certificate-expiration corp", "raised certificate-expired corp"];
    assert_eq!(fixture.look_after(101).await, both);

    fixture.update(vec![], "", false).await.unwrap();

    assert_eq!(fixture.look_after(102).await, ["cleared certificate-expired corp"]);
}
