//! The year as the PAN lives it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Time;
use nuncio_core::directory::guest::{Guest, GuestId, GuestState, Sponsor};
use nuncio_core::directory::lifecycle::GuestAction;
use nuncio_core::directory::user::User;
use nuncio_core::job::{JobState, MailJobId};
use nuncio_core::ports::clock::Clock as _;
use nuncio_core::ports::job_store::{Claim, Incarnation, JobStore as _, Settlement, StoreError};
use nuncio_core::ports::records::*;
use nuncio_core::reminder::Channel;
use nuncio_core::reminder::ledger::LEDGER;
use nuncio_core::reminder::quiet::QuietHours;
use nuncio_core::reminder::rules::{self, ReminderSettings, Stage};
use nuncio_core::retry::Decision;
use nuncio_directory::change::Entry;
use nuncio_directory::directory::Wanted;
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;

use super::Mail;
use super::model::address_of;
use super::plan::{Act, DAY, Person, Plan, Reader, State, TYPES, YEAR, moment};
use crate::reminders::ledger::{LedgerOutcome, LedgerRow};
use crate::reminders::tests::world::{World, guest};

/// How long a job stays that has ended: longer than any downtime.
const KEPT: i64 = 25 * DAY;
/// The most mails that are claimed at once.
const CLAIMED: u32 = 1000;

pub(super) struct Year {
    pub(super) mails: Vec<Mail>,
    /// How each guest is at the end of the year.
    pub(super) ends: Vec<Option<(State, i64)>>,
}

struct Life<'a> {
    plan: &'a Plan,
    world: World,
    watched: Arc<Watched>,
    /// Everything that happens to guests, the last first.
    acts: Vec<(i64, usize, Act)>,
    settings: usize,
}

impl Year {
    pub(super) async fn live(plan: &Plan) -> Self {
        let store = Arc::new(MemoryJobStore::default());
        let watched = Arc::new(Watched::over(Arc::clone(&store)));
        let records: Arc<dyn RecordStore> = Arc::<Watched>::clone(&watched);
        let world = World::over(store, records, &[72]);
        let mut acts: Vec<_> = plan
            .guests
            .iter()
            .enumerate()
            .flat_map(|(guest, acts)| acts.iter().map(move |(at, act)| (*at, guest, *act)))
            .collect();
        acts.sort_by_key(|(at, guest, _)| std::cmp::Reverse((*at, *guest)));
        let mut life = Life { plan, world, watched, acts, settings: 0 };
        life.world.save(&settings(&plan.settings[0].1));
        for tick in Plan::ticks() {
            life.until(tick).await;
        }
        let mut ends = Vec::with_capacity(plan.guests.len());
        life.happen(YEAR.end).await;
        for guest in 0..plan.guests.len() {
            let entry = life.world.directory().get::<Guest>(&id(guest)).await.unwrap();
            ends.push(
                entry.map(|entry| (state(entry.subject.state), entry.subject.valid_to.as_second())),
            );
        }
        let mut mails: Vec<_> = life.watched.take().into_values().collect();
        mails.sort();
        Self { mails, ends }
    }
}

impl Life<'_> {
    async fn until(&mut self, tick: i64) {
        self.happen(tick).await;
        self.world.clock.set(moment(tick));
        if self.plan.is_pan_up(tick) {
            // Without a change of the settings it does nothing most of the time; here it does nothing ever then.
            if self.watched.is_swept(self.settings) {
                self.world.reminders.sweep::<Guest>().await.unwrap();
                self.world.reminders.sweep::<User>().await.unwrap();
            }
            self.world.reminders.round().await.unwrap();
        }
        if self.plan.is_provider_up(tick) && self.watched.is_any_waiting() {
            self.deliver(tick).await;
        }
        if tick % DAY == 0 {
            self.world.store.expire(moment(tick), CLAIMED).await.unwrap();
            self.world.store.prune(moment(tick - KEPT), CLAIMED).await.unwrap();
            self.world.reminders.prune().await.unwrap();
        }
    }

    /// What happens to guests and settings until then.
    async fn happen(&mut self, until: i64) {
        loop {
            let act = self.acts.last().map(|(at, ..)| *at).filter(|at| *at <= until);
            let next = self.plan.settings.get(self.settings + 1);
            match (act, next.filter(|(at, _)| *at <= until)) {
                (act, Some((at, next))) if act.is_none_or(|act| *at <= act) => {
                    self.settings += 1;
                    self.world.clock.set(moment(*at));
                    self.world.save(&settings(next));
                }
                (Some(_), _) => {
                    let (at, guest, act) = self.acts.pop().unwrap();
                    self.world.clock.set(moment(at));
                    self.act(guest, &act).await;
                }
                (None, _) => return,
            }
        }
    }

    async fn act(&self, guest: usize, act: &Act) {
        let now = self.world.clock.now();
        let decide = |entry: Option<&Entry<Guest>>| {
            let before = entry.map(|entry| &entry.subject);
            Ok::<_, ()>(match wanted(self.plan, guest, before, act, now) {
                None => Wanted::Keep,
                Some(None) => Wanted::Remove,
                Some(Some(guest)) => Wanted::Put(guest),
            })
        };
        self.world.directory().change(&id(guest), now, decide).await.unwrap();
    }

    async fn deliver(&self, tick: i64) {
        let now = moment(tick);
        let claim = Claim {
            holder: Incarnation("the only one".to_owned()),
            now,
            until: moment(tick + DAY),
            limit: CLAIMED,
            patient_max: CLAIMED,
            into_body: false,
            except: Vec::new(),
        };
        for claimed in self.world.store.claim(claim).await.unwrap() {
            self.watched.out(claimed.job.id, tick);
            let decision = Decision {
                state: JobState::Sent,
                reason: None,
                due_at: now,
                recipients: claimed.job.recipients,
                counted: true,
            };
            let settlement = Settlement { decision, attempt: None, settings_generation: None, now };
            self.world.store.settle(claimed.lease, settlement).await.unwrap();
        }
        self.watched.none_waits();
    }
}

/// The guest after an act, removed or not; nothing if the act is not possible.
#[expect(clippy::option_option, reason = "the inner one says whether somebody is left")]
fn wanted(
    plan: &Plan,
    number: usize,
    before: Option<&Guest>,
    act: &Act,
    now: Timestamp,
) -> Option<Option<Guest>> {
    let Some(before) = before else {
        let Act::Enter(person) = act else { return None };
        return Some(Some(person_of(plan, number, person, now)));
    };
    let action = |action: GuestAction| before.after(&action, now).ok().map(Some);
    let with = |change: &dyn Fn(&mut Guest)| {
        let mut after = before.clone();
        change(&mut after);
        Some(Some(after))
    };
    let over = matches!(before.state, GuestState::Expired | GuestState::Denied);
    match act {
        Act::Enter(_) => None,
        Act::Extend(to) => action(GuestAction::Extend { valid_to: moment(*to) }),
        Act::MoveEnd(_) if over => None,
        Act::MoveEnd(to) => with(&|guest| guest.valid_to = moment(*to)),
        Act::Suspend => action(GuestAction::Suspend { reason: String::new() }),
        Act::Reinstate => action(GuestAction::Reinstate),
        Act::Approve => action(GuestAction::Approve),
        Act::Deny => action(GuestAction::Deny { reason: String::new() }),
        Act::Email(email) => with(&|guest| {
            guest.email =
                email.map(|email| address_of(number, Reader::Guest, email).parse().unwrap());
        }),
        Act::Sponsor(sponsor) => with(&|guest| guest.sponsor = sponsor_of(number, *sponsor)),
        Act::Zone(zone) => with(&|guest| guest.time_zone = plan.zones[*zone].clone()),
        Act::Kind(kind) => with(&|guest| guest.guest_type = kind_name(*kind)),
        Act::Remove => Some(None),
    }
}

fn person_of(plan: &Plan, number: usize, person: &Person, now: Timestamp) -> Guest {
    Guest {
        id: id(number),
        email: person.email.map(|email| address_of(number, Reader::Guest, email).parse().unwrap()),
        sponsor: sponsor_of(number, person.sponsor),
        guest_type: kind_name(person.kind),
        time_zone: plan.zones[person.zone].clone(),
        state: match person.state {
            State::Pending => GuestState::PendingApproval,
            State::Open | State::Suspended | State::Expired | State::Denied => GuestState::Active,
        },
        valid_from: moment(person.from),
        valid_to: moment(person.to),
        created_at: now,
        updated_at: now,
        ..guest("any", "2026-12-31T00:00:00Z")
    }
}

fn sponsor_of(number: usize, sponsor: Option<u64>) -> Option<Sponsor> {
    let email = address_of(number, Reader::Sponsor, sponsor?);
    Some(Sponsor { name: "Sam Sponsor".to_owned(), email: email.parse().unwrap() })
}

fn kind_name(kind: u64) -> String {
    format!("type-{kind}")
}

fn id(number: usize) -> GuestId {
    GuestId::parse(&format!("g{number}")).unwrap()
}

fn state(state: GuestState) -> State {
    match state {
        GuestState::PendingApproval => State::Pending,
        GuestState::Created | GuestState::Active => State::Open,
        GuestState::Suspended => State::Suspended,
        GuestState::Expired => State::Expired,
        GuestState::Denied => State::Denied,
    }
}

fn settings(plan: &super::plan::Settings) -> ReminderSettings {
    let seconds = |seconds: &i64| Stage::at(Duration::from_secs(u64::try_from(*seconds).unwrap()));
    let rule = |rule: &super::plan::Rule| rules::Rule {
        is_enabled: rule.is_on,
        stages: rule.stages.iter().map(seconds).collect(),
        copy_to_sponsor: rule.copy,
    };
    let time = |quarters: i64| {
        let (hour, minute) = (quarters / 4, quarters % 4 * 15);
        Time::new(i8::try_from(hour).unwrap(), i8::try_from(minute).unwrap(), 0, 0).unwrap()
    };
    // The last rule is that of all types without one.
    let own = usize::try_from(TYPES).unwrap() - 2;
    let types = plan.rules[..own].iter().zip(0..);
    let checked = ReminderSettings {
        guests: rule(plan.rules.last().unwrap()),
        guest_types: types.map(|(of, kind)| (kind_name(kind), rule(of))).collect(),
        quiet_hours: plan
            .quiet
            .map(|(start, end)| QuietHours::new(time(start), time(end)).unwrap()),
        ..ReminderSettings::default()
    };
    checked.check().unwrap()
}

/// Notes which mails are made for which place in the ledger.
struct Watched {
    store: Arc<MemoryJobStore>,
    noted: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    mails: HashMap<MailJobId, Mail>,
    any_waits: bool,
    swept: Option<usize>,
}

impl Watched {
    fn over(store: Arc<MemoryJobStore>) -> Self {
        Self { store, noted: Mutex::default() }
    }

    /// Whether these settings are new to it.
    fn is_swept(&self, settings: usize) -> bool {
        self.noted.lock().unwrap().swept.replace(settings) != Some(settings)
    }

    fn is_any_waiting(&self) -> bool {
        self.noted.lock().unwrap().any_waits
    }

    fn none_waits(&self) {
        self.noted.lock().unwrap().any_waits = false;
    }

    fn out(&self, job: MailJobId, at: i64) {
        let mut noted = self.noted.lock().unwrap();
        let mail = noted.mails.get_mut(&job).expect("every mail has its row in the ledger");
        assert_eq!(mail.out_at.replace(at), None, "{mail:?}");
    }

    fn take(&self) -> HashMap<MailJobId, Mail> {
        std::mem::take(&mut self.noted.lock().unwrap().mails)
    }

    fn note(&self, changes: &Changeset) {
        let mut noted = self.noted.lock().unwrap();
        for write in &changes.writes {
            let Write::Put { key, owner, content, .. } = write else { continue };
            if key.kind != LEDGER {
                continue;
            }
            let record = Record {
                key: key.clone(),
                version: 1,
                owner: owner.clone(),
                due_at: None,
                updated_at: changes.now,
                content: content.clone(),
            };
            let LedgerRow { key, outcome, .. } = LedgerRow::read(&record).unwrap();
            let LedgerOutcome::Mailed(job) = outcome else { continue };
            let job = changes.jobs.iter().find(|new| new.id == job).expect("the mail is made too");
            let recipient = &job.mail.recipients[0].mailbox.address;
            let mail = Mail {
                guest: key.subject.strip_prefix("guests/g").unwrap().parse().unwrap(),
                reader: match key.channel {
                    Channel::Subject => Reader::Guest,
                    Channel::Sponsor => Reader::Sponsor,
                },
                address: recipient.to_string(),
                expiry: key.expires_at.as_second(),
                before: i64::try_from(key.before.as_secs()).unwrap(),
                made_at: job.created_at.as_second(),
                out_at: None,
            };
            assert_eq!(noted.mails.insert(job.id, mail), None);
            noted.any_waits = true;
        }
    }
}

#[async_trait]
impl RecordStore for Watched {
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
        let copy = changes.clone();
        let committed = self.store.commit(changes).await?;
        self.note(&copy);
        Ok(committed)
    }

    fn records_changed(&self) -> watch::Receiver<()> {
        self.store.records_changed()
    }
}
