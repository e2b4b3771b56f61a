use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::class::MailClass;
use crate::job::MailJobId;
use crate::mail::RecipientKind;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// A job in its first attempt, with recipients in these states.
fn job(class: MailClass, states: &[RecipientState]) -> Job {
    let recipient = |state: &RecipientState| RecipientResult {
        address: "guest@example.com".parse().unwrap(),
        kind: RecipientKind::To,
        state: *state,
        reply: None,
        reason: None,
    };
    Job {
        id: MailJobId::new(NOW, [1; 10]),
        class,
        state: JobState::Sending,
        reason: None,
        recipients: states.iter().map(recipient).collect(),
        attempts: 0,
        created_at: NOW,
        updated_at: NOW,
        due_at: NOW,
        expires_at: NOW + class.time_to_live(),
        message_id: "<1@nuncio.example>".to_owned(),
        labels: BTreeMap::new(),
        subject: "Welcome".to_owned(),
        template: None,
        settings_generation: None,
        trace: None,
    }
}

fn bulk(recipients: usize) -> Job {
    job(MailClass::Bulk, &vec![RecipientState::Pending; recipients])
}

fn reply(code: u16) -> SmtpReply {
    SmtpReply { code, enhanced: None, text: "as it is".to_owned() }
}

fn accepted() -> Verdict {
    Verdict::Accepted(reply(250))
}

fn because(code: &str, reply_code: u16) -> Reason {
    Reason::new(code, format!("cause of {code}"))
        .remedy(format!("remedy of {code}"))
        .reply(reply(reply_code))
}

fn deferred() -> Verdict {
    deferred_for(None)
}

fn deferred_for(retry_after: Option<Duration>) -> Verdict {
    Verdict::Deferred { reason: because("PROVIDER_DEFERRED", 451), retry_after }
}

fn refused() -> Verdict {
    refused_as("PROVIDER_REFUSED")
}

fn refused_as(code: &str) -> Verdict {
    Verdict::Refused(because(code, 550))
}

fn in_another_mail() -> Verdict {
    Verdict::InAnotherMail(because("TOO_MANY_RECIPIENTS", 452))
}

fn reason() -> Reason {
    Reason::new("SOME_TROUBLE", "there is trouble")
}

/// Shows a decision: state, code of the reason, the recipients' states by their first letters (`P`ending,
/// `A`ccepted, `R`efused, `U`nknown), the wait in seconds, and `counted`.
fn show(decision: &Decision) -> String {
    let code = decision.reason.as_ref().map_or("-", |reason| &reason.code);
    let letter = |one: &RecipientResult| match one.state {
        RecipientState::Pending => 'P',
        RecipientState::Accepted => 'A',
        RecipientState::Refused => 'R',
        RecipientState::Unknown => 'U',
    };
    let recipients: String = decision.recipients.iter().map(letter).collect();
    let wait = decision.due_at.duration_since(NOW).as_secs();
    let counted = if decision.counted { " counted" } else { "" };
    format!("{} {code} {recipients} {wait}s{counted}", decision.state.name())
}

#[track_caller]
fn check(job: &Job, outcome: SendOutcome, expect: &str) {
    let decision = decide(job, outcome, NOW, 0.0).expect("an outcome other than `Abandoned`");
    assert_eq!(show(&decision), expect);
}

#[track_caller]
fn check_verdicts<const N: usize>(verdicts: &[Verdict; N], expect: &str) {
    check(&bulk(N), SendOutcome::Judged(verdicts.to_vec()), expect);
}

#[track_caller]
fn check_rescue(job: &Job, body_entered: bool, rescues: u32, expect: &str) {
    assert_eq!(show(&decide_rescue(job, body_entered, rescues, NOW)), expect);
}

#[test]
fn a_mail_that_all_accept_is_sent() {
    check_verdicts(&[accepted(), accepted()], "SENT - AA 0s counted");
}

#[test]
fn a_mail_that_all_refuse_has_failed() {
    check_verdicts(&[refused(), refused()], "FAILED PROVIDER_REFUSED RR 0s counted");
}

#[test]
fn one_refusal_does_not_stop_the_others() {
    check_verdicts(&[refused(), accepted()], "SENT SOME_RECIPIENTS_REFUSED RA 0s counted");
}

#[test]
fn a_deferral_waits_for_those_who_deferred_only() {
    check_verdicts(
        &[accepted(), deferred(), refused()],
        "DEFERRED PROVIDER_DEFERRED APR 120s counted",
    );
}

#[test]
fn verdicts_are_for_those_who_had_none_yet() {
    use RecipientState::{Accepted, Pending, Refused};
    let job = job(MailClass::Bulk, &[Accepted, Pending, Refused, Pending]);

    let outcome = SendOutcome::Judged(vec![refused(), accepted()]);
    check(&job, outcome, "SENT SOME_RECIPIENTS_REFUSED ARRA 0s counted");
}

#[test]
fn each_deferral_doubles_the_wait_up_to_the_longest() {
    for (attempts, wait) in [(0, 120), (1, 240), (2, 480), (4, 1920), (5, 3600), (20, 3600)] {
        let job = Job { attempts, ..bulk(1) };
        let expect = format!("DEFERRED PROVIDER_DEFERRED P {wait}s counted");
        check(&job, SendOutcome::Judged(vec![deferred()]), &expect);
    }
}

#[test]
fn the_last_deferral_ends_the_job() {
    let last = MailClass::Bulk.retry_policy().attempts_max - 1;
    let job = Job { attempts: last, ..bulk(2) };

    check(
        &job,
        SendOutcome::Judged(vec![deferred(), deferred()]),
        "FAILED ATTEMPTS_USED_UP RR 0s counted",
    );
    check(
        &job,
        SendOutcome::Judged(vec![deferred(), accepted()]),
        "SENT ATTEMPTS_USED_UP RA 0s counted",
    );
}

#[test]
fn a_mail_that_all_refuse_for_one_reason_fails_for_that_reason() {
    let unknown = || refused_as("RECIPIENT_UNKNOWN");
    check_verdicts(&[unknown(), unknown()], "FAILED RECIPIENT_UNKNOWN RR 0s counted");
    check_verdicts(&[unknown(), refused_as("OTHER")], "FAILED PROVIDER_REFUSED RR 0s counted");
}

#[test]
fn cause_remedy_and_reply_reach_the_job_and_each_recipient() {
    let verdicts = vec![accepted(), refused_as("RECIPIENT_UNKNOWN")];
    let decision = decide(&bulk(2), SendOutcome::Judged(verdicts), NOW, 0.0).unwrap();

    let reason = decision.reason.unwrap();
    assert_eq!(reason.code, "SOME_RECIPIENTS_REFUSED");
    assert!(reason.message.ends_with(": cause of RECIPIENT_UNKNOWN"), "{reason:?}");
    assert_eq!(reason.remedy, "remedy of RECIPIENT_UNKNOWN");
    assert_eq!(reason.reply, Some(reply(550)));
    let [taken, turned_away] = &decision.recipients[..] else { panic!("they are two") };
    assert_eq!((&taken.reply, &taken.reason), (&Some(reply(250)), &None));
    let told = turned_away.reason.as_ref().unwrap();
    assert_eq!((told.code.as_str(), &told.reply), ("RECIPIENT_UNKNOWN", &None));
    assert_eq!(
        (told.remedy.as_str(), &turned_away.reply),
        ("remedy of RECIPIENT_UNKNOWN", &Some(reply(550)))
    );
}

#[test]
fn a_provider_that_names_a_time_is_not_asked_before() {
    let hour = Some(Duration::from_hours(1));
    check_verdicts(&[deferred_for(hour)], "DEFERRED PROVIDER_DEFERRED P 3600s counted");
    // Who may be tried first does not wait for the others.
    check_verdicts(&[deferred_for(hour), deferred()], "DEFERRED PROVIDER_DEFERRED PP 120s counted");
    // Nor does a short time shorten the wait.
    let second = Some(Duration::from_secs(1));
    check_verdicts(&[deferred_for(second)], "DEFERRED PROVIDER_DEFERRED P 120s counted");
}

#[test]
fn who_is_too_many_for_one_mail_gets_another_one_at_once() {
    check_verdicts(
        &[accepted(), in_another_mail(), in_another_mail()],
        "DEFERRED TOO_MANY_RECIPIENTS APP 0s",
    );
    check_verdicts(&[refused(), in_another_mail()], "DEFERRED TOO_MANY_RECIPIENTS RP 0s");
    check_verdicts(
        &[accepted(), deferred(), in_another_mail()],
        "DEFERRED TOO_MANY_RECIPIENTS APP 0s",
    );
    // The last attempt is none of these.
    let last = MailClass::Bulk.retry_policy().attempts_max - 1;
    let outcome = SendOutcome::Judged(vec![accepted(), in_another_mail()]);
    check(&Job { attempts: last, ..bulk(2) }, outcome, "DEFERRED TOO_MANY_RECIPIENTS AP 0s");
}

#[test]
fn a_server_that_turns_all_away_as_too_many_is_not_asked_for_ever() {
    let all = || [in_another_mail(), in_another_mail()];
    check_verdicts(&all(), "DEFERRED TOO_MANY_RECIPIENTS PP 120s counted");
    check_verdicts(
        &[deferred(), in_another_mail()],
        "DEFERRED TOO_MANY_RECIPIENTS PP 120s counted",
    );
    let last = MailClass::Bulk.retry_policy().attempts_max - 1;
    let job = Job { attempts: last, ..bulk(2) };
    check(&job, SendOutcome::Judged(all().to_vec()), "FAILED ATTEMPTS_USED_UP RR 0s counted");
}

#[test]
fn trouble_of_the_channel_costs_neither_an_attempt_nor_time() {
    let unavailable = |retry_after| SendOutcome::Unavailable { reason: reason(), retry_after };
    let throttled = |retry_after| SendOutcome::Throttled { reason: reason(), retry_after };
    let minute = Some(Duration::from_mins(1));

    check(&bulk(1), unavailable(None), "DEFERRED SOME_TROUBLE P 0s");
    check(&bulk(1), unavailable(minute), "DEFERRED SOME_TROUBLE P 0s");
    check(&bulk(1), throttled(Some(Duration::ZERO)), "DEFERRED SOME_TROUBLE P 0s");
    check(&bulk(1), throttled(minute), "DEFERRED SOME_TROUBLE P 0s");
    let held = format!("HELD SOME_TROUBLE P {}s", HELD_WAIT.as_secs());
    check(&bulk(1), SendOutcome::Closed { reason: reason() }, &held);
}

#[test]
fn trouble_of_the_channel_leaves_the_last_attempt() {
    let last = MailClass::Bulk.retry_policy().attempts_max - 1;
    let job = Job { attempts: last, ..bulk(1) };
    let outcome = SendOutcome::Unavailable { reason: reason(), retry_after: None };

    check(&job, outcome, "DEFERRED SOME_TROUBLE P 0s");
}

#[test]
fn a_lost_answer_is_sent_again_or_left_to_a_person() {
    let unknown = || SendOutcome::Unknown { verdicts: vec![None], reason: reason() };
    for class in MailClass::ALL {
        let expect = match class.unknown_policy() {
            UnknownPolicy::Resend => {
                let wait = class.retry_policy().backoff_min.as_secs();
                format!("DEFERRED SOME_TROUBLE P {wait}s counted")
            }
            UnknownPolicy::Stop => "UNKNOWN SOME_TROUBLE U 0s counted".to_owned(),
        };
        check(&job(class, &[RecipientState::Pending]), unknown(), &expect);
    }
}

#[test]
fn who_was_refused_before_the_answer_was_lost_is_known() {
    let verdicts = vec![Some(refused()), None, Some(deferred())];
    let unknown = SendOutcome::Unknown { verdicts, reason: reason() };

    check(&bulk(3), unknown.clone(), "UNKNOWN SOME_TROUBLE RUR 0s counted");
    let credentials = job(MailClass::Credentials, &[RecipientState::Pending; 3]);
    check(&credentials, unknown, "DEFERRED SOME_TROUBLE RPP 30s counted");
}

#[test]
fn a_lost_answer_does_not_stop_those_who_are_left_for_another_mail() {
    use RecipientState::{Pending, Unknown};
    let verdicts = vec![None, Some(in_another_mail())];
    let outcome = SendOutcome::Unknown { verdicts, reason: reason() };
    check(&bulk(2), outcome.clone(), "DEFERRED TOO_MANY_RECIPIENTS UP 120s counted");
    let ends = Job { expires_at: NOW + Duration::from_mins(1), ..bulk(2) };
    check(&ends, outcome, "UNKNOWN OUTCOME_UNKNOWN UP 120s counted");

    let rest = job(MailClass::Bulk, &[Unknown, Pending]);
    let sent = SendOutcome::Judged(vec![accepted()]);
    check(&rest, sent, "UNKNOWN OUTCOME_UNKNOWN UA 0s counted");
    let failed = SendOutcome::Judged(vec![refused()]);
    check(&rest, failed, "UNKNOWN OUTCOME_UNKNOWN UR 0s counted");
}

#[test]
fn a_lost_answer_that_nobody_waits_for_is_no_loss() {
    let outcome = SendOutcome::Unknown { verdicts: vec![Some(refused())], reason: reason() };

    check(&bulk(1), outcome, "FAILED PROVIDER_REFUSED R 0s counted");
}

#[test]
fn a_mail_is_not_sent_again_for_ever() {
    let pending = &[RecipientState::Pending];
    let last = MailClass::Credentials.retry_policy().attempts_max - 1;
    let job = Job { attempts: last, ..job(MailClass::Credentials, pending) };

    let unknown = SendOutcome::Unknown { verdicts: vec![None], reason: reason() };
    check(&job, unknown, "UNKNOWN SOME_TROUBLE U 0s counted");
}

#[test]
fn an_abandoned_attempt_decides_nothing() {
    assert_eq!(decide(&bulk(1), SendOutcome::Abandoned, NOW, 0.0), None);
}

#[test]
fn a_job_that_could_only_be_tried_after_its_end_expires_now() {
    let deferral = |verdicts: &[Verdict]| SendOutcome::Judged(verdicts.to_vec());
    let ends_in = |seconds| Job { expires_at: NOW + Duration::from_secs(seconds), ..bulk(2) };

    let both = [deferred(), deferred()];
    check(&ends_in(121), deferral(&both), "DEFERRED PROVIDER_DEFERRED PP 120s counted");
    check(&ends_in(120), deferral(&both), "EXPIRED EXPIRED PP 120s counted");
    check(&ends_in(120), deferral(&[deferred(), accepted()]), "SENT EXPIRED PA 120s counted");
    let closed = SendOutcome::Closed { reason: reason() };
    let held = decide(&ends_in(5), closed, NOW, 0.0).unwrap();
    assert_eq!(held.state, JobState::Held, "its channel may open before");
    assert!(held.due_at < ends_in(5).expires_at, "what is due at its end is held by a caller");
}

#[test]
fn an_expired_job_tells_its_last_trouble() {
    assert!(!expired(None).message.contains("before:"));
    assert!(expired(Some(&reason())).message.ends_with("before: there is trouble"));
}

#[test]
fn a_job_whose_body_stayed_at_home_is_tried_again_at_once() {
    check_rescue(&bulk(1), false, 1, "DEFERRED NODE_DIED P 0s");
    check_rescue(&bulk(1), false, RESCUES_MAX - 1, "DEFERRED NODE_DIED P 0s");
}

#[test]
fn a_job_whose_body_may_be_out_follows_its_class() {
    let credentials = job(MailClass::Credentials, &[RecipientState::Pending]);

    check_rescue(&credentials, true, 1, "DEFERRED OUTCOME_UNKNOWN P 30s counted");
    check_rescue(&bulk(1), true, 1, "UNKNOWN OUTCOME_UNKNOWN U 0s counted");
}

#[test]
fn a_job_that_kills_its_nodes_is_given_up_with_what_is_known() {
    use RecipientState::{Accepted, Pending};
    let partly = job(MailClass::Credentials, &[Accepted, Pending]);

    check_rescue(&bulk(1), false, RESCUES_MAX, "FAILED NODE_DIED_REPEATEDLY P 0s");
    check_rescue(&bulk(1), true, RESCUES_MAX, "UNKNOWN NODE_DIED_REPEATEDLY U 0s counted");
    check_rescue(&partly, false, RESCUES_MAX, "SENT NODE_DIED_REPEATEDLY AP 0s");
    check_rescue(&partly, true, RESCUES_MAX, "UNKNOWN NODE_DIED_REPEATEDLY AU 0s counted");
}

fn any_outcome(recipients: usize) -> impl Strategy<Value = SendOutcome> {
    let verdict = || {
        prop_oneof![Just(accepted()), Just(deferred()), Just(refused()), Just(in_another_mail())]
    };
    let retry_after = || proptest::option::of((0_u64..1_000_000).prop_map(Duration::from_secs));
    prop_oneof![
        proptest::collection::vec(verdict(), recipients).prop_map(SendOutcome::Judged),
        proptest::collection::vec(
            prop_oneof![Just(None), Just(Some(refused())), Just(Some(deferred()))],
            recipients
        )
        .prop_map(|verdicts| SendOutcome::Unknown { verdicts, reason: reason() }),
        retry_after()
            .prop_map(|retry_after| SendOutcome::Throttled { reason: reason(), retry_after }),
        retry_after()
            .prop_map(|retry_after| SendOutcome::Unavailable { reason: reason(), retry_after }),
        Just(SendOutcome::Closed { reason: reason() }),
    ]
}

proptest! {
    #[test]
    fn the_wait_stays_between_its_bounds(attempt in 0_u32..1000, jitter in 0.0..1.0) {
        for class in MailClass::ALL {
            let policy = class.retry_policy();
            let wait = policy.backoff(attempt, jitter);
            prop_assert!(policy.backoff_min <= wait);
            prop_assert!(wait <= policy.backoff_max * 3 / 2);
        }
    }

    #[test]
    fn every_decision_can_be_understood(
        outcome in any_outcome(3),
        attempts in 0_u32..201,
        class in proptest::sample::select(&MailClass::ALL[..]),
        life_s in 1_u64..100_000,
        jitter in 0.0..1.0,
    ) {
        let expires_at = NOW + Duration::from_secs(life_s);
        let job = Job { attempts, expires_at, ..job(class, &[RecipientState::Pending; 3]) };
        let decision = decide(&job, outcome, NOW, jitter).unwrap();

        let shown = show(&decision);
        let any = |state| decision.recipients.iter().any(|one| one.state == state);
        prop_assert!(decision.state != JobState::Sending && decision.state != JobState::Queued);
        prop_assert_eq!(decision.recipients.len(), 3);
        prop_assert!(decision.reason.is_some() || decision.state == JobState::Sent, "{}", shown);
        if decision.state == JobState::Sent {
            prop_assert!(any(RecipientState::Accepted), "{}", shown);
        }
        if decision.state == JobState::Failed {
            prop_assert!(!any(RecipientState::Accepted), "{}", shown);
        }
        if any(RecipientState::Unknown) {
            prop_assert_eq!(decision.state, JobState::Unknown);
        }
        if decision.state == JobState::Deferred {
            prop_assert!(any(RecipientState::Pending), "{}", shown);
            prop_assert!(NOW <= decision.due_at && decision.due_at < expires_at, "{}", shown);
            // What costs no attempt must not go on for ever.
            prop_assert!(!decision.counted || NOW < decision.due_at || !decision.recipients.iter().all(|one| one.state == RecipientState::Pending), "{}", shown);
        }
    }
}

#[test]
fn a_job_that_ends_before_the_channel_opens_is_left_its_time() {
    let ends_soon = Job { expires_at: NOW + Duration::from_secs(5), ..bulk(1) };
    let retry_after = Some(Duration::from_hours(1));
    let outcome = SendOutcome::Throttled { reason: reason(), retry_after };

    check(&ends_soon, outcome, "DEFERRED SOME_TROUBLE P 0s");
}
