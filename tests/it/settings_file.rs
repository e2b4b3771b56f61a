//! Settings as a file: out of one node and into another.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::fs;
use std::path::{Path, PathBuf};

use nuncio_api::v1;
use nuncio_provider_sim::config::{DEFAULT_CLIENT_SECRET, SimConfig};
use nuncio_provider_sim::simulator::Simulator;
use nuncio_tests::node::TestNode;
use nuncio_tests::process::{Ended, Process};
use nuncio_tests::settings::settings_for;
use tempfile::TempDir;

const WEBHOOK_SECRET: &str = "whsec_c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M=";

/// Files beside the nodes: what was exported, and the secrets.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        fs::write(desk.path("client"), DEFAULT_CLIENT_SECRET).unwrap();
        fs::write(desk.path("hook"), WEBHOOK_SECRET).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    async fn export(&self, node: &TestNode, name: &str) -> String {
        let path = shown(&self.path(name));
        let ended = settings(node, &["export", "--file", &path]).await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        self.text(name)
    }

    async fn import(&self, node: &TestNode, name: &str, more: &[&str]) -> Ended {
        let path = shown(&self.path(name));
        settings(node, &[&["import", &path], more].concat()).await
    }

    /// The options that give both secrets.
    fn secrets(&self) -> [String; 4] {
        let hook = format!("on-call={}", shown(&self.path("hook")));
        let client = shown(&self.path("client"));
        ["--client-secret-file".into(), client, "--webhook-secret-file".into(), hook]
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

async fn settings(node: &TestNode, args: &[&str]) -> Ended {
    let server = node.server();
    Process::run(&[&["--server", &server, "settings"], args].concat(), &[]).await
}

/// A node with settings of every kind, also such that name each other.
async fn furnished(simulator: &Simulator) -> TestNode {
    let node = TestNode::start().await;
    let certificate = v1::TrustedCertificate {
        name: "simulator".to_owned(),
        certificate_pem: simulator.ca_pem(),
        trusted_for: vec![v1::TrustUse::Smtp.into(), v1::TrustUse::TokenEndpoint.into()],
        ..v1::TrustedCertificate::default()
    };
    let trust_store =
        Some(v1::TrustStore { certificates: vec![certificate], ..v1::TrustStore::default() });
    let request = v1::UpdateTrustStoreRequest { trust_store, validate_only: false };
    node.clients.trust_store.clone().update_trust_store(request).await.unwrap();
    // Without it they fail their test.
    let ca_certificates_pem = String::new();
    node.save_tested(v1::SmtpSettings { ca_certificates_pem, ..settings_for(simulator) }).await;
    let guest_mail = v1::GuestMailSettings {
        enabled: true,
        default_from: Some(v1::Mailbox {
            address: "wifi@contoso.example".to_owned(),
            display_name: "Wi-Fi \"desk\"".to_owned(),
        }),
        sender: v1::GuestMailSender::SponsorIfSponsored.into(),
        events_off: vec!["guest-extended".to_owned()],
        ..v1::GuestMailSettings::default()
    };
    let request = v1::UpdateGuestMailSettingsRequest {
        guest_mail_settings: Some(guest_mail),
        ..v1::UpdateGuestMailSettingsRequest::default()
    };
    node.clients.guest_mail.clone().update_guest_mail_settings(request).await.unwrap();
    save_reminders(&node).await;
    save_alarms(&node).await;
    save_texts(&node).await;
    node
}

async fn save_reminders(node: &TestNode) {
    let before = Some(prost_types::Duration { seconds: 3 * 86_400, nanos: 0 });
    let stages = vec![v1::ReminderStage { before, portal: "lobby".to_owned() }];
    let rule = v1::ReminderRule { enabled: true, stages, copy_to_sponsor: true };
    let reminder_settings = Some(v1::ReminderSettings {
        guests: Some(rule.clone()),
        guest_types: [("con.tractor".to_owned(), rule)].into(),
        quiet_hours: Some(v1::QuietHours { start: "21:00".to_owned(), end: "07:00".to_owned() }),
        ..v1::ReminderSettings::default()
    });
    let request = v1::UpdateReminderSettingsRequest {
        reminder_settings,
        ..v1::UpdateReminderSettingsRequest::default()
    };
    node.clients.reminders.clone().update_reminder_settings(request).await.unwrap();
}

async fn save_alarms(node: &TestNode) {
    let mut alarms = node.clients.alarms.clone();
    let got = alarms.get_alarm_settings(v1::GetAlarmSettingsRequest {}).await.unwrap();
    let guards = v1::AlarmRecipientGroup {
        display_name: "guards".to_owned(),
        addresses: vec!["guard@contoso.example".to_owned()],
    };
    let inhibition = v1::AlarmInhibition {
        source_type: "door-open".to_owned(),
        target_types: vec!["high-load-average".to_owned()],
        ..v1::AlarmInhibition::default()
    };
    let settings = v1::AlarmSettings {
        recipient_groups: vec![guards],
        inhibitions: vec![inhibition],
        ..got.into_inner().alarm_settings.unwrap()
    };
    let door = v1::AlarmType {
        name: "alarmTypes/door-open".to_owned(),
        display_name: "Door open".to_owned(),
        severity: v1::AlarmSeverity::Critical.into(),
        recipient_groups: vec!["guards".to_owned()],
        ..v1::AlarmType::default()
    };
    let request = v1::ReplaceAlarmRulesRequest {
        alarm_settings: Some(settings),
        alarm_types: vec![door],
        validate_only: false,
    };
    alarms.replace_alarm_rules(request).await.unwrap();
    let webhook = v1::alarm_route::Target::Webhook(v1::WebhookTarget {
        url: "https://hooks.example.com/x".to_owned(),
        secret: WEBHOOK_SECRET.to_owned(),
    });
    let syslog = v1::alarm_route::Target::Syslog(v1::SyslogTarget {
        host: "logs.example.com".to_owned(),
        ..v1::SyslogTarget::default()
    });
    for (id, target) in [("on-call", webhook), ("siem", syslog)] {
        let name = format!("alarmRoutes/{id}");
        let route = v1::AlarmRoute { name, target: Some(target), ..v1::AlarmRoute::default() };
        let request = v1::UpdateAlarmRouteRequest {
            alarm_route: Some(route),
            allow_missing: true,
            validate_only: false,
        };
        node.clients.alarm_routes.clone().update_alarm_route(request).await.unwrap();
    }
}

/// The texts that come with nuncio, as a portal's own.
async fn save_texts(node: &TestNode) {
    let mut templates = node.clients.templates.clone();
    let name = "portals/lobby/templates/guest-credentials/locales/de".to_owned();
    let got = templates.get_template(v1::GetTemplateRequest { name }).await.unwrap();
    let request = v1::UpdateTemplateRequest {
        template: got.into_inner().template,
        allow_missing: true,
        validate_only: false,
    };
    templates.update_template(request).await.unwrap();
}

async fn changes(node: &TestNode) -> Vec<v1::SettingsChange> {
    let request = v1::ListSettingsChangesRequest::default();
    node.clients.settings.clone().list_settings_changes(request).await.unwrap().into_inner().changes
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_go_from_one_node_to_another_and_come_out_the_same() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let (desk, node, other) = (Desk::new(), furnished(&simulator).await, TestNode::start().await);
    let secrets = desk.secrets();
    let secrets: Vec<_> = secrets.iter().map(String::as_str).collect();

    let first = desk.export(&node, "first.toml").await;
    for secret in [DEFAULT_CLIENT_SECRET, WEBHOOK_SECRET, "whsec_"] {
        assert!(!first.contains(secret), "{first}");
    }

    let without = desk.import(&other, "first.toml", &[]).await;
    assert_eq!(without.code, Some(4), "{without:#?}");
    for words in [
        "smtp: oauth.client_secret",
        "--client-secret-file FILE",
        "alarmRoutes/on-call.webhook.secret",
        "--webhook-secret-file on-call=FILE",
    ] {
        assert!(without.stderr.contains(words), "no `{words}` in: {}", without.stderr);
    }
    let dry = desk.import(&other, "first.toml", &[&["--dry-run"], &secrets[..]].concat()).await;
    assert_eq!(dry.code, Some(0), "{dry:#?}");
    assert!(dry.stdout.contains("alarmRoutes/siem (new)"), "{}", dry.stdout);
    assert_eq!(changes(&other).await, [], "nothing is saved so far");

    let imported = desk.import(&other, "first.toml", &secrets).await;
    assert_eq!(imported.code, Some(0), "{imported:#?}");
    assert_eq!(desk.export(&other, "second.toml").await, first);

    let saved = changes(&other).await;
    let again = desk.import(&other, "first.toml", &[]).await;
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert!(again.stderr.contains("as in the file already"), "{}", again.stderr);
    assert_eq!(changes(&other).await, saved, "what is there already is not saved again");
    let mut documents: Vec<_> = saved.iter().map(|one| one.document.as_str()).collect();
    documents.sort_unstable();
    let expect = ["alarm-routes", "alarm-routes", "alarms", "guest-mail", "reminders", "smtp"];
    assert_eq!(documents, [&expect[..], &["trust-store"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_fail_their_test_keep_the_file_out_but_for_whom_to_trust() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let (desk, node, other) = (Desk::new(), furnished(&simulator).await, TestNode::start().await);
    desk.export(&node, "first.toml").await;
    fs::write(desk.path("client"), "not-the-secret").unwrap();
    let secrets = desk.secrets();
    let secrets: Vec<_> = secrets.iter().map(String::as_str).collect();

    let refused = desk.import(&other, "first.toml", &secrets).await;

    assert_eq!(refused.code, Some(5), "{refused:#?}");
    assert!(refused.stderr.contains("nothing else was saved"), "{}", refused.stderr);
    let documents = async || -> Vec<String> {
        changes(&other).await.into_iter().map(|one| one.document).collect()
    };
    assert_eq!(documents().await, ["trust-store"], "the test may need it");
    let only = desk.import(&other, "first.toml", &["--only", "guest-mail,reminders"]).await;
    assert_eq!(only.code, Some(0), "{only:#?}");
    let mut all = documents().await;
    all.sort();
    assert_eq!(all, ["guest-mail", "reminders", "trust-store"], "they need no mail server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_secret_stays_for_the_same_endpoint_and_is_asked_for_with_another() {
    let simulator = Simulator::start(SimConfig::exchange()).await.unwrap();
    let (desk, node) = (Desk::new(), furnished(&simulator).await);
    let text = desk.export(&node, "first.toml").await;
    let smaller = text.replace("max_connections = 3", "max_connections = 2");
    assert_ne!(smaller, text);
    fs::write(desk.path("smaller.toml"), &smaller).unwrap();
    let elsewhere = text.replace("/oauth2/v2.0/token", "/oauth2/v2.0/token?other");
    assert_ne!(elsewhere, text);
    fs::write(desk.path("elsewhere.toml"), elsewhere).unwrap();

    let refused = desk.import(&node, "elsewhere.toml", &[]).await;
    let kept = desk.import(&node, "smaller.toml", &[]).await;

    assert_eq!(refused.code, Some(4), "{refused:#?}");
    assert!(refused.stderr.contains("another token endpoint"), "{}", refused.stderr);
    assert_eq!(kept.code, Some(0), "{kept:#?}");
    assert!(kept.stdout.contains("limits.max_connections"), "{}", kept.stdout);
    assert!(kept.stderr.contains("the saved secret stays: smtp: oauth.client_secret"), "{kept:#?}");
    assert_eq!(desk.export(&node, "again.toml").await, smaller);
    let last = &changes(&node).await[0];
    let told = (last.document.as_str(), last.generation, last.summary.as_str());
    assert_eq!(told, ("smtp", 2, "limits.max_connections"));
    assert_eq!(last.caller, "local");
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_mail_is_set_by_command_and_everybody_sees_who_did_it() {
    let node = TestNode::start().await;
    let run = async |args: &[&str]| {
        let ended = settings(&node, args).await;
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.stdout
    };

    let first = run(&["guest-mail", "get"]).await;
    let from = "Wi-Fi desk <wifi@contoso.example>";
    let off = ["--event-off", "guest-extended", "--event-off", "guest-deleted"];
    run(&[&["guest-mail", "save", "--default-from", from], &off[..]].concat()).await;
    run(&["guest-mail", "save", "--enabled", "false", "--event-on", "guest-extended"]).await;
    run(&["guest-mail", "save", "--enabled", "true", "--dry-run"]).await;
    let last = run(&["guest-mail", "get"]).await;
    let history = run(&["history"]).await;

    assert!(first.contains("that of the SMTP settings"), "{first}");
    for words in ["off", from, "guest-deleted", "g2"] {
        assert!(last.contains(words), "no `{words}` in {last}");
    }
    assert!(!last.contains("guest-extended"), "{last}");
    let lines: Vec<_> = history.lines().skip(1).collect();
    assert_eq!(lines.len(), 2, "{history}");
    assert!(lines[0].ends_with("enabled, events_off"), "{history}");
    assert!(lines[1].contains("guest-mail  1           local"), "{history}");
    assert!(lines[1].ends_with("default_from, events_off"), "{history}");
    let wrong = settings(&node, &["guest-mail", "save", "--event-off", "guest-married"]).await;
    assert_eq!(wrong.code, Some(4), "{wrong:#?}");
    assert!(wrong.stderr.contains("guest_mail_settings.events_off[1]"), "{}", wrong.stderr);
    assert_eq!(run(&["guest-mail", "history"]).await, history);
}
