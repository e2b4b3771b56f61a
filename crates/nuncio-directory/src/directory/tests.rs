use nuncio_core::directory::guest::GuestState;
use nuncio_core::ports::records::{DuePlace, Expected, RecordQuery, Write};

use super::*;
use crate::change::{Changed, Followed};
use crate::mails::{AccessMail, MAILS_MAX};
use crate::notes::Notes;
use crate::subject::GUESTS;
use crate::testing::{days, directory, guest, guest_id, now, user};

async fn keep(directory: &Directory, guest: &Guest) -> Entry<Guest> {
    let mut changes = Changeset::new(now());
    directory.put(None, guest, now()).add_to(&mut changes);
    directory.records.commit(changes).await.unwrap();
    directory.get(&guest.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn whoever_is_put_is_found_by_id_by_sponsor_and_when_due() {
    let directory = directory();
    let entry = keep(&directory, &guest("erika")).await;
    assert_eq!(entry.subject, guest("erika"));
    assert_eq!(entry.due_at, Some(days(10)));

    let owner = Some("max@example.com".to_owned());
    let query = RecordQuery { kind: GUESTS, owner, after: None, limit: 10 };
    assert_eq!(directory.records.list_records(&query).await.unwrap().len(), 1);
    let none: Option<&DuePlace> = None;
    assert_eq!(directory.records.due_records(GUESTS, days(10), none, 10).await.unwrap().len(), 1);
    assert_eq!(directory.records.due_records(GUESTS, days(9), none, 10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_user_whose_password_never_expires_is_never_due() {
    let directory = directory();
    for (never, due_at) in [(false, Some(days(5))), (true, None)] {
        let user =
            nuncio_core::directory::user::User { password_never_expires: never, ..user("root") };
        let done = directory
            .change(&user.id, now(), |_| Ok::<_, ()>(Wanted::Put(user.clone())))
            .await
            .unwrap();
        assert_eq!(done.entry.unwrap().due_at, due_at);
    }
}

#[tokio::test]
async fn a_change_that_others_have_overtaken_is_refused() {
    let directory = directory();
    let stale = keep(&directory, &guest("erika")).await;
    let suspend = GuestAction::Suspend { reason: String::new() };
    for is_first in [true, false] {
        let (_, change) = directory.transition(&stale, &suspend, now()).unwrap();
        let mut changes = Changeset::new(now());
        change.add_to(&mut changes);
        let committed = directory.records.commit(changes).await;
        assert_eq!(committed.is_ok(), is_first);
    }
}

#[tokio::test]
async fn an_etag_differs_after_each_change_and_when_somebody_is_made_anew() {
    let directory = directory();
    let first = keep(&directory, &guest("erika")).await;
    let mut changes = Changeset::new(days(1));
    directory.remove(&first, days(1)).add_to(&mut changes);
    directory.records.commit(changes).await.unwrap();
    assert_eq!(directory.get::<Guest>(&guest_id("erika")).await.unwrap(), None);

    let again = keep(&directory, &guest("erika").touched(days(1))).await;
    assert_eq!(again.version, first.version);
    assert_ne!(again.etag(), first.etag());
}

/// Cancels the job that the notes name, and notes nothing more.
struct CancelsNoted;

impl FollowUp for CancelsNoted {
    fn guest(&self, changed: &Changed<'_, Guest>) -> Followed {
        let noted = changed.notes.map(|notes| notes.read::<Vec<String>>().unwrap());
        let noted = noted.unwrap_or_default();
        let cancel = noted.iter().map(|job| job.parse().unwrap()).collect();
        Followed { due_at: changed.after.map(|guest| guest.valid_to), notes: None, cancel }
    }

    fn user(&self, _changed: &Changed<'_, nuncio_core::directory::user::User>) -> Followed {
        Followed::default()
    }
}

#[tokio::test]
async fn a_change_carries_the_mails_that_it_voids() {
    let directory = Directory { follow_up: Arc::new(CancelsNoted), ..directory() };
    let entry = keep(&directory, &guest("erika")).await;
    let job = "mailJobs/0190a000-0000-7000-8000-000000000001";
    let mut changes = Changeset::new(now());
    changes.writes.push(entry.noted(Some(&Notes::new(&[job])), Some(days(7))));
    directory.records.commit(changes).await.unwrap();

    let noted = directory.get::<Guest>(&guest_id("erika")).await.unwrap().unwrap();
    assert_eq!((noted.due_at, &noted.subject), (Some(days(7)), &entry.subject));
    let extend = GuestAction::Extend { valid_to: days(20) };
    let (after, change) = directory.transition(&noted, &extend, now()).unwrap();
    assert_eq!((after.state, after.valid_to), (GuestState::Created, days(20)));
    assert_eq!(change.cancel, [job.parse().unwrap()]);
    let Write::Put { expected, due_at, .. } = change.write else { panic!("it is put") };
    assert_eq!((expected, due_at), (Expected::Version(noted.version), Some(days(20))));
    assert_eq!(directory.remove(&noted, now()).cancel, [job.parse().unwrap()]);
}

#[tokio::test]
async fn mails_of_an_access_are_cancelled_with_it_and_forgotten_when_their_time_is_over() {
    let directory = directory();
    let entry = keep(&directory, &guest("erika")).await;
    let mail = |number, until| AccessMail { job: MailJobId::new(now(), [number; 10]), until };
    let mut changes = Changeset::new(now());
    let told = [mail(1, days(1)), mail(2, days(2)), mail(3, days(3))];
    changes.writes.push(entry.told(told.clone(), now()));
    directory.records.commit(changes).await.unwrap();
    let told_entry = directory.get::<Guest>(&guest_id("erika")).await.unwrap().unwrap();
    assert_eq!((&told_entry.mails[..], told_entry.etag()), (&told[..], entry.etag()));
    let suspend = GuestAction::Suspend { reason: String::new() };
    let extend = GuestAction::Extend { valid_to: days(20) };

    let (_, extended) = directory.transition(&told_entry, &extend, days(1)).unwrap();
    let (_, suspended) = directory.transition(&told_entry, &suspend, days(1)).unwrap();
    let removed = directory.remove(&told_entry, days(1));

    let jobs = |mails: &[AccessMail]| mails.iter().map(|mail| mail.job).collect::<Vec<_>>();
    let kept = |change: &Change| {
        let Write::Put { content, .. } = &change.write else { panic!("it is put") };
        Guest::decode("erika", content).unwrap().2
    };
    assert_eq!((&extended.cancel[..], kept(&extended)), (&[][..], told[1..].to_vec()));
    assert_eq!((suspended.cancel.clone(), kept(&suspended)), (jobs(&told[1..]), Vec::new()));
    assert_eq!(removed.cancel, jobs(&told));
}

#[tokio::test]
async fn only_the_newest_mails_of_an_access_are_kept() {
    let directory = directory();
    let entry = keep(&directory, &guest("erika")).await;
    let count = u8::try_from(MAILS_MAX).unwrap() + 1;
    let mails = (0..count)
        .map(|number| AccessMail { job: MailJobId::new(now(), [number; 10]), until: days(1) });
    let mails: Vec<_> = mails.collect();

    let Write::Put { content, .. } = entry.told(mails.clone(), now()) else { panic!("it is put") };

    assert_eq!(Guest::decode("erika", &content).unwrap().2, mails[1..]);
}
