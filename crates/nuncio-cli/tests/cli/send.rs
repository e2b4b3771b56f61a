//! `nuncio send`

use nuncio_api::v1::mail::Content;
use nuncio_api::v1::{MailClass, MailJobState};
use nuncio_cli::exit::Exit;

use crate::fake::{Fake, Script, change, job};
use crate::nuncio;

const SMALL: [&str; 7] =
    ["send", "--to", "guest@example.com", "--subject", "Hello", "--text", "Good morning"];

#[tokio::test]
async fn every_option_reaches_the_request() {
    let fake = Fake::start(Script::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (map, data) = (file("map.PDF", "%PDF"), file("data.bin", "x"));
    let data = format!("text/x-own={data}");
    let html = file("mail.html", "<p>Good morning</p>");

    let ran = nuncio(
        &fake.address,
        &[
            &SMALL[..],
            &["--to", "Erika Mustermann <erika@example.com>", "--cc", "c@example.com"],
            &["--bcc", "b@example.com", "--from", "\"The desk\" <desk@example.com>"],
            &["--reply-to", "answers@example.com", "--html-file", &html],
            &["--attach", &map, "--attach", &data, "--class", "alarm-critical"],
            &["--request-id", "r1", "--not-before", "2027-03-15T08:00:00Z", "--ttl", "2h"],
            &["--label", "ticket=4711"],
        ]
        .concat(),
    )
    .await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let request = fake.script().created.remove(0);
    let mail = request.mail.unwrap();
    assert_eq!(mail.to[0].address, "guest@example.com");
    assert_eq!(mail.to[1].address, "erika@example.com");
    assert_eq!(mail.to[1].display_name, "Erika Mustermann");
    assert_eq!(mail.cc[0].address, "c@example.com");
    assert_eq!(mail.bcc[0].address, "b@example.com");
    assert_eq!(mail.from.unwrap().display_name, "The desk");
    assert_eq!(mail.reply_to.unwrap().address, "answers@example.com");
    let Some(Content::Raw(raw)) = mail.content else { panic!("no raw content") };
    assert_eq!((raw.subject.as_str(), raw.text.as_str()), ("Hello", "Good morning"));
    assert_eq!(raw.html, "<p>Good morning</p>");
    let types: Vec<_> = mail.attachments.iter().map(|one| one.content_type.as_str()).collect();
    assert_eq!(types, ["application/pdf", "text/x-own"]);
    assert_eq!(mail.attachments[0].file_name, "map.PDF");
    assert_eq!(mail.attachments[0].content, b"%PDF");
    assert_eq!(request.class, i32::from(MailClass::AlarmCritical));
    assert_eq!(request.request_id, "r1");
    assert_eq!(request.not_before_time.unwrap().seconds, 1_805_097_600);
    assert_eq!(request.time_to_live.unwrap().seconds, 7200);
    assert_eq!(request.labels["ticket"], "4711");
}

#[tokio::test]
async fn a_variable_from_a_file_loses_its_last_line_end() {
    let fake = Fake::start(Script::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "hunter2\r\n").unwrap();
    let password = format!("password={}", path.display());

    let args = ["send", "--to", "guest@example.com", "--template", "guest-credentials"];
    let values =
        ["--var", "username=erika", "--var-file", &password, "--locale", "de", "--portal", "lobby"];
    let ran = nuncio(&fake.address, &[&args[..], &values[..]].concat()).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let Some(Content::Template(template)) = fake.script().created.remove(0).mail.unwrap().content
    else {
        panic!("no template")
    };
    assert_eq!(template.template, "templates/guest-credentials");
    assert_eq!(template.variables["username"], "erika");
    assert_eq!(template.variables["password"], "hunter2");
    assert_eq!((template.locale.as_str(), template.portal.as_str()), ("de", "lobby"));
}

#[tokio::test]
async fn several_jobs_have_request_ids_of_their_own() {
    let fake = Fake::start(Script::default()).await;

    let args = [&SMALL[..], &["--count", "3", "--request-id", "r", "--output", "json"]].concat();
    let ran = nuncio(&fake.address, &args).await;

    assert_eq!(ran.exit, Exit::Ok, "{ran:?}");
    let mut ids: Vec<String> =
        fake.script().created.iter().map(|request| request.request_id.clone()).collect();
    ids.sort();
    assert_eq!(ids, ["r-1", "r-2", "r-3"]);
    assert_eq!(ran.out.lines().count(), 3);
}

#[tokio::test]
async fn a_validated_job_is_not_told_as_accepted() {
    let fake = Fake::start(Script::default()).await;

    let ran = nuncio(&fake.address, &[&SMALL[..], &["--validate-only"]].concat()).await;

    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!(ran.out, "the mail job is valid; nothing was stored\n");
    assert!(fake.script().created[0].validate_only);
}

async fn check_wait(end: MailJobState, expect: Exit) {
    let watch = vec![
        Ok(change(job(1, MailJobState::Queued), "1")),
        Ok(change(job(1, MailJobState::Sending), "2")),
        Ok(change(job(1, end), "3")),
    ];
    let fake = Fake::start(Script { watches: [watch].into(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &[&SMALL[..], &["--wait"]].concat()).await;

    assert_eq!(ran.exit, expect, "{ran:?}");
    let state = end.as_str_name().trim_start_matches("MAIL_JOB_STATE_");
    assert!(ran.out.contains(state), "{}", ran.out);
    let name = job(1, end).name;
    assert_eq!(fake.script().watched[0].name, name);
}

#[tokio::test]
async fn who_waits_learns_by_the_exit_code_how_the_job_ended() {
    check_wait(MailJobState::Sent, Exit::Ok).await;
    check_wait(MailJobState::Failed, Exit::NotSent).await;
    check_wait(MailJobState::Expired, Exit::NotSent).await;
    check_wait(MailJobState::Unknown, Exit::NotSent).await;
    check_wait(MailJobState::Cancelled, Exit::NotSent).await;
}

#[tokio::test]
async fn who_waits_for_several_jobs_sees_how_many_ended_how() {
    let ended = |number, state| vec![Ok(change(job(number, state), "t"))];
    let watches = [ended(1, MailJobState::Sent), ended(2, MailJobState::Failed)];
    let fake = Fake::start(Script { watches: watches.into(), ..Script::default() }).await;

    let ran = nuncio(&fake.address, &[&SMALL[..], &["--wait", "--count", "2"]].concat()).await;

    assert_eq!(ran.exit, Exit::NotSent);
    let expect = "STATE   JOBS\nSENT    1\nFAILED  1\n";
    assert!(ran.out.starts_with(expect), "{}", ran.out);
}
