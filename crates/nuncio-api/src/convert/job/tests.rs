use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_core::address::EmailAddress;
use nuncio_core::job::{MailJobId, RecipientState};
use nuncio_core::mail::{ContentDraft, RecipientKind};

use super::*;

const SECRET: &str = "hunter2";

fn job(state: JobState) -> Job {
    let at = |second| Timestamp::from_second(second).unwrap();
    let address: EmailAddress = "guest@example.com".parse().unwrap();
    let enhanced = Some(EnhancedCode { class: 5, subject: 1, detail: 1 });
    let reply = SmtpReply { code: 550, enhanced, text: "no such user".to_owned() };
    let recipient = RecipientResult {
        address,
        kind: RecipientKind::Cc,
        state: RecipientState::Refused,
        reply: Some(reply),
        reason: Some(Reason::new("RECIPIENT_UNKNOWN", "nobody").remedy("correct the address")),
    };
    Job {
        id: MailJobId::new(at(1), [7; 10]),
        class: MailClass::Approval,
        state,
        reason: Some(Reason::new("MAILBOX_THROTTLED", "too fast").remedy("wait")),
        recipients: vec![recipient],
        attempts: 2,
        created_at: at(1),
        updated_at: at(2),
        due_at: at(3),
        expires_at: at(4),
        message_id: "<1@nuncio>".to_owned(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        subject: "Hello".to_owned(),
        template: None,
        settings_generation: Some(5),
        trace: None,
    }
}

#[test]
fn a_job_is_told_in_full() {
    let told = v1::MailJob::from(job(JobState::Deferred));

    assert_eq!(told.name, job(JobState::Deferred).id.to_string());
    assert_eq!(told.class(), v1::MailClass::Approval);
    assert_eq!(told.state(), v1::MailJobState::Deferred);
    assert_eq!(told.reason.as_ref().unwrap().remedy, "wait");
    assert_eq!(told.recipients[0].kind(), v1::RecipientKind::Cc);
    assert_eq!(told.recipients[0].state(), v1::RecipientState::Refused);
    assert_eq!(told.recipients[0].reply.as_ref().unwrap().enhanced_code, "5.1.1");
    let reason = told.recipients[0].reason.clone().unwrap();
    assert_eq!((reason.code.as_str(), reason.message.as_str()), ("RECIPIENT_UNKNOWN", "nobody"));
    assert_eq!((reason.remedy.as_str(), reason.reply), ("correct the address", None));
    assert_eq!(told.attempt_count, 2);
    let seconds = [told.create_time, told.update_time, told.next_attempt_time, told.expire_time];
    assert_eq!(seconds.map(|time| time.unwrap().seconds), [1, 2, 3, 4]);
    assert_eq!(told.subject, "Hello");
    assert_eq!(told.settings_generation, 5);
}

#[test]
fn only_a_waiting_job_has_a_next_attempt() {
    for state in JobState::ALL {
        let told = v1::MailJob::from(job(state));
        assert_eq!(told.next_attempt_time.is_some(), state.is_waiting(), "{state:?}");
    }
}

#[test]
fn the_subject_of_a_template_is_not_told() {
    let template = Some("templates/guest-credentials".to_owned());

    let told = v1::MailJob::from(Job { template, ..job(JobState::Queued) });

    assert_eq!(told.subject, "");
    assert_eq!(told.template, "templates/guest-credentials");
}

#[test]
fn a_reason_comes_back_as_it_went() {
    let reply = job(JobState::Sent).recipients[0].reply.clone().unwrap();
    let reason = Reason::new("A", "b").remedy("c").reply(reply);

    assert_eq!(Reason::from(v1::Reason::from(reason.clone())), reason);
}

fn request() -> v1::CreateMailJobRequest {
    let variables = BTreeMap::from([("password".to_owned(), SECRET.to_owned())]);
    let template = "templates/guest-credentials".to_owned();
    let content =
        v1::TemplateContent { template, variables, locale: "en".to_owned(), portal: String::new() };
    v1::CreateMailJobRequest {
        mail: Some(v1::Mail {
            to: vec![v1::Mailbox { address: "a@b".to_owned(), display_name: "A".to_owned() }],
            content: Some(v1::mail::Content::Template(content)),
            ..v1::Mail::default()
        }),
        class: v1::MailClass::Alarm.into(),
        request_id: "r1".to_owned(),
        not_before_time: Some(prost_types::Timestamp { seconds: 9, nanos: 0 }),
        time_to_live: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        validate_only: true,
    }
}

#[test]
fn a_request_is_taken_apart() {
    let mut violations = Violations::default();

    let read = CreateMailJob::read(&mut violations, request());

    assert!(violations.is_empty());
    assert_eq!(read.class, Some(MailClass::Alarm));
    assert_eq!(read.mail.to[0].display_name, "A");
    assert_eq!(read.options.request_id, "r1");
    assert_eq!(read.options.not_before.unwrap().as_second(), 9);
    assert_eq!(read.options.time_to_live, Some(Duration::from_mins(1)));
    assert_eq!(read.options.labels["k"], "v");
    assert!(read.validate_only);
    let Some(ContentDraft::Template { variables, .. }) = &read.mail.content else {
        panic!("no template")
    };
    assert_eq!(variables["password"].expose(), SECRET);
}

#[test]
fn everything_that_cannot_be_read_is_noted_at_once() {
    let mut violations = Violations::default();
    let request = v1::CreateMailJobRequest {
        class: 77,
        not_before_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        time_to_live: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..request()
    };

    CreateMailJob::read(&mut violations, request);

    let mut fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["class", "not_before_time", "time_to_live"]);
}

#[test]
fn a_request_does_not_show_its_secrets_in_debug_output() {
    let mut raw = request();
    let (text, html) = (SECRET.to_owned(), SECRET.to_owned());
    let content = v1::RawContent { subject: "s".to_owned(), text, html };
    let mail = raw.mail.as_mut().unwrap();
    mail.content = Some(v1::mail::Content::Raw(content));
    mail.attachments.push(v1::Attachment { content: SECRET.into(), ..v1::Attachment::default() });

    for shown in [format!("{:?}", request()), format!("{raw:?}")] {
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(!shown.contains(&format!("{:?}", SECRET.as_bytes())), "{shown}");
    }
}

#[test]
fn equal_requests_have_equal_bytes_whatever_the_order_of_their_labels() {
    use prost::Message;

    let labels = |keys: [&str; 3]| keys.map(|key| (key.to_owned(), String::new())).into();
    let one = v1::CreateMailJobRequest { labels: labels(["a", "b", "c"]), ..request() };
    let other = v1::CreateMailJobRequest { labels: labels(["c", "a", "b"]), ..request() };

    assert_eq!(one.encode_to_vec(), other.encode_to_vec());
}
