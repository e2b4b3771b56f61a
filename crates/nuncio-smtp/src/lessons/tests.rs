use nuncio_core::reply::{EnhancedCode, SmtpReply};

use super::*;
use crate::judge::{SenderKind, judge};

const GENERATION: i64 = 3;

#[expect(clippy::unnecessary_wraps, reason = "`Replies` holds what may be missing")]
fn reply(code: u16, enhanced: &str, text: &str) -> Option<SmtpReply> {
    let enhanced: Option<EnhancedCode> = enhanced.parse().ok();
    Some(SmtpReply { code, enhanced, text: text.to_owned() })
}

fn ok() -> Option<SmtpReply> {
    reply(250, "", "ok")
}

/// A transaction in which so many recipients were accepted, then so many got this answer.
fn at_rcpt(accepted: usize, count: usize, answer: Option<&SmtpReply>) -> Replies {
    let recipients = vec![ok(); accepted].into_iter().chain(vec![answer.cloned(); count]);
    Replies { mail: ok(), recipients: recipients.collect(), data: reply(354, "", "go"), end: ok() }
}

fn at_end(recipients: usize, end: Option<SmtpReply>) -> Replies {
    Replies { end, ..at_rcpt(recipients, 0, None) }
}

fn mailbox(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

/// Hears of the replies to a mail of `a@mx.test`.
fn hear(lessons: &mut Lessons, replies: &Replies, now: Instant) -> SendOutcome {
    let outcome = judge(replies, SenderKind::Mailbox);
    lessons.learn(GENERATION, &mailbox("a@mx.test"), replies, outcome, now)
}

fn most(lessons: &Lessons, now: Instant) -> usize {
    lessons.recipients_max(GENERATION, &mailbox("a@mx.test"), now)
}

#[test]
fn a_server_that_takes_so_many_recipients_gets_no_more_for_an_hour() {
    let (mut lessons, now) = (Lessons::default(), Instant::now());
    let enough = reply(452, "4.5.3", "Too many recipients");

    hear(&mut lessons, &at_rcpt(100, 50, enough.as_ref()), now);

    assert_eq!(most(&lessons, now), 100);
    assert_eq!(lessons.recipients_max(GENERATION, &mailbox("b@mx.test"), now), usize::MAX);
    assert_eq!(lessons.recipients_max(GENERATION + 1, &mailbox("a@mx.test"), now), usize::MAX);
    // What nuncio holds back itself says nothing new, though one of the hundred was refused.
    hear(&mut lessons, &at_rcpt(99, 50, Some(&held_back())), now);
    assert_eq!(most(&lessons, now), 100);
    assert_eq!(most(&lessons, now + RECIPIENTS_MAX_KEPT), usize::MAX);
    // A server that takes nobody has named no number.
    let mut lessons = Lessons::default();
    hear(&mut lessons, &at_rcpt(0, 2, enough.as_ref()), now);
    assert_eq!(most(&lessons, now), usize::MAX);
}

#[test]
fn a_block_for_too_many_recipients_halves_them() {
    let (mut lessons, now) = (Lessons::default(), Instant::now());
    let blocked = at_end(9, reply(550, "5.2.254", "blocked"));

    let outcome = hear(&mut lessons, &blocked, now);

    assert!(matches!(outcome, SendOutcome::Throttled { .. }), "{outcome:?}");
    assert_eq!(most(&lessons, now), 5);
    // A mail to one is blocked with the others, and is not what it was about.
    hear(&mut lessons, &at_end(1, reply(550, "5.2.254", "blocked")), now);
    assert_eq!(most(&lessons, now), 5);
    let mail = reply(550, "5.2.254", "blocked");
    let at_mail = Replies { mail, recipients: vec![reply(503, "", "no"); 4], ..Replies::default() };
    hear(&mut lessons, &at_mail, now);
    assert_eq!(most(&lessons, now), 2);
}

#[test]
fn a_mail_refused_for_its_recipients_is_tried_with_fewer() {
    let enough = reply(550, "4.5.3", "Too many recipients");
    assert_eq!(fewer_recipients(&at_end(200, enough.clone())), Some(100));
    assert_eq!(fewer_recipients(&at_end(3, enough.clone())), Some(2));
    assert_eq!(fewer_recipients(&at_end(1, enough.clone())), None);
    assert_eq!(fewer_recipients(&at_end(3, reply(550, "5.6.0", "corrupt"))), None);
    // Those who were turned away at RCPT wait for the next mail: this one has been taken.
    assert_eq!(fewer_recipients(&at_rcpt(3, 3, enough.as_ref())), None);
}

#[test]
fn the_limit_of_the_tenant_stops_all_its_mailboxes_until_new_settings() {
    let (mut lessons, now) = (Lessons::default(), Instant::now());
    let hour = Duration::from_hours(1);
    assert_eq!(lessons.tenant_rest(GENERATION, now), None);

    hear(&mut lessons, &at_end(1, reply(550, "5.7.233", "tenant")), now);

    let rest = lessons.tenant_rest(GENERATION, now + hour / 2).expect("it lasts");
    let SendOutcome::Unavailable { reason, retry_after } = rest else { panic!("{rest:?}") };
    assert_eq!((reason.code.as_str(), retry_after), ("TENANT_LIMIT_REACHED", Some(hour / 2)));
    assert_eq!(lessons.tenant_rest(GENERATION, now + hour), None);
    assert_eq!(lessons.tenant_rest(GENERATION + 1, now), None);
    // A recipient outside the tenant is refused, those inside get their mail.
    let mut lessons = Lessons::default();
    hear(&mut lessons, &at_rcpt(1, 1, reply(550, "5.7.233", "tenant").as_ref()), now);
    assert_eq!(lessons.tenant_rest(GENERATION, now), None);
}

#[test]
fn a_mailbox_that_cannot_be_opened_is_refused_only_after_some_tries() {
    let (mut lessons, now) = (Lessons::default(), Instant::now());
    let failed = at_end(1, reply(430, "4.2.0", "STOREDRV; mailbox logon failure"));
    let closes = |lessons: &mut Lessons, seconds| {
        let outcome = hear(lessons, &failed, now + Duration::from_secs(seconds));
        if let SendOutcome::Closed { reason } = &outcome {
            return reason.code == "MAILBOX_PERMISSION_MISSING";
        }
        assert!(
            matches!(&outcome, SendOutcome::Unavailable { retry_after, .. }
                if *retry_after == Some(LOGON_PAUSE)),
            "{outcome:?}"
        );
        false
    };

    // Those under way together are one failure.
    let seen = [0, 0, 0, 15, 30, 45, 75].map(|seconds| closes(&mut lessons, seconds));
    assert_eq!(seen, [false, false, false, false, false, true, true]);
    hear(&mut lessons, &at_end(1, ok()), now + Duration::from_secs(100));
    assert!(!closes(&mut lessons, 200), "it has been open since");
}

#[test]
fn what_was_learnt_under_old_settings_does_not_count() {
    let (mut lessons, now) = (Lessons::default(), Instant::now());
    let replies = at_end(1, reply(550, "5.7.233", "tenant"));
    let tell = |lessons: &mut Lessons, generation| {
        let outcome = judge(&replies, SenderKind::Mailbox);
        lessons.learn(generation, &mailbox("a@mx.test"), &replies, outcome, now);
    };

    tell(&mut lessons, 5);
    tell(&mut lessons, 4);

    assert!(lessons.tenant_rest(5, now).is_some());
    assert!(lessons.tenant_rest(4, now).is_none());
}
