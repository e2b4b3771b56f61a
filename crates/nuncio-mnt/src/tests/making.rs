//! Mails that are hard to make or to send.

use std::collections::BTreeMap;
use std::time::Duration;

use nuncio_core::address::Mailbox;
use nuncio_core::mail::Sender;
use nuncio_core::template::Templates;
use nuncio_core::template::custom::{CustomTexts, DEFAULT_PORTAL, Texts, TextsKey};

use super::sandbox::{Sandbox, alarm};

const A: &str = "a@example.com";
const DOWN: &str = "process-down";
const GROUP_WAIT: Duration = Duration::from_secs(30);

/// Templates of which one makes an empty subject, with which there is no mail.
fn without_subject(id: &str) -> Templates {
    let key = TextsKey {
        portal: DEFAULT_PORTAL.to_owned(),
        template: id.to_owned(),
        locale: "en".to_owned(),
    };
    let subject = "{% if false %}never{% endif %}".to_owned();
    let texts = Texts { subject, text: "text".to_owned(), html: String::new() };
    Templates::with_custom(BTreeMap::from([(key, CustomTexts { texts, is_default: true })]))
}

#[tokio::test(start_paused = true)]
async fn an_alarm_whose_template_makes_no_mail_is_told_in_plain_words() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.templates.send_replace(without_subject("alarm"));

    sandbox.raise(alarm(DOWN, "node-1")).await;
    sandbox.pass(GROUP_WAIT).await;

    let mails = sandbox.mails().await;
    assert_eq!(mails.len(), 1, "it is told");
    assert_eq!(mails[0].mail.template, None);
    assert_eq!(mails[0].subject(), "Alarm: Process Down (process-down)");
    assert!(mails[0].text().contains("CRITICAL · node-1 · node-1 is in trouble"));
}

#[tokio::test(start_paused = true)]
async fn a_digest_whose_template_makes_no_mail_counts_in_plain_words() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox
        .configure(|settings| {
            settings.limit = Some(nuncio_api::v1::AlarmLimit { burst: 1, mails_per_hour: 60 });
        })
        .await;
    sandbox.templates.send_replace(without_subject("alarm-digest"));

    sandbox.raise(alarm("high-load-average", "node-1")).await;
    sandbox.raise(alarm("unknown-nad", "node-1")).await;
    sandbox.pass(Duration::from_mins(15)).await;

    let mails = sandbox.mails().await;
    let digest = mails.iter().find(|mail| mail.mail.template.is_none()).expect("it is told");
    assert_eq!((mails.len(), digest.subject()), (2, "Alarms: 1"));
    assert!(digest.text().contains("1 × "), "{}", digest.text());
}

#[tokio::test(start_paused = true)]
async fn where_the_sender_is_refused_the_mailbox_sends_and_answers_go_to_the_sender() {
    let sandbox = Sandbox::new();
    sandbox.tell(&[A]).await;
    sandbox.configure(|settings| settings.from_address = "alarms@example.com".to_owned()).await;

    sandbox.raise(alarm(DOWN, "node-1")).await;
    sandbox.pass(GROUP_WAIT).await;

    let mail = sandbox.mails().await.remove(0).mail;
    let wanted = Mailbox { address: "alarms@example.com".parse().unwrap(), display_name: None };
    assert_eq!(mail.from, Some(wanted.clone()));
    assert_eq!(mail.other_senders, [Sender { from: None, reply_to: Some(wanted) }]);
}
