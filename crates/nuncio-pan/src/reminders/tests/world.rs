//! A PAN's reminders over a store in memory, with a clock that a test sets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::directory::guest::{Guest, GuestId, GuestState, Sponsor};
use nuncio_core::directory::user::{User, UserId, UserKind};
use nuncio_core::job::{Job, JobState};
use nuncio_core::mail::Mail;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::{Claim, Incarnation, JobQuery, JobStore, StoreError};
use nuncio_core::ports::records::*;
use nuncio_core::reminder::Channel;
use nuncio_core::reminder::ledger::LEDGER;
use nuncio_core::reminder::rules::{ReminderSettings, Rule, Stage};
use nuncio_core::settings::document::SavedDocument;
use nuncio_core::settings::guest_mail::GuestMailSettings;
use nuncio_core::template::Templates;
use nuncio_delivery::guest_mail;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver};
use nuncio_directory::change::Entry;
use nuncio_directory::directory::{Directory, Wanted};
use nuncio_directory::subject::Subject;
use nuncio_runtime::clock::TestEntropy;
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;

use super::super::follow_up::Reminding;
use super::super::ledger::LedgerRow;
use super::super::{ReminderObserver, Reminders, document};

pub(crate) const DAY: Duration = Duration::from_hours(24);

pub(crate) struct World {
    pub(crate) store: Arc<MemoryJobStore>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) saved: watch::Sender<Option<Arc<SavedDocument>>>,
    pub(crate) guest_mail: watch::Sender<Option<Arc<SavedDocument>>>,
    pub(crate) reminders: Reminders,
    pub(crate) told: Arc<Told>,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Guests at these hours before the expiry.
pub(crate) fn stages(hours: &[u64]) -> ReminderSettings {
    let stages = hours.iter().map(|hours| Stage::at(Duration::from_hours(*hours))).collect();
    let rule = Rule { is_enabled: true, stages, copy_to_sponsor: false };
    ReminderSettings { guests: rule, ..ReminderSettings::default() }
}

impl World {
    /// It is the first of May, and guests are reminded at the given hours before the expiry.
    pub(crate) fn new(hours: &[u64]) -> Self {
        let store = Arc::new(MemoryJobStore::default());
        let records: Arc<dyn RecordStore> = Arc::<MemoryJobStore>::clone(&store);
        Self::over(store, records, hours)
    }

    pub(crate) fn over(
        store: Arc<MemoryJobStore>,
        records: Arc<dyn RecordStore>,
        hours: &[u64],
    ) -> Self {
        let clock = Arc::new(SetClock::at(at("2026-05-01T00:00:00Z")));
        let (saved, settings) = watch::channel(Some(Arc::new(document(1, &stages(hours)))));
        let told = Arc::new(Told::default());
        let intake = Intake {
            store: Arc::<MemoryJobStore>::clone(&store),
            clock: Arc::<SetClock>::clone(&clock),
            entropy: Arc::new(TestEntropy::default()),
            observer: Arc::<Told>::clone(&told),
            settings: watch::channel(None).1,
            templates: watch::channel(Templates::shipped()).1,
        };
        let observer = Arc::<Told>::clone(&told);
        let (guest_mail, guest_mail_seen) = watch::channel(None);
        let reminders =
            Reminders { records, intake, settings, guest_mail: guest_mail_seen, observer };
        Self { store, clock, saved, guest_mail, reminders, told }
    }

    /// Saves other settings; nobody has looked at them yet.
    pub(crate) fn save(&self, settings: &ReminderSettings) {
        self.saved.send_modify(|saved| {
            let generation = saved.as_ref().map_or(0, |saved| saved.generation) + 1;
            *saved = Some(Arc::new(document(generation, settings)));
        });
    }

    /// Saves guest mail settings.
    pub(crate) fn save_guest_mail(&self, settings: &GuestMailSettings) {
        self.guest_mail.send_modify(|saved| {
            let generation = saved.as_ref().map_or(0, |saved| saved.generation) + 1;
            let content = guest_mail::encode(settings);
            *saved = Some(Arc::new(SavedDocument { content, generation, history: Vec::new() }));
        });
    }

    pub(crate) fn directory(&self) -> Directory {
        let follow_up = Reminding::new(self.reminders.settings.clone());
        Directory {
            records: Arc::<MemoryJobStore>::clone(&self.store),
            follow_up: Arc::new(follow_up),
        }
    }

    pub(crate) async fn put<S: Subject>(&self, subject: S) {
        let put = |_: Option<&Entry<S>>| Ok::<_, ()>(Wanted::Put(subject.clone()));
        self.directory().change(subject.id(), self.clock.now(), put).await.unwrap();
    }

    pub(crate) async fn change_guest(&self, id: &str, change: impl Fn(&mut Guest)) {
        let changed = |entry: Option<&Entry<Guest>>| {
            let mut guest = entry.unwrap().subject.clone();
            change(&mut guest);
            Ok::<_, ()>(Wanted::Put(guest))
        };
        let id = GuestId::parse(id).unwrap();
        self.directory().change(&id, self.clock.now(), changed).await.unwrap();
    }

    pub(crate) async fn guest(&self, id: &str) -> Entry<Guest> {
        self.directory().get::<Guest>(&GuestId::parse(id).unwrap()).await.unwrap().unwrap()
    }

    /// Looks at everybody who is due at this time.
    pub(crate) async fn round_at(&self, moment: &str) {
        self.clock.set(at(moment));
        self.reminders.round().await.unwrap();
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
        let query = JobQuery { limit: 10_000, ..JobQuery::default() };
        let mut jobs = self.store.list(&query).await.unwrap().jobs;
        jobs.reverse();
        jobs
    }

    /// The mails that may be sent now, as a dispatcher takes them.
    pub(crate) async fn claimed(&self) -> Vec<Mail> {
        let now = self.clock.now();
        let holder = Incarnation("test".to_owned());
        let until = now + Duration::from_mins(1);
        let claim = Claim {
            holder,
            now,
            until,
            limit: 100,
            patient_max: 100,
            into_body: false,
            except: Vec::new(),
        };
        let claimed = self.store.claim(claim).await.unwrap();
        claimed.into_iter().map(|one| one.mail).collect()
    }

    /// How many mails wait or went out, and how many were cancelled.
    pub(crate) async fn mails(&self) -> (usize, usize) {
        let jobs = self.jobs().await;
        let cancelled = jobs.iter().filter(|job| job.state == JobState::Cancelled).count();
        (jobs.len() - cancelled, cancelled)
    }

    /// The rows of a subject: hours before the expiry and whether a mail was made.
    pub(crate) async fn ledger(&self, subject: &str) -> Vec<LedgerRow> {
        let owner = Some(subject.to_owned());
        let query = RecordQuery { kind: LEDGER, owner, after: None, limit: 1000 };
        let rows = self.store.list_records(&query).await.unwrap();
        rows.iter().map(|row| LedgerRow::read(row).unwrap()).collect()
    }
}

pub(crate) fn document(generation: i64, settings: &ReminderSettings) -> SavedDocument {
    SavedDocument { content: document::encode(settings), generation, history: Vec::new() }
}

pub(crate) fn guest(id: &str, valid_to: &str) -> Guest {
    Guest {
        id: GuestId::parse(id).unwrap(),
        username: id.to_owned(),
        first_name: "Anna".to_owned(),
        last_name: "Example".to_owned(),
        company: String::new(),
        mobile_number: String::new(),
        email: Some(format!("{id}@guest.example").parse().unwrap()),
        guest_type: "contractor".to_owned(),
        sponsor: Some(Sponsor {
            name: "Sam Sponsor".to_owned(),
            email: "sam@contoso.example".parse().unwrap(),
        }),
        location: "San Jose".to_owned(),
        time_zone: TimeZone::UTC,
        language: String::new(),
        person_visited: String::new(),
        reason_for_visit: String::new(),
        ssid: String::new(),
        state: GuestState::Active,
        state_reason: String::new(),
        has_logged_in: true,
        valid_from: at("2026-01-01T00:00:00Z"),
        valid_to: at(valid_to),
        is_password_own: false,
        created_at: at("2026-01-01T00:00:00Z"),
        updated_at: at("2026-01-01T00:00:00Z"),
    }
}

pub(crate) fn user(id: &str, kind: UserKind, password_expires_at: &str) -> User {
    User {
        id: UserId::parse(id).unwrap(),
        username: id.to_owned(),
        kind,
        display_name: "Uma User".to_owned(),
        email: Some(format!("{id}@contoso.example").parse().unwrap()),
        alias_email: None,
        language: String::new(),
        time_zone: TimeZone::UTC,
        is_enabled: true,
        password_changed_at: None,
        password_expires_at: Some(at(password_expires_at)),
        password_never_expires: false,
        include_system_alarms_in_emails: false,
        created_at: at("2026-01-01T00:00:00Z"),
        updated_at: at("2026-01-01T00:00:00Z"),
    }
}

/// Stands still until it is set.
pub(crate) struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Counts what it is told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) accepted: AtomicU32,
    pub(crate) sent: Mutex<Vec<(Channel, Duration)>>,
    pub(crate) superseded: AtomicU32,
    pub(crate) expired: AtomicU32,
}

impl ReminderObserver for Told {
    fn reminder_sent(&self, channel: Channel, late: Duration) {
        self.sent.lock().unwrap().push((channel, late));
    }

    fn reminder_superseded(&self) {
        self.superseded.fetch_add(1, Ordering::Relaxed);
    }

    fn guest_expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }
}

impl DeliveryObserver for Told {
    fn job_accepted(&self, _class: MailClass) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    fn attempt_ended(&self, _class: MailClass, _outcome: &str, _elapsed: Duration) {}

    fn job_ended(&self, _class: MailClass, _state: JobState) {}

    fn alarm_raised(&self, _alarm: &Alarm) {}

    fn alarm_cleared(&self, _kind: AlarmKind, _mailbox: &EmailAddress) {}
}

/// When a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing of it was done.
    Before,
    /// All of it was done, but its answer was lost.
    After,
}

/// A store whose commit fails once: the process dies there.
pub(crate) struct CutStore {
    pub(crate) store: Arc<MemoryJobStore>,
    /// Which commit, from 0.
    pub(crate) cut: Mutex<Option<(u32, Cut)>>,
    commits: AtomicU32,
}

impl CutStore {
    pub(crate) fn new(store: Arc<MemoryJobStore>, commit: u32, cut: Cut) -> Self {
        Self { store, cut: Mutex::new(Some((commit, cut))), commits: AtomicU32::new(0) }
    }

    /// Whether the cut has come.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.lock().unwrap().is_none()
    }

    fn dead() -> CommitError {
        CommitError::Store(StoreError::Unusable("the process has died".into()))
    }
}

#[async_trait]
impl RecordStore for CutStore {
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
        self.store.read(keys).await
    }

    async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        self.store.list_records(query).await
    }

    async fn due_records(
        &self,
        kind: RecordKind,
        until: Timestamp,
        after: Option<&DuePlace>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.store.due_records(kind, until, after, limit).await
    }

    async fn next_due_record(&self, kind: RecordKind) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due_record(kind).await
    }

    async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
        self.store.count_records(kind).await
    }

    async fn commit(&self, changes: Changeset) -> Result<Committed, CommitError> {
        // Others may be at the same place meanwhile.
        tokio::task::yield_now().await;
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        let cut = {
            let mut cut = self.cut.lock().unwrap();
            cut.take_if(|(commit, _)| *commit == number).map(|(_, cut)| cut)
        };
        match cut {
            None => self.store.commit(changes).await,
            Some(Cut::Before) => Err(Self::dead()),
            Some(Cut::After) => self.store.commit(changes).await.and(Err(Self::dead())),
        }
    }

    fn records_changed(&self) -> watch::Receiver<()> {
        self.store.records_changed()
    }
}
