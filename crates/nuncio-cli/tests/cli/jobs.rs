//! `nuncio jobs`

use nuncio_api::v1::{
    GetMailJobResponse, ListMailJobsResponse, MailAttempt, MailClass, MailJob, MailJobState,
    Reason, RecipientResult, RecipientState, SmtpReply, WatchMailJobsResponse,
};
use nuncio_cli::exit::Exit;
use tonic::{Code, Status};

use crate::fake::{Fake, Script, change, job, refusal};
use crate::nuncio;

const UUID: &str = "0192f0c1-0000-7000-8000-000000000001";

fn deferred() -> MailJob {
    MailJob {
        attempt_count: 1,
        reason: Some(Reason {
            code: "MAILBOX_THROTTLED".to_owned(),
            message: "the mailbox sends too fast".to_owned(),
            remedy: "lower the limit".to_owned(),
            reply: Some(SmtpReply {
                code: 432,
                enhanced_code: "4.3.2".to_owned(),
                text: "Concurrent connections\u{1b}[2J".to_owned(),
            }),
        }),
        ..job(1, MailJobState::Deferred)
    }
}

#[tokio::test]
async fn a_list_is_a_table_with_a_hint_to_the_next_page() {
    let mail_jobs = vec![job(2, MailJobState::Sent), deferred()];
    let list = ListMailJobsResponse { mail_jobs, next_page_token: "abc".to_owned() };
    let fake = Fake::start(Script { list: Some(Ok(list)), ..Script::default() }).await;

    let args = ["jobs", "list", "--state", "SENT", "--state", "deferred", "--class", "bulk"];
    let ran = nuncio(&fake.address, &[&args[..], &["--limit", "2"]].concat()).await;

    assert_eq!(ran.exit, Exit::Ok);
    let expect = "\
NAME                                           STATE     CLASS  RECIPIENTS  ATTEMPTS  CREATED               REASON
mailJobs/0192f0c1-0000-7000-8000-000000000002  SENT      bulk   0/1         0         2026-11-18T11:06:40Z
mailJobs/0192f0c1-0000-7000-8000-000000000001  DEFERRED  bulk   0/1         1         2026-11-18T11:06:40Z  MAILBOX_THROTTLED
";
    assert_eq!(ran.out, expect);
    assert_eq!(ran.err, "there are more: add `--page-token abc`\n");
    let request = fake.script().listed.remove(0);
    assert_eq!(request.page_size, 2);
    let states = [MailJobState::Sent, MailJobState::Deferred].map(i32::from);
    assert_eq!(request.states, states);
    assert_eq!(request.classes, [i32::from(MailClass::Bulk)]);
}

#[tokio::test]
async fn a_list_is_narrowed_by_recipient_labels_and_time() {
    let list = ListMailJobsResponse::default();
    let fake = Fake::start(Script { list: Some(Ok(list)), ..Script::default() }).await;

    let args = ["jobs", "list", "--recipient", "guest@example.com", "--label", "site=north"];
    let more = ["--label", "note=a=b", "--since", "2026-11-23T20:00:00Z", "--until", "1h"];
    let ran = nuncio(&fake.address, &[&args[..], &more].concat()).await;

    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, "no mail jobs\n"));
    let request = fake.script().listed.remove(0);
    assert_eq!(request.recipient, "guest@example.com");
    let labels: Vec<_> = request.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("note", "a=b"), ("site", "north")]);
    assert_eq!(request.since_time.unwrap().seconds, 1_795_464_000);
    assert!(request.until_time.is_some());
}

/// A server looks at a part of its jobs at a time: a page may be empty and the next one not.
#[tokio::test]
async fn a_list_goes_on_until_it_is_full_or_ends() {
    let page = |mail_jobs, token: &str| ListMailJobsResponse {
        mail_jobs,
        next_page_token: token.to_owned(),
    };
    let short_pages = [page(vec![], "a"), page(vec![job(1, MailJobState::Sent)], "b")].into();
    let list = Some(Ok(page(vec![], "")));
    let fake = Fake::start(Script { list, short_pages, ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "list", "--limit", "5", "--output", "json"]).await;

    let json = ran.json();
    assert_eq!(json["mailJobs"].as_array().unwrap().len(), 1);
    assert_eq!(json["nextPageToken"], "");
    let asked: Vec<_> = fake.script().listed.drain(..).collect();
    let asked: Vec<_> = asked.iter().map(|one| (one.page_token.as_str(), one.page_size)).collect();
    assert_eq!(asked, [("", 5), ("a", 5), ("b", 4)]);
}

#[tokio::test]
async fn a_list_for_programs_is_the_api_json_mapping() {
    let list = ListMailJobsResponse { mail_jobs: vec![deferred()], ..Default::default() };
    let fake = Fake::start(Script { list: Some(Ok(list)), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "list", "--output", "json"]).await;

    let json = ran.json();
    let job = &json["mailJobs"][0];
    assert_eq!(job["state"], "MAIL_JOB_STATE_DEFERRED");
    assert_eq!(job["createTime"], "2026-11-18T11:06:40Z");
    assert_eq!(job["settingsGeneration"], "0");
    assert_eq!(job["reason"]["reply"]["enhancedCode"], "4.3.2");
    assert_eq!(json["nextPageToken"], "");
}

#[tokio::test]
async fn a_job_shows_reason_remedy_recipients_and_attempts() {
    let attempt = MailAttempt {
        start_time: Some(prost_types::Timestamp { seconds: 1_795_000_000, nanos: 0 }),
        end_time: Some(prost_types::Timestamp { seconds: 1_795_000_001, nanos: 0 }),
        outcome: "MAILBOX_THROTTLED".to_owned(),
        detail: "432 4.3.2 Concurrent connections".to_owned(),
        counted: false,
    };
    let get = GetMailJobResponse { mail_job: Some(deferred()), attempts: vec![attempt] };
    let fake = Fake::start(Script { get: Some(Ok(get)), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "get", UUID]).await;

    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!(fake.script().got, [format!("mailJobs/{UUID}")]);
    let expect = "\
name        mailJobs/0192f0c1-0000-7000-8000-000000000001
state       DEFERRED
reason      MAILBOX_THROTTLED
            the mailbox sends too fast
remedy      lower the limit
reply       432 4.3.2 Concurrent connections [2J
class       bulk
subject     Hello
attempts    1
created     2026-11-18T11:06:40Z
changed     2026-11-18T11:06:40Z
expires     2026-11-18T11:06:40Z
message id  <1@nuncio>

RECIPIENT          KIND  STATE    REPLY
guest@example.com  to    PENDING

ATTEMPT               ENDED     OUTCOME            COUNTED  DETAIL
2026-11-18T11:06:40Z  11:06:41  MAILBOX_THROTTLED  no       432 4.3.2 Concurrent connections
";
    assert_eq!(ran.out, expect);
}

#[tokio::test]
async fn a_job_shows_for_each_recipient_why_it_was_refused_and_what_each_reason_means_once() {
    let mut told = job(1, MailJobState::Failed);
    let refused = |address: &str, code: &str| RecipientResult {
        address: address.to_owned(),
        state: RecipientState::Refused.into(),
        reason: Some(Reason {
            code: code.to_owned(),
            message: format!("cause of {code}"),
            remedy: format!("remedy of {code}"),
            reply: None,
        }),
        ..told.recipients[0].clone()
    };
    told.recipients =
        vec![refused("a@x.test", "FULL"), refused("b@x.test", "GONE"), refused("c@x.test", "GONE")];
    let get = GetMailJobResponse { mail_job: Some(told), attempts: Vec::new() };
    let fake = Fake::start(Script { get: Some(Ok(get)), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "get", UUID]).await;

    let expect = "
RECIPIENT  KIND  STATE    REASON  REPLY
a@x.test   to    REFUSED  FULL
b@x.test   to    REFUSED  GONE
c@x.test   to    REFUSED  GONE

REASON  CAUSE          REMEDY
FULL    cause of FULL  remedy of FULL
GONE    cause of GONE  remedy of GONE
";
    assert!(ran.out.ends_with(expect), "{}", ran.out);
}

#[tokio::test]
async fn an_unknown_job_is_not_found_and_says_where_to_look() {
    let status = refusal(Code::NotFound, "MAIL_JOB_NOT_FOUND", "there is no such job");
    let fake = Fake::start(Script { get: Some(Err(status)), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "get", UUID]).await;

    assert_eq!(ran.exit, Exit::NotFound);
    assert_eq!(
        ran.err,
        "error: there is no such job\n  do: see which there are with `nuncio jobs list`\n"
    );
}

#[tokio::test]
async fn a_job_that_cannot_be_cancelled_is_refused() {
    let status = refusal(Code::FailedPrecondition, "MAIL_JOB_NOT_CANCELLABLE", "it is SENT");
    let fake = Fake::start(Script { cancel: Some(Err(status)), ..Script::default() }).await;

    assert_eq!(nuncio(&fake.address, &["jobs", "cancel", UUID]).await.exit, Exit::Refused);

    fake.script().cancel = Some(Ok(job(1, MailJobState::Cancelled)));
    let ran = nuncio(&fake.address, &["jobs", "cancel", UUID]).await;

    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.contains("CANCELLED"), "{}", ran.out);
}

#[tokio::test]
async fn a_job_is_held_released_and_retried() {
    let direct = Some(Ok(job(1, MailJobState::Held)));
    let fake = Fake::start(Script { direct, ..Script::default() }).await;

    let held = nuncio(&fake.address, &["jobs", "hold", UUID]).await;
    assert_eq!(held.exit, Exit::Ok);
    assert!(held.out.contains("HELD"), "{}", held.out);
    assert_eq!(nuncio(&fake.address, &["jobs", "release", UUID]).await.exit, Exit::Ok);
    assert_eq!(nuncio(&fake.address, &["jobs", "retry", UUID]).await.exit, Exit::Ok);
    let anyway = ["jobs", "retry", UUID, "--allow-duplicate", "--output", "json"];
    assert_eq!(nuncio(&fake.address, &anyway).await.json()["state"], "MAIL_JOB_STATE_HELD");

    let name = format!("mailJobs/{UUID}");
    assert_eq!(fake.script().held[0].name, name);
    assert_eq!(fake.script().released[0].name, name);
    let retried: Vec<_> = fake.script().retried.drain(..).collect();
    assert!(retried.iter().all(|one| one.name == name));
    assert_eq!(retried.iter().map(|one| one.allow_duplicate).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_job_that_may_have_arrived_is_not_sent_again_without_a_word() {
    let status = refusal(Code::FailedPrecondition, "MAIL_JOB_MAY_BE_DUPLICATED", "it may be there");
    let fake = Fake::start(Script { direct: Some(Err(status)), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "retry", UUID]).await;

    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("--allow-duplicate"), "{}", ran.err);
}

#[tokio::test]
async fn a_watch_goes_on_behind_the_last_change_when_the_server_goes_away() {
    let bookmark = WatchMailJobsResponse { mail_job: None, resume_token: "3".to_owned() };
    let watches = [
        vec![Ok(change(job(1, MailJobState::Queued), "1")), Err(Status::unavailable("going down"))],
        // The second server ends the stream in good order.
        vec![Ok(change(job(1, MailJobState::Sending), "2")), Ok(bookmark)],
        vec![Ok(change(job(1, MailJobState::Sent), "4"))],
    ];
    let fake = Fake::start(Script { watches: watches.into(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "watch", UUID, "--resume-token", "0"]).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let tokens: Vec<String> =
        fake.script().watched.iter().map(|request| request.resume_token.clone()).collect();
    assert_eq!(tokens, ["0", "1", "3"]);
    let states: Vec<_> = ran.out.lines().map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(states, [Some("QUEUED"), Some("SENDING"), Some("SENT")]);
    assert_eq!(ran.err.matches("connecting again").count(), 2, "{}", ran.err);
    assert_eq!(ran.err.matches("connected again").count(), 2, "{}", ran.err);
}

#[tokio::test]
async fn a_watch_for_programs_has_one_object_on_each_line() {
    let watch = vec![
        Ok(change(job(1, MailJobState::Queued), "1")),
        Ok(change(job(1, MailJobState::Failed), "2")),
    ];
    let fake = Fake::start(Script { watches: [watch].into(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["--output", "json", "jobs", "watch", UUID]).await;

    assert_eq!(ran.exit, Exit::NotSent);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["mailJob"]["state"], "MAIL_JOB_STATE_QUEUED");
    assert_eq!(lines[1]["resumeToken"], "2");
}

#[tokio::test]
async fn a_watch_that_begins_behind_the_end_of_the_job_tells_how_it_ended() {
    let get =
        GetMailJobResponse { mail_job: Some(job(1, MailJobState::Expired)), attempts: vec![] };
    let watches = [vec![]].into();
    let fake = Fake::start(Script { watches, get: Some(Ok(get)), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &["jobs", "watch", UUID, "--resume-token", "9"]).await;

    assert_eq!(ran.exit, Exit::NotSent);
    assert!(ran.out.contains("EXPIRED"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[tokio::test]
async fn a_watch_of_an_unknown_job_fails_at_once() {
    let fake = Fake::start(Script::default()).await;

    let ran = nuncio(&fake.address, &["jobs", "watch", UUID]).await;

    assert_eq!(ran.exit, Exit::NotFound);
    assert_eq!(fake.script().watched.len(), 1);
}
