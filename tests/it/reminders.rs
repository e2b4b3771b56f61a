//! Guests from a file to the reminder in their mailbox, and what becomes of mails that are void before they go out.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_parser::MessageParser;
use nuncio_api::v1;
use nuncio_api::v1::{GuestState, MailJobState, PortalEvent};
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::PATIENCE;
use nuncio_tests::mails::GUEST_PASSWORD;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::process::{Ended, Process};
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// Guests who are due at once: id, time zone, language.
const DUE: [(&str, &str, &str); 6] = [
    ("erika", "Europe/Berlin", "de"),
    ("haruka", "Asia/Tokyo", "ja"),
    ("extended", "UTC", "en"),
    ("suspended", "UTC", "en"),
    ("removed", "UTC", "en"),
    ("moved", "UTC", "en"),
];
const HOUR: Duration = Duration::from_hours(1);

/// The command line against a node.
async fn nuncio(node: &TestNode, args: &[&str]) -> Ended {
    Process::run(args, &[("NUNCIO_SERVER", &node.server())]).await
}

async fn done(node: &TestNode, args: &[&str]) -> String {
    let ended = nuncio(node, args).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
    ended.stdout
}

/// When the access of all who are due ends: in two days, at a full minute.
fn end() -> Timestamp {
    let in_two_days = now() + 48 * HOUR;
    Timestamp::from_second(in_two_days.as_second() / 60 * 60).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the node under test lives by the real clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Those who are due, one whose time has not come, and two rows that are wrong.
fn csv(end: Timestamp) -> String {
    let (from, later) = (now() - 240 * HOUR, end + 720 * HOUR);
    let head = "id,email,first_name,location,time_zone,language,valid_from_time,valid_to_time\n";
    let mut file = head.to_owned();
    for (id, zone, language) in DUE {
        let address = format!("{id}@example.com");
        writeln!(file, "{id},{address},Ada,Lobby,{zone},{language},{from},{end}").unwrap();
    }
    writeln!(file, "later,later@example.com,Ada,Lobby,UTC,en,{from},{later}").unwrap();
    writeln!(file, "nowhere,nowhere@example.com,Ada,Lobby,Mars/Olympus,en,{from},{end}").unwrap();
    writeln!(file, "noend,noend@example.com,Ada,Lobby,UTC,en,{from},").unwrap();
    file
}

async fn import(node: &TestNode, folder: &Path, end: Timestamp) {
    let (file, rejected) = (folder.join("guests.csv"), folder.join("rejected.csv"));
    std::fs::write(&file, csv(end)).unwrap();
    let (file, rejected) = (file.display().to_string(), rejected.display().to_string());

    let first = nuncio(node, &["guests", "import", &file, "--rejected", &rejected]).await;
    let again = nuncio(node, &["guests", "import", &file]).await;

    assert!(first.stdout.contains("7 created, 0 updated, 0 unchanged, 2 rejected"), "{first:#?}");
    assert_ne!(first.code, Some(0), "{first:#?}");
    for words in ["line 9: time_zone", "line 10: valid_to_time"] {
        assert!(first.stderr.contains(words), "no `{words}`: {first:#?}");
    }
    assert!(again.stdout.contains("0 created, 0 updated, 7 unchanged, 2 rejected"), "{again:#?}");
    let rejected = std::fs::read_to_string(&rejected).unwrap();
    assert!(rejected.contains("Mars/Olympus") && !rejected.contains("erika"), "{rejected}");
}

/// The jobs of reminders by whom they are about.
async fn reminders(node: &TestNode) -> BTreeMap<String, Vec<v1::MailJob>> {
    let mut found: BTreeMap<String, Vec<v1::MailJob>> = BTreeMap::new();
    for job in node.jobs().await {
        if let Some(subject) = job.labels.get("reminder") {
            found.entry(subject.clone()).or_default().push(job);
        }
    }
    found
}

/// Waits until so many jobs of reminders were made.
async fn until_made(node: &TestNode, count: usize) -> BTreeMap<String, Vec<v1::MailJob>> {
    let made = timeout(PATIENCE, async {
        loop {
            let made = reminders(node).await;
            if count <= made.values().map(Vec::len).sum() {
                return made;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    made.await.expect("the reminders are made in time")
}

async fn save_moved(node: &TestNode) {
    let args = ["guests", "save", "moved", "email=moved.there@example.com"];
    done(node, &args).await;
}

async fn credentials(node: &TestNode, id: &str) -> String {
    let request = v1::NotifyGuestRequest {
        event: PortalEvent::CredentialsCreated.into(),
        target: Some(v1::notify_guest_request::Target::Name(format!("guests/{id}"))),
        password: GUEST_PASSWORD.to_owned(),
        ..v1::NotifyGuestRequest::default()
    };
    let answer = node.clients.portal.clone().notify_guest(request).await.unwrap().into_inner();
    answer.mails[0].mail_job.clone()
}

/// The texts of the mails that somebody has got.
fn texts(simulator: &Simulator, address: &str) -> Vec<String> {
    let accepted = simulator.accepted();
    let to = accepted.iter().filter(|mail| mail.recipients.iter().any(|to| to == address));
    to.map(|mail| {
        let parsed = MessageParser::default().parse(&mail.data).expect("it is a mail");
        format!("{}\n{}", parsed.subject().unwrap_or_default(), parsed.body_text(0).unwrap())
    })
    .collect()
}

/// The hour and minute by the clock of a place, as they stand in a mail in German or Japanese.
fn local_time(at: Timestamp, zone: &str) -> String {
    let local = at.to_zoned_datetime(TimeZone::get(zone).unwrap());
    format!("{}:{:02}", local.hour(), local.minute())
}

async fn guests_are_reminded_unless_the_mail_is_void(options: NodeOptions) {
    let simulator = Simulator::start(SimConfig::exchange()).await.expect("the simulator starts");
    let (node, folder, end) = (TestNode::start_with(options).await, TempDir::new().unwrap(), end());
    node.remind_guests_three_days_before().await;
    import(&node, folder.path(), end).await;

    // Nothing goes out while there are no settings of a provider: all mails wait.
    let made = until_made(&node, DUE.len()).await;
    assert_eq!(made.len(), DUE.len(), "{made:#?}");
    let tells_suspended = credentials(&node, "suspended").await;
    let tells_erika = credentials(&node, "erika").await;
    done(&node, &["guests", "extend", "extended", "--until", &(end + 720 * HOUR).to_string()])
        .await;
    done(&node, &["guests", "suspend", "suspended"]).await;
    done(&node, &["guests", "delete", "removed"]).await;
    save_moved(&node).await;
    for id in ["extended", "suspended", "removed", "moved"] {
        let job = &made[&format!("guests/{id}")][0].name;
        node.wait_for_state(job, MailJobState::Cancelled, PATIENCE).await;
    }
    node.wait_for_state(&tells_suspended, MailJobState::Cancelled, PATIENCE).await;
    let made = until_made(&node, DUE.len() + 1).await;
    assert_eq!(made["guests/moved"].len(), 2, "{made:#?}");

    node.save_tested(settings_for(&simulator)).await;
    for job in made.values().flatten().filter(|job| job.state() != MailJobState::Cancelled) {
        node.wait_for_state(&job.name, MailJobState::Sent, PATIENCE).await;
    }
    node.wait_for_state(&tells_erika, MailJobState::Sent, PATIENCE).await;
    done(&node, &["guests", "reinstate", "suspended"]).await;
    let made = until_made(&node, DUE.len() + 2).await;
    let again = &made["guests/suspended"].iter().max_by_key(|job| &job.name).unwrap().name;
    node.wait_for_state(again, MailJobState::Sent, PATIENCE).await;

    check_mails(&simulator, end);
    check_export(&node, folder.path()).await;
    check_removal(&node, folder.path()).await;
    node.stop().await;
}

fn check_mails(simulator: &Simulator, end: Timestamp) {
    let german = texts(simulator, "erika@example.com");
    let reminder = german.iter().find(|text| text.contains("läuft bald ab")).expect("in German");
    assert!(reminder.contains(&local_time(end, "Europe/Berlin")), "{reminder}");
    assert_eq!(german.len(), 2, "the reminder and the credentials: {german:#?}");
    let japanese = texts(simulator, "haruka@example.com");
    assert!(japanese[0].contains("有効期限"), "{japanese:#?}");
    assert!(japanese[0].contains(&local_time(end, "Asia/Tokyo")), "{japanese:#?}");
    for (id, count) in [("haruka", 1), ("extended", 0), ("removed", 0), ("moved", 0), ("later", 0)]
    {
        let mails = texts(simulator, &format!("{id}@example.com"));
        assert_eq!(mails.len(), count, "{id}: {mails:#?}");
    }
    assert_eq!(texts(simulator, "moved.there@example.com").len(), 1);
    assert_eq!(texts(simulator, "suspended@example.com").len(), 1, "the reminder alone");
}

async fn check_export(node: &TestNode, folder: &Path) {
    let file = folder.join("export.csv").display().to_string();
    done(node, &["guests", "export", "--to", &file]).await;
    let exported = std::fs::read_to_string(&file).unwrap();
    assert_eq!(exported.lines().count(), 7, "a head and six guests: {exported}");
    assert!(exported.contains("moved.there@example.com"), "{exported}");

    // What was exported says nothing new.
    let again = done(node, &["guests", "import", &file]).await;
    assert!(again.contains("0 created, 0 updated, 6 unchanged, 0 rejected"), "{again}");
    let request = v1::GetGuestRequest { name: "guests/suspended".to_owned() };
    let guest = node.clients.directory.clone().get_guest(request).await.unwrap().into_inner();
    assert_eq!(guest.guest.unwrap().state(), GuestState::Created);
}

/// Removes all but one by the file that was exported, in which one row names nobody.
async fn check_removal(node: &TestNode, folder: &Path) {
    let (export, file) = (folder.join("export.csv"), folder.join("remove.csv"));
    let rows = std::fs::read_to_string(export).unwrap();
    let rows = rows.replace("\nlater,", "\nnobody,").replace("\nerika,", "\n no id ,");
    std::fs::write(&file, rows).unwrap();
    let file = file.display().to_string();

    let looked = nuncio(node, &["guests", "delete", "--file", &file, "--validate-only"]).await;
    let first = nuncio(node, &["guests", "delete", "--file", &file]).await;
    let again = nuncio(node, &["guests", "delete", "--file", &file]).await;

    assert!(looked.stdout.contains("4 there, 1 not there, 1 rejected"), "{looked:#?}");
    assert!(first.stdout.contains("4 removed, 1 not there, 1 rejected"), "{first:#?}");
    assert!(first.stderr.contains("guests/nobody does not exist"), "{first:#?}");
    assert!(again.stdout.contains("0 removed, 5 not there, 1 rejected"), "{again:#?}");
    assert_eq!(first.code, Some(4), "a row that names nobody: {first:#?}");
    let left = done(node, &["guests", "export"]).await;
    assert_eq!(left.lines().count(), 3, "a head, `erika` and `later`: {left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_a_file_are_reminded_unless_the_mail_is_void() {
    guests_are_reminded_unless_the_mail_is_void(NodeOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_of_a_file_are_reminded_unless_the_mail_is_void_on_postgresql() {
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store_url = Some(nuncio_tests::postgres::new_store(&url, "reminders").await);
    let options = NodeOptions { store_url, ..NodeOptions::default() };
    guests_are_reminded_unless_the_mail_is_void(options).await;
}
