//! Mails that tell of an access, when the access is gone before they are.

use nuncio_core::directory::draft::GuestDraft;
use nuncio_core::directory::guest::GuestId;
use nuncio_core::directory::lifecycle::GuestAction;
use nuncio_directory::change::Entry;
use nuncio_directory::directory::Wanted;

use super::*;

/// What becomes of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Suspended,
    Removed,
    Extended,
}

fn ada() -> GuestId {
    GuestId::parse("ada").unwrap()
}

impl Fixture {
    async fn put_ada(&self) {
        let draft = GuestDraft {
            email: "ada@example.com".to_owned(),
            valid_to: Some("2031-01-01T00:00:00Z".parse().unwrap()),
            ..GuestDraft::default()
        };
        let ada_now = draft.check(ada(), None, self.portal().now()).unwrap();
        self.change(|_| Wanted::Put(ada_now.clone())).await;
    }

    async fn change(&self, wanted: impl Fn(Option<&Entry<Guest>>) -> Wanted<Guest>) {
        let portal = self.portal();
        let decide = |entry: Option<&Entry<Guest>>| Ok::<_, ()>(wanted(entry));
        portal.directory.change(&ada(), portal.now(), decide).await.unwrap();
    }

    async fn end(&self, end: End) {
        let now = self.portal().now();
        let after = |entry: Option<&Entry<Guest>>, action| {
            Wanted::Put(entry.unwrap().subject.after(&action, now).unwrap())
        };
        let valid_to = "2032-01-01T00:00:00Z".parse().unwrap();
        self.change(|entry| match end {
            End::Suspended => after(entry, GuestAction::Suspend { reason: String::new() }),
            End::Extended => after(entry, GuestAction::Extend { valid_to }),
            End::Removed => Wanted::Remove,
        })
        .await;
    }

    async fn notify(&self, event: v1::PortalEvent, password: &str) -> Vec<v1::NoticeMail> {
        let request = v1::NotifyGuestRequest {
            target: Some(v1::notify_guest_request::Target::Name("guests/ada".to_owned())),
            event: event.into(),
            password: password.to_owned(),
            ..v1::NotifyGuestRequest::default()
        };
        let answer = self.service.notify_guest(Request::new(request)).await.unwrap();
        answer.into_inner().mails
    }

    async fn states(&self, jobs: impl IntoIterator<Item = String>) -> Vec<JobState> {
        let mut states = Vec::new();
        for job in jobs {
            states.push(self.job(&job).await.state);
        }
        states
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_still_wait_are_cancelled_with_the_access() {
    for (end, state) in [
        (End::Suspended, JobState::Cancelled),
        (End::Removed, JobState::Cancelled),
        (End::Extended, JobState::Queued),
    ] {
        let fixture = fixture();
        fixture.put_ada().await;
        let first = fixture.notify(v1::PortalEvent::CredentialsCreated, "s3cret").await;
        let again = fixture.notify(v1::PortalEvent::CredentialsResent, "s3cret").await;

        fixture.end(end).await;

        let jobs = first.into_iter().chain(again).map(|mail| mail.mail_job);
        assert_eq!(fixture.states(jobs).await, [state; 2], "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_tells_of_the_end_is_not_cancelled_by_it() {
    let fixture = fixture();
    fixture.put_ada().await;
    fixture.end(End::Suspended).await;
    let suspended = fixture.notify(v1::PortalEvent::Suspended, "").await;
    let deleted = fixture.notify(v1::PortalEvent::Deleted, "").await;

    fixture.end(End::Removed).await;

    let jobs = suspended.into_iter().chain(deleted).map(|mail| mail.mail_job);
    assert_eq!(fixture.states(jobs).await, [JobState::Queued; 2]);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_a_bulk_are_cancelled_too_even_if_a_guest_stands_in_it_twice() {
    let fixture = fixture();
    fixture.put_ada().await;
    let one = v1::BulkGuest {
        target: Some(v1::bulk_guest::Target::Name("guests/ada".to_owned())),
        password: "s3cret".to_owned(),
    };
    let request = v1::BulkNotifyGuestsRequest {
        event: v1::PortalEvent::CredentialsCreated.into(),
        guests: vec![one.clone(), one],
        ..v1::BulkNotifyGuestsRequest::default()
    };
    let answer = fixture.service.bulk_notify_guests(Request::new(request)).await.unwrap();

    fixture.end(End::Suspended).await;

    let mails = answer.into_inner().results.into_iter().flat_map(|result| result.mails);
    let states = fixture.states(mails.map(|mail| mail.mail_job)).await;
    assert_eq!(states, [JobState::Cancelled; 2]);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_an_approved_guest_are_cancelled_with_the_access() {
    let fixture = fixture();
    let asked = fixture.request_approval().await;
    let request = v1::DecideApprovalRequest {
        name: asked.name,
        verdict: v1::ApprovalVerdict::Approve.into(),
        ..v1::DecideApprovalRequest::default()
    };
    let approved = fixture.service.decide_approval(Request::new(request)).await.unwrap();
    let approved = approved.into_inner().approval.unwrap();

    fixture.end(End::Suspended).await;

    let jobs = approved.result_jobs.into_iter().map(|job| job.name);
    let states = fixture.states(jobs).await;
    assert_eq!(states, [JobState::Cancelled; 2]);
}
