//! A role with everything around it, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_api::v1;
use nuncio_api::v1::alarm_service_server::AlarmService as _;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::job::{Job, JobState, Reason};
use nuncio_core::mail::Mail;
use nuncio_core::outcome::{SendOutcome, Verdict};
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::{Claim, Claimed, Incarnation, JobStore, Settlement};
use nuncio_core::ports::records::{Record, RecordKind, RecordQuery, RecordStore};
use nuncio_core::reply::SmtpReply;
use nuncio_core::retry::decide;
use nuncio_core::template::Templates;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver};
use nuncio_nodes::election::Elections;
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::mnt::{Mnt, MntPorts};
use crate::notice::NOTICE;
use crate::service::AlarmApi;
use crate::service::events::take_batch;

pub(super) const SETTLE: Duration = Duration::from_millis(200);

/// A role, and what it uses.
pub(super) struct Sandbox {
    pub(super) store: Arc<MemoryJobStore>,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) clock: Arc<TestClock>,
    pub(super) entropy: Arc<TestEntropy>,
    settings: Arc<EmbeddedCluster>,
    /// The templates of the mails.
    pub(super) templates: watch::Sender<Templates>,
    _folder: TempDir,
    pub(super) api: AlarmApi,
    running: JoinSet<()>,
    stop: CancellationToken,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let store = Arc::new(MemoryJobStore::default());
        let records: Arc<dyn RecordStore> = Arc::<MemoryJobStore>::clone(&store);
        Self::over(store, records)
    }

    pub(super) fn over(store: Arc<MemoryJobStore>, records: Arc<dyn RecordStore>) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = Arc::new(
            EmbeddedCluster::open(folder.path(), load_keys(folder.path(), None).unwrap()).unwrap(),
        );
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let clock = Arc::new(TestClock::starting_at(start));
        let entropy = Arc::new(TestEntropy::default());
        let templates = watch::Sender::new(Templates::shipped());
        let (api, running, stop) =
            start_role(&store, &records, (&clock, &entropy), &settings, templates.subscribe());
        Self {
            store,
            records,
            clock,
            entropy,
            settings,
            templates,
            _folder: folder,
            api,
            running,
            stop,
        }
    }

    /// Ends the role as a kill does, and starts another one over the same store.
    pub(super) fn restart(&mut self) {
        self.running.abort_all();
        self.start_another();
    }

    /// Starts a second role beside those that run; calls go to it.
    pub(super) fn start_another(&mut self) {
        let Self { store, records, clock, entropy, settings, templates, .. } = self;
        let (api, mut running, stop) =
            start_role(store, records, (clock, entropy), settings, templates.subscribe());
        self.api = api;
        self.stop = stop;
        let mut before = std::mem::replace(&mut self.running, JoinSet::new());
        self.running.spawn(async move { while before.join_next().await.is_some() {} });
        self.running.spawn(async move { while running.join_next().await.is_some() {} });
    }

    /// Lets time pass, in steps in which whatever is due is done.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        tokio::time::sleep(SETTLE).await;
    }

    pub(super) async fn configure(&self, change: impl FnOnce(&mut v1::AlarmSettings)) {
        let request = Request::new(v1::GetAlarmSettingsRequest {});
        let got = self.api.get_alarm_settings(request).await.unwrap().into_inner();
        let mut settings = got.alarm_settings.unwrap();
        change(&mut settings);
        let request = v1::UpdateAlarmSettingsRequest {
            alarm_settings: Some(settings),
            ..v1::UpdateAlarmSettingsRequest::default()
        };
        self.api.update_alarm_settings(Request::new(request)).await.unwrap();
    }

    /// Names these as recipients of all alarms.
    pub(super) async fn tell(&self, addresses: &[&str]) {
        let recipients = addresses.iter().map(|one| (*one).to_owned()).collect();
        self.configure(|settings| settings.recipients = recipients).await;
    }

    pub(super) async fn change_type(&self, id: &str, change: impl FnOnce(&mut v1::AlarmType)) {
        let known = self.api.rounds.rules.current();
        let mut alarm_type: v1::AlarmType = known.rules.find(id).unwrap().into();
        change(&mut alarm_type);
        let request = v1::UpdateAlarmTypeRequest {
            alarm_type: Some(alarm_type),
            ..v1::UpdateAlarmTypeRequest::default()
        };
        self.api.update_alarm_type(Request::new(request)).await.unwrap();
    }

    pub(super) async fn raise(&self, alarm: v1::NewAlarm) -> v1::RaiseAlarmResponse {
        let request = v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false };
        self.api.raise_alarm(Request::new(request)).await.unwrap().into_inner()
    }

    pub(super) async fn clear(&self, alarm: &v1::NewAlarm) -> v1::AlarmOutcome {
        let identity = alarm.identity.clone();
        let end = v1::AlarmEnd { identity, ..v1::AlarmEnd::default() };
        let request = v1::ClearAlarmRequest { end: Some(end), name: String::new() };
        self.api.clear_alarm(Request::new(request)).await.unwrap().into_inner().outcome()
    }

    /// Whether an alarm was taken.
    pub(super) async fn try_raise(&self, alarm: v1::NewAlarm) -> bool {
        let request = v1::RaiseAlarmRequest { alarm: Some(alarm), validate_only: false };
        self.api.raise_alarm(Request::new(request)).await.is_ok()
    }

    /// Whether the end of an alarm was taken.
    pub(super) async fn try_clear(&self, alarm: &v1::NewAlarm) -> bool {
        let identity = alarm.identity.clone();
        let end = v1::AlarmEnd { identity, ..v1::AlarmEnd::default() };
        let request = v1::ClearAlarmRequest { end: Some(end), name: String::new() };
        self.api.clear_alarm(Request::new(request)).await.is_ok()
    }

    /// Takes a batch as the stream does.
    pub(super) async fn take(
        &self,
        batch: v1::RaiseAlarmsRequest,
    ) -> Result<v1::RaiseAlarmsResponse, Status> {
        let (known, now) = (self.api.rounds.rules.current(), self.clock.now());
        let by = nuncio_core::caller::Caller::local().id;
        take_batch(&self.api.alarms, batch, &known, (&by, now), None).await
    }

    pub(super) async fn get(&self, name: &str) -> v1::GetAlarmResponse {
        let request = v1::GetAlarmRequest { name: name.to_owned() };
        self.api.get_alarm(Request::new(request)).await.unwrap().into_inner()
    }

    pub(super) async fn silence(&self, alarm_type: &str, time: Duration) -> String {
        let silence = v1::Silence {
            r#type: alarm_type.to_owned(),
            end_time: Some(nuncio_api::convert::time::timestamp(self.clock.now() + time)),
            comment: "test".to_owned(),
            ..v1::Silence::default()
        };
        let request = v1::CreateSilenceRequest { silence: Some(silence) };
        let response = self.api.create_silence(Request::new(request)).await.unwrap();
        response.into_inner().silence.unwrap().name
    }

    /// Sends all mails that wait: the provider takes them, or refuses every recipient for good.
    pub(super) async fn send_all(&self, is_taken: bool) -> usize {
        let now = self.clock.now();
        let claim = Claim {
            holder: Incarnation("sender".to_owned()),
            now,
            until: now + Duration::from_mins(1),
            limit: 1000,
            patient_max: 1000,
            into_body: false,
            except: Vec::new(),
        };
        let claimed = self.store.claim(claim).await.unwrap();
        let count = claimed.len();
        for Claimed { lease, job, .. } in claimed {
            let code = if is_taken { 250 } else { 550 };
            let reply = SmtpReply { code, enhanced: None, text: "said the provider".to_owned() };
            let refusal = Reason::new("RECIPIENT_REFUSED", "nobody is there").reply(reply.clone());
            let taken = Verdict::Accepted(reply);
            let verdict = if is_taken { taken } else { Verdict::Refused(refusal) };
            let outcome = SendOutcome::Judged(vec![verdict; job.pending().len()]);
            let decision = decide(&job, outcome, now, 0.0).unwrap();
            let settlement = Settlement { decision, attempt: None, settings_generation: None, now };
            self.store.settle(lease, settlement).await.unwrap();
        }
        count
    }

    /// The records of a kind, at most 10,000.
    pub(super) async fn records_of(&self, kind: RecordKind) -> Vec<Record> {
        let query = RecordQuery { kind, owner: None, after: None, limit: 10_000 };
        self.store.list_records(&query).await.unwrap()
    }

    /// What was written for the second route: the kind of each notice, and its content.
    pub(super) async fn notices(&self) -> Vec<(String, serde_json::Value)> {
        let records = self.records_of(NOTICE).await;
        let read = |record: Record| {
            let content: serde_json::Value = serde_json::from_str(&record.content).unwrap();
            (content["kind"].as_str().unwrap().to_owned(), content)
        };
        records.into_iter().map(read).collect()
    }

    /// Those of one kind.
    pub(super) async fn notices_of(&self, kind: &str) -> Vec<serde_json::Value> {
        let all = self.notices().await;
        all.into_iter().filter(|(of, _)| of == kind).map(|(_, content)| content).collect()
    }

    /// The mails that were made since the last call, as they would be sent.
    pub(super) async fn mails(&self) -> Vec<SentMail> {
        let now = self.clock.now();
        let claim = Claim {
            holder: Incarnation("test".to_owned()),
            now,
            until: now + Duration::from_hours(10_000),
            limit: 1000,
            patient_max: 1000,
            into_body: false,
            except: Vec::new(),
        };
        let mut claimed = self.store.claim(claim).await.unwrap();
        claimed.sort_by_key(|one| one.job.id);
        let mails = claimed.into_iter();
        mails
            .map(|one| {
                assert_eq!(one.job.state, JobState::Sending);
                SentMail { job: one.job, mail: one.mail }
            })
            .collect()
    }
}

/// A mail as it would be sent.
pub(super) struct SentMail {
    pub(super) job: Job,
    pub(super) mail: Mail,
}

impl SentMail {
    pub(super) fn subject(&self) -> &str {
        &self.mail.subject
    }

    pub(super) fn text(&self) -> &str {
        self.mail.text.as_ref().unwrap().expose()
    }

    pub(super) fn to(&self) -> Vec<&str> {
        self.mail.recipients.iter().map(|one| one.mailbox.address.as_str()).collect()
    }

    pub(super) fn template(&self) -> &str {
        self.mail.template.as_deref().unwrap().trim_start_matches("templates/")
    }

    pub(super) fn class(&self) -> MailClass {
        self.job.class
    }
}

/// An alarm of this type and node.
pub(super) fn alarm(alarm_type: &str, node: &str) -> v1::NewAlarm {
    let identity = v1::AlarmIdentity {
        r#type: alarm_type.to_owned(),
        node: node.to_owned(),
        ..v1::AlarmIdentity::default()
    };
    v1::NewAlarm {
        identity: Some(identity),
        description: format!("{node} is in trouble"),
        ..v1::NewAlarm::default()
    }
}

pub(super) fn templates_of(mails: &[SentMail]) -> Vec<&str> {
    mails.iter().map(SentMail::template).collect()
}

fn start_role(
    store: &Arc<MemoryJobStore>,
    records: &Arc<dyn RecordStore>,
    (clock, entropy): (&Arc<TestClock>, &Arc<TestEntropy>),
    settings: &Arc<EmbeddedCluster>,
    templates: watch::Receiver<Templates>,
) -> (AlarmApi, JoinSet<()>, CancellationToken) {
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    let entropy: Arc<dyn Entropy> = Arc::<TestEntropy>::clone(entropy);
    let intake = Intake {
        store: Arc::<MemoryJobStore>::clone(store),
        clock,
        entropy,
        observer: Arc::new(Nobody),
        settings: watch::channel(None).1,
        templates,
    };
    let mnt = Mnt::new(MntPorts {
        records: Arc::clone(records),
        settings: Arc::<EmbeddedCluster>::clone(settings),
        intake,
        elections: Elections::alone(),
    });
    let stop = CancellationToken::new();
    let api = mnt.api(&stop);
    let mut running = JoinSet::new();
    let shutdown = stop.clone();
    running.spawn(async move { mnt.run(shutdown).await.unwrap() });
    (api, running, stop)
}

struct Nobody;

impl DeliveryObserver for Nobody {
    fn job_accepted(&self, _class: MailClass) {}

    fn attempt_ended(&self, _class: MailClass, _outcome: &str, _elapsed: Duration) {}

    fn job_ended(&self, _class: MailClass, _state: JobState) {}

    fn alarm_raised(&self, _alarm: &Alarm) {}

    fn alarm_cleared(&self, _kind: AlarmKind, _mailbox: &EmailAddress) {}
}
