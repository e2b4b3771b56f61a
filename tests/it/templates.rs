//! Templates: a portal's own texts, from the command line to the mailbox.

use std::fs;
use std::path::Path;

use mail_parser::MessageParser;
use nuncio_api::v1;
use nuncio_provider_sim::config::SimConfig;
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::caller::{PATIENCE, reason};
use nuncio_tests::mails::request;
use nuncio_tests::node::{NodeOptions, TestNode};
use nuncio_tests::process::{Ended, Process, ServeProcess};
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;
use tonic::Code;

const NAME: &str = "portals/lobby/templates/guest-username/locales/de";

async fn nuncio(server: &str, args: &[&str]) -> Ended {
    let args = [&["templates"][..], args].concat();
    Process::run(&args, &[("NUNCIO_SERVER", server)]).await
}

fn write_texts(folder: &Path, text: &str) -> String {
    fs::write(folder.join("subject.txt"), "Ihr Konto in {{ location }}\n")
        .expect("the folder can be written");
    fs::write(folder.join("text.txt"), text).expect("the folder can be written");
    folder.display().to_string()
}

fn has_accepted(simulator: &Simulator, subject: &str, text: &str) -> bool {
    simulator.accepted().iter().any(|mail| {
        let message = MessageParser::default().parse(&mail.data).expect("it is a message");
        message.subject() == Some(subject)
            && message.body_text(0).expect("it has a text").contains(text)
    })
}

fn own(text: &str) -> v1::UpdateTemplateRequest {
    let template = v1::Template {
        name: NAME.to_owned(),
        subject: "Konto".to_owned(),
        text: text.to_owned(),
        ..v1::Template::default()
    };
    let template = Some(template);
    v1::UpdateTemplateRequest { template, allow_missing: true, validate_only: false }
}

fn mail_from_own_texts() -> v1::CreateMailJobRequest {
    let variables =
        [("username", "gast01"), ("valid_to", "2026-07-01T18:00:00+02:00[Europe/Vienna]")];
    let content = v1::TemplateContent {
        template: "templates/guest-username".to_owned(),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        locale: "de-AT".to_owned(),
        portal: "lobby".to_owned(),
    };
    let content = v1::mail::Content::Template(content);
    request(v1::MailClass::Credentials, content, &["gast@example.com"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portals_own_texts_go_from_a_folder_to_the_mailbox() {
    let simulator = Simulator::start(SimConfig::sink()).await.unwrap();
    let (data, texts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let node = ServeProcess::start(data.path(), &[]).await;
    node.save_tested(settings_for(&simulator)).await;
    let own = ["guest-username", "--portal", "lobby", "--locale", "de"];

    let folder = write_texts(texts.path(), "Hallo {{ frist_name }}\n{% set a = 1 %}");
    let refused =
        nuncio(&node.server, &[&["save"], &own[..], &["--from-folder", &folder]].concat()).await;
    assert_eq!(refused.code, Some(4), "{refused:#?}");
    for told in [
        "line 1, column 10: there is no variable `frist_name`",
        "line 2, column 4",
        "does not show `username`",
    ] {
        assert!(refused.stderr.contains(told), "no `{told}` in: {}", refused.stderr);
    }

    let folder = write_texts(texts.path(), "Konto: {{ username }}\nBis: {{ valid_to }}\n");
    let saved =
        nuncio(&node.server, &[&["save"], &own[..], &["--from-folder", &folder]].concat()).await;
    assert_eq!(saved.code, Some(0), "{saved:#?}");
    let shown = nuncio(&node.server, &[&["preview"], &own[..]].concat()).await;
    assert!(
        shown.stdout.contains("Konto: jdoe01\nBis: 4. März 2026 um 18:30 (GMT+1)"),
        "{shown:#?}"
    );
    let test = [&["send-test"], &own[..], &["--to", "admin@example.com"]].concat();
    assert_eq!(nuncio(&node.server, &test).await.code, Some(0));

    let job = node.submit(mail_from_own_texts()).await;
    node.wait_for_end(&job.name, PATIENCE).await;
    simulator.wait_for_accepted(2, PATIENCE).await.unwrap();

    for (subject, text) in
        [("[Test] Ihr Konto in Berlin", "Konto: jdoe01"), ("Ihr Konto in", "Konto: gast01")]
    {
        assert!(has_accepted(&simulator, subject, text), "no `{subject}` with `{text}`");
    }
    assert_eq!(node.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn own_texts_outlive_the_node_and_deleted_ones_make_way_for_the_shipped() {
    let node = TestNode::start().await;
    let mut clients = node.clients.clone();
    clients.templates.update_template(own("Konto: {{ username }}")).await.unwrap();

    let node = node.restart().await;
    let mut clients = node.clients.clone();
    let get = v1::GetTemplateRequest { name: NAME.to_owned() };
    let told = clients.templates.get_template(get.clone()).await.unwrap().into_inner();
    assert_eq!(told.template.unwrap().text, "Konto: {{ username }}");

    let delete = v1::DeleteTemplateRequest { name: NAME.to_owned(), etag: "v9".to_owned() };
    let refused = clients.templates.delete_template(delete.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let delete = v1::DeleteTemplateRequest { etag: "v1".to_owned(), ..delete };
    clients.templates.delete_template(delete).await.unwrap();
    let told = clients.templates.get_template(get).await.unwrap().into_inner();
    assert_eq!(told.template.unwrap().source, "shipped/de");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_on_a_shared_database_knows_what_others_saved() {
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store_url = Some(nuncio_tests::postgres::new_store(&url, "templates").await);
    let options = NodeOptions { store_url, ..NodeOptions::default() };
    let one = TestNode::start_with(options.clone()).await;
    one.clients.clone().templates.update_template(own("Konto: {{ username }}")).await.unwrap();

    let two = TestNode::start_with(options).await;

    let preview = v1::PreviewTemplateRequest { name: NAME.to_owned(), ..Default::default() };
    let made = two.clients.clone().templates.preview_template(preview).await.unwrap().into_inner();
    assert_eq!((made.source.as_str(), made.text.as_str()), (NAME, "Konto: jdoe01\n"));
}
