//! What a caller hears that asks for something impossible: what is wrong, where, and what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_api::v1;
use nuncio_api::v1::MailClass;
use nuncio_api::v1::mail_job_service_client::MailJobServiceClient;
use nuncio_tests::caller::reason;
use nuncio_tests::mails::{bulk, guest_credentials, mailbox, raw};
use nuncio_tests::node::TestNode;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const MIB: usize = 1024 * 1024;
/// What a submit writes to, and how its rows are counted.
const COUNTS: &[(&str, &str)] = &[
    ("mail_jobs", "SELECT count(*) FROM mail_jobs"),
    ("mail_bodies", "SELECT count(*) FROM mail_bodies"),
    ("mail_attachments", "SELECT count(*) FROM mail_attachments"),
    ("request_keys", "SELECT count(*) FROM request_keys"),
    ("mail_job_changes", "SELECT count(*) FROM mail_job_changes"),
];

/// A field, the reason why it is refused, and words of what is said about it.
type Expected<'a> = (&'a str, &'a str, &'a str);

/// Checks that a request is refused with exactly these violations, and that nothing of it is stored.
async fn check(node: &TestNode, request: v1::CreateMailJobRequest, expected: &[Expected<'_>]) {
    let before = (node.jobs().await.len(), rows(node).await);
    let refused = node.try_submit(request.clone()).await.expect_err("this is no mail job");
    assert_eq!(reason(&refused), (Code::InvalidArgument, "INVALID_MAIL_JOB".to_owned()));
    let told = violations(&refused);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (field, fault, words) in expected {
        let (reason, problem) =
            told.get(*field).unwrap_or_else(|| panic!("no `{field}` in {told:#?}"));
        assert_eq!(reason, fault, "`{field}`: {problem}");
        assert!(problem.contains(words), "`{field}`: {problem}");
    }
    let asked_only = v1::CreateMailJobRequest { validate_only: true, ..request };
    let refused = node.try_submit(asked_only).await.expect_err("asking only changes nothing");
    assert_eq!(violations(&refused), told);
    let after = (node.jobs().await.len(), rows(node).await);
    assert_eq!(after, before, "something of this was stored");
}

/// Reason and description by field.
fn violations(refused: &Status) -> BTreeMap<String, (String, String)> {
    let details = refused.get_error_details();
    let bad = details.bad_request().expect("what is wrong is told field by field");
    let told = bad.field_violations.iter();
    told.map(|one| (one.field.clone(), (one.reason.clone(), one.description.clone()))).collect()
}

/// How many rows each table has in which a submit leaves something.
async fn rows(node: &TestNode) -> BTreeMap<&'static str, i64> {
    let file = node.data_dir().join("jobs.sqlite");
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut store = options.connect().await.expect("others may read the store");
    let mut rows = BTreeMap::new();
    for (table, count) in COUNTS {
        let counted = sqlx::query_scalar(*count).fetch_one(&mut store).await;
        rows.insert(*table, counted.expect("the table is there"));
    }
    store.close().await.expect("nothing was written");
    rows
}

/// The mail of a request, to be changed.
fn mail(request: &mut v1::CreateMailJobRequest) -> &mut v1::Mail {
    request.mail.as_mut().expect("the request has a mail")
}

fn raw_content(request: &mut v1::CreateMailJobRequest) -> &mut v1::RawContent {
    match &mut mail(request).content {
        Some(v1::mail::Content::Raw(raw)) => raw,
        other => panic!("not raw: {other:?}"),
    }
}

fn variables(request: &mut v1::CreateMailJobRequest) -> &mut v1::TemplateContent {
    match &mut mail(request).content {
        Some(v1::mail::Content::Template(template)) => template,
        other => panic!("no template: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_missing_is_told_at_once() {
    let node = TestNode::start().await;

    let nothing = v1::CreateMailJobRequest::default();
    let expected = [
        ("mail.to", "MISSING", "give at least one"),
        ("mail.content", "MISSING", "give `raw` or `template`"),
    ];
    check(&node, nothing, &expected).await;
    let mut empty = bulk("");
    raw_content(&mut empty).text.clear();
    mail(&mut empty).to = vec![mailbox("nobody")];
    empty.request_id = "with a blank".to_owned();
    empty.class = 99;
    let expected = [
        ("mail.to[0].address", "MALFORMED", "@"),
        ("mail.raw.subject", "MISSING", "needs a subject"),
        ("mail.raw.text", "MISSING", "give `text`, `html` or both"),
        ("request_id", "MALFORMED", "visible ASCII"),
        ("class", "UNKNOWN", "99"),
    ];
    check(&node, empty, &expected).await;

    assert_eq!(node.jobs().await, []);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_faults_are_told_in_one_answer() {
    let node = TestNode::start().await;
    let mut request = bulk("two\nlines");
    raw_content(&mut request).text.clear();
    mail(&mut request).from = Some(mailbox("no-address"));
    mail(&mut request).reply_to = Some(mailbox("a@b@c"));
    mail(&mut request).to = vec![mailbox("nobody"), mailbox("")];
    mail(&mut request).cc = vec![mailbox("@example.com")];
    mail(&mut request).bcc = vec![mailbox("x y@example.com")];
    mail(&mut request).attachments.push(v1::Attachment {
        file_name: "a\r\nb".to_owned(),
        content_type: "text/plain".to_owned(),
        content: Vec::new(),
    });
    request.class = 99;
    request.request_id = "with a blank".to_owned();
    request.time_to_live = Some(prost_types::Duration { seconds: 8 * 24 * 3600, nanos: 0 });

    let expected = [
        ("mail.from.address", "MALFORMED", "@"),
        ("mail.reply_to.address", "MALFORMED", ""),
        ("mail.to[0].address", "MALFORMED", "@"),
        ("mail.to[1].address", "MISSING", "is empty"),
        ("mail.cc[0].address", "MALFORMED", ""),
        ("mail.bcc[0].address", "MALFORMED", ""),
        ("mail.raw.subject", "CONTROL_CHARACTER", "line break"),
        ("mail.raw.text", "MISSING", "give `text`, `html` or both"),
        ("mail.attachments[0].file_name", "CONTROL_CHARACTER", "line break"),
        ("class", "UNKNOWN", "99"),
        ("request_id", "MALFORMED", "visible ASCII"),
        ("time_to_live", "OUT_OF_RANGE", "at most 7 days"),
    ];
    check(&node, request, &expected).await;

    assert_eq!(node.jobs().await, []);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_a_day_too_far_ahead_is_refused() {
    let node = TestNode::start().await;
    let present = node.submit(bulk("present")).await.create_time.expect("every job has it");
    let after_days = |days: i64| v1::CreateMailJobRequest {
        not_before_time: Some(prost_types::Timestamp {
            seconds: present.seconds + days * 24 * 3600,
            ..present
        }),
        ..bulk("later")
    };

    let expected = ("not_before_time", "TOO_FAR_AHEAD", "more than 30 days ahead");
    check(&node, after_days(31), &[expected]).await;

    node.submit(after_days(29)).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_to_live_begins_when_the_mail_may_go_out() {
    let node = TestNode::start().await;
    let present = node.submit(bulk("present")).await.create_time.expect("every job has it");
    let not_before =
        prost_types::Timestamp { seconds: present.seconds + 29 * 24 * 3600, ..present };
    let an_hour = Duration::from_hours(1);

    let job = node
        .submit(v1::CreateMailJobRequest {
            not_before_time: Some(not_before),
            time_to_live: Some(an_hour.try_into().expect("it is short")),
            ..bulk("in a month, within an hour")
        })
        .await;

    // To the microsecond, as a store keeps it.
    let micros = |at: prost_types::Timestamp| (at.seconds, at.nanos / 1000);
    assert_eq!(job.next_attempt_time.map(micros), Some(micros(not_before)));
    let end = prost_types::Timestamp { seconds: not_before.seconds + 3600, ..not_before };
    assert_eq!(job.expire_time.map(micros), Some(micros(end)));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_smuggles_no_header_into_a_mail() {
    let node = TestNode::start().await;
    let attack = "Hello\r\nBcc: everybody@example.com";
    let subject = ("mail.raw.subject", "CONTROL_CHARACTER", "line break");

    check(&node, bulk(attack), &[subject]).await;
    check(&node, bulk("a\nb"), &[subject]).await;
    let mut names = bulk("names");
    mail(&mut names).from =
        Some(v1::Mailbox { display_name: attack.to_owned(), ..mailbox("a@example.com") });
    mail(&mut names).to.push(mailbox("b@example.com>\r\nRCPT TO:<c@example.com"));
    mail(&mut names).attachments.push(v1::Attachment {
        file_name: attack.to_owned(),
        content_type: "text/plain\r\nX-Evil: 1".to_owned(),
        content: Vec::new(),
    });
    let expected = [
        ("mail.from.display_name", "CONTROL_CHARACTER", "line break"),
        ("mail.to[1].address", "CONTROL_CHARACTER", "line break"),
        ("mail.attachments[0].file_name", "CONTROL_CHARACTER", "line break"),
        ("mail.attachments[0].content_type", "CONTROL_CHARACTER", "media type"),
    ];
    check(&node, names, &expected).await;
    let mut labels = bulk("labels");
    labels.labels.insert("key\r\n".to_owned(), "value".to_owned());
    check(&node, labels, &[("labels.key\r\n", "MALFORMED", "letters, digits")]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_refused_with_the_limit_and_a_way_out() {
    let node = TestNode::start().await;

    let mut large = bulk("large");
    raw_content(&mut large).text = "x".repeat(10 * MIB);
    check(&node, large, &[("mail", "TOO_LARGE", "send a link in place of the file")]).await;
    let everybody: Vec<String> = (0..1001).map(|n| format!("guest{n}@example.com")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let many = raw(MailClass::Bulk, "many", &everybody);
    let expected = "1001 recipients in all; at most 1000: make several jobs";
    check(&node, many, &[("mail.to", "TOO_MANY", expected)]).await;
    node.submit(raw(MailClass::Bulk, "just enough", &everybody[1..])).await;
    let long = bulk(&"x".repeat(999));
    check(&node, long, &[("mail.raw.subject", "TOO_LONG", "998")]).await;
    let eternal = v1::CreateMailJobRequest {
        time_to_live: Some(prost_types::Duration { seconds: 8 * 24 * 3600, nanos: 0 }),
        ..bulk("eternal")
    };
    check(&node, eternal, &[("time_to_live", "OUT_OF_RANGE", "at most 7 days")]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_that_was_used_for_another_mail_stores_nothing() {
    let node = TestNode::start().await;
    let with_id = |subject: &str| v1::CreateMailJobRequest {
        request_id: "order-4711".to_owned(),
        ..bulk(subject)
    };
    let first = node.submit(with_id("first")).await;
    let before = rows(&node).await;
    assert_eq!(before["mail_jobs"], 1, "rows are counted where jobs are stored");

    let refused = node.try_submit(with_id("other")).await.expect_err("the id is taken");

    assert_eq!(reason(&refused), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    assert!(refused.message().contains(&first.name), "{refused:?}");
    assert_eq!(rows(&node).await, before);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_all_limits_is_refused_and_the_node_lives_on() {
    let node = TestNode::start().await;
    let mut huge = bulk("huge");
    raw_content(&mut huge).text = "x".repeat(40 * MIB);
    let mut client =
        MailJobServiceClient::new(node.clients.channel.clone()).max_encoding_message_size(64 * MIB);

    let refused = client.create_mail_job(huge).await.expect_err("this is too much");

    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert!(refused.message().contains("33554432"), "the limit is not told: {refused:?}");
    node.submit(bulk("small")).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_says_what_it_needs() {
    let node = TestNode::start().await;

    let mut unknown = guest_credentials("erika@example.com");
    variables(&mut unknown).template = "templates/no-such".to_owned();
    let before = rows(&node).await;
    let refused = node.try_submit(unknown).await.expect_err("there is no such template");
    assert_eq!(reason(&refused), (Code::NotFound, "TEMPLATE_NOT_FOUND".to_owned()));
    assert!(refused.message().contains("templates/guest-credentials"), "{refused:?}");
    assert_eq!(rows(&node).await, before, "something of this was stored");
    let mut missing = guest_credentials("erika@example.com");
    variables(&mut missing).variables.remove("password");
    variables(&mut missing).variables.insert("pasword".to_owned(), "typing error".to_owned());
    let expected = [
        ("mail.template.variables.password", "INVALID", "is missing; this template needs it"),
        ("mail.template.variables.pasword", "INVALID", "known: "),
    ];
    check(&node, missing, &expected).await;
    let mut language = guest_credentials("erika@example.com");
    variables(&mut language).locale = "../../etc".to_owned();
    check(&node, language, &[("mail.template.locale", "INVALID", "BCP 47")]).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_tokens_that_lead_nowhere_are_told_apart() {
    let node = TestNode::start().await;
    let mut client = node.clients.mail_jobs.clone();
    let absent = "mailJobs/01890a5d-ac96-774b-bcce-b302099a8057";

    for (name, expected) in [
        (absent, (Code::NotFound, "MAIL_JOB_NOT_FOUND")),
        ("mailJobs/17", (Code::InvalidArgument, "INVALID_NAME")),
        ("", (Code::InvalidArgument, "INVALID_NAME")),
        ("jobs/01890a5d-ac96-774b-bcce-b302099a8057", (Code::InvalidArgument, "INVALID_NAME")),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        let get = v1::GetMailJobRequest { name: name.to_owned() };
        let got = client.get_mail_job(get).await.expect_err("there is no such job");
        assert_eq!(reason(&got), expected, "{name}");
        assert!(got.message().contains(name), "{got:?}");
        let cancel = v1::CancelMailJobRequest { name: name.to_owned() };
        let cancelled = client.cancel_mail_job(cancel).await.expect_err("there is no such job");
        assert_eq!(reason(&cancelled), expected, "{name}");
        if !name.is_empty() {
            let watch = v1::WatchMailJobsRequest { name: name.to_owned(), ..Default::default() };
            let watched = client.watch_mail_jobs(watch).await.expect_err("there is no such job");
            assert_eq!(reason(&watched), expected, "{name}");
        }
    }
    let resume_token = "bm9uc2Vuc2U".to_owned();
    let watch = v1::WatchMailJobsRequest { resume_token, ..Default::default() };
    let watched = client.watch_mail_jobs(watch).await.expect_err("this is no token");
    assert_eq!(reason(&watched), (Code::InvalidArgument, "INVALID_RESUME_TOKEN".to_owned()));
    assert!(watched.message().contains("begin again without one"), "{watched:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_cannot_be_continued_with_a_token_that_is_not_its_own() {
    let node = TestNode::start().await;
    for number in 0..3 {
        node.submit(bulk(&format!("mail {number}"))).await;
    }
    let mut client = node.clients.mail_jobs.clone();
    let page = v1::ListMailJobsRequest { page_size: 2, ..Default::default() };
    let first = client.list_mail_jobs(page.clone()).await.expect("this is a list").into_inner();
    assert_eq!(first.mail_jobs.len(), 2);

    let other_filter = v1::ListMailJobsRequest {
        page_token: first.next_page_token.clone(),
        states: vec![v1::MailJobState::Sent.into()],
        ..page.clone()
    };
    let malformed = v1::ListMailJobsRequest { page_token: "no token!".to_owned(), ..page.clone() };
    let negative = v1::ListMailJobsRequest { page_size: -1, ..page.clone() };
    let no_state = v1::ListMailJobsRequest { states: vec![77], ..page.clone() };
    for (request, expected, words) in [
        (other_filter, "INVALID_PAGE_TOKEN", "begin without one"),
        (malformed, "INVALID_PAGE_TOKEN", "begin again without one"),
        (negative, "INVALID_PAGE_SIZE", "give 1 to 1000"),
        (no_state, "INVALID_FILTER", ""),
    ] {
        let refused = client.list_mail_jobs(request).await.expect_err("this cannot be listed");
        assert_eq!(reason(&refused), (Code::InvalidArgument, expected.to_owned()));
        assert!(refused.message().contains(words), "{refused:?}");
    }

    let rest = v1::ListMailJobsRequest { page_token: first.next_page_token, ..page };
    let rest = client.list_mail_jobs(rest).await.expect("this is its token").into_inner();
    assert_eq!((rest.mail_jobs.len(), rest.next_page_token.as_str()), (1, ""));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_or_service_is_unimplemented() {
    let node = TestNode::start().await;
    for path in ["/nuncio.v1.MailJobService/DeleteMailJob", "/nuncio.v9.NoService/Get"] {
        let mut grpc = tonic::client::Grpc::new(node.clients.channel.clone());
        grpc.ready().await.expect("the node is there");
        let codec =
            tonic_prost::ProstCodec::<v1::GetMailJobRequest, v1::GetMailJobResponse>::default();
        let path = path.parse().expect("it is a path");
        let request = tonic::Request::new(v1::GetMailJobRequest::default());

        let answer = grpc.unary(request, path, codec).await;

        assert_eq!(answer.expect_err("there is no such method").code(), Code::Unimplemented);
    }
    node.stop().await;
}
