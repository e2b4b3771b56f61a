//! Several mailboxes that share the load.

use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_core::job::JobState;

use super::sandbox::*;
use crate::channel::ChannelStatus;
use crate::observer::{Alarm, AlarmKind};

const FIRST: &str = "no-reply@example.com";
const SECOND: &str = "no-reply-2@example.com";

#[tokio::test(start_paused = true)]
async fn two_mailboxes_send_twice_as_much_and_each_keeps_its_budget() {
    let sandbox = Sandbox::new().limits(limits(3, Some(30))).with_mailbox(SECOND).start();

    let mut jobs = Vec::new();
    for _ in 0..120 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for job in jobs {
        assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    }

    let mut by_mailbox = BTreeMap::<_, Vec<Duration>>::new();
    for one in sandbox.sent() {
        by_mailbox.entry(one.mailbox).or_default().push(one.at);
    }
    assert_eq!(by_mailbox.keys().collect::<Vec<_>>(), [SECOND, FIRST]);
    for (mailbox, at) in by_mailbox {
        assert_eq!(at.len(), 60, "{mailbox}");
        for run in at.windows(31) {
            assert!(run[0] + Duration::from_mins(1) <= run[30], "{mailbox}: {run:?}");
        }
    }
    assert_eq!(sandbox.elapsed().as_secs(), 118);
}

#[tokio::test(start_paused = true)]
async fn what_one_mailbox_may_not_send_another_sends_at_once() {
    let sandbox = Sandbox::new().with_mailbox(SECOND).closing(SECOND).start();

    let mut jobs = Vec::new();
    for _ in 0..20 {
        jobs.push(sandbox.submit(mail()).await);
    }
    for job in jobs {
        let ended = sandbox.ended(job).await;
        assert_eq!((ended.state, ended.attempts), (JobState::Sent, 1));
    }

    assert!(sandbox.sent().iter().all(|one| one.mailbox == FIRST));
    assert!(sandbox.elapsed() < Duration::from_secs(1), "{:?}", sandbox.elapsed());
    assert_eq!(sandbox.channel(), ChannelStatus::Open, "mails go out");
    let raised: Vec<_> = sandbox.alarms().into_iter().filter_map(|(_, raised)| raised).collect();
    let [Alarm { kind: AlarmKind::MailboxClosed, mailbox, reason }] = raised.as_slice() else {
        panic!("one alarm is raised: {raised:?}");
    };
    assert_eq!((mailbox.as_str(), reason.code.as_str()), (SECOND, "INVALID_EMAIL_ADDRESS"));
}

#[tokio::test(start_paused = true)]
async fn a_closed_mailbox_raises_one_alarm_however_often_it_is_probed_and_clears_it() {
    let probes = [closed(), closed(), unavailable(), closed(), closed()];
    let sandbox = Sandbox::new().replying(probes).start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    let of_closing = |(kind, _): &(AlarmKind, _)| *kind == AlarmKind::MailboxClosed;
    let told = sandbox.alarms().into_iter().filter(of_closing);
    assert_eq!(told.map(|(_, raised)| raised.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_be_reached_for_minutes_raises_one_alarm_and_clears_it() {
    let sandbox = Sandbox::new().unavailable_for(Duration::from_mins(30)).start();

    let job = sandbox.submit(mail()).await;

    assert_eq!(sandbox.ended(job).await.state, JobState::Sent);
    let of_outage = |(kind, _): &(AlarmKind, _)| *kind == AlarmKind::MailProviderDown;
    let told = sandbox.alarms().into_iter().filter(of_outage);
    assert_eq!(told.map(|(_, raised)| raised.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_is_left_out_of_the_settings_sends_no_more() {
    let mut sandbox = Sandbox::new().with_mailbox(SECOND).start();
    let first = sandbox.submit(mail()).await;
    sandbox.ended(first).await;

    sandbox.save_settings(limits(3, None));
    let so_far = sandbox.sent().len();
    for _ in 0..20 {
        let job = sandbox.submit(mail()).await;
        sandbox.ended(job).await;
    }

    let sent = sandbox.sent();
    assert!(sent[so_far..].iter().all(|one| one.mailbox == FIRST));
}
