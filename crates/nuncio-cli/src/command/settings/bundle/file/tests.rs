use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{
    AlarmCondition, AlarmRoute, AlarmType, GuestMailSettings, NextClientSecret,
    OauthAuthentication, QuietHours, ReminderRule, ReminderSettings, ReminderStage, SmtpSettings,
    Template, WebhookTarget, alarm_route,
};

use super::*;
use crate::globals::{Color, Format, Globals};

fn output() -> Output {
    let globals = Globals {
        server: String::new(),
        server_ca_file: None,
        cert_file: None,
        key_file: None,
        token_file: None,
        timeout: std::time::Duration::from_secs(1),
        output: Format::Table,
        color: Color::Never,
    };
    Output::to(Vec::new(), Vec::new(), &globals)
}

/// What a node might tell, also what no file shall hold.
fn bundle() -> Bundle {
    let oauth = OauthAuthentication {
        client_id: "app".to_owned(),
        client_secret: "hidden".to_owned(),
        client_secret_set: true,
        next_client_secret: Some(NextClientSecret { value_set: true, ..Default::default() }),
        ..OauthAuthentication::default()
    };
    let stage = ReminderStage {
        before: Some(prost_types::Duration { seconds: 3 * 86_400, nanos: 0 }),
        portal: String::new(),
    };
    Bundle {
        trust_store: None,
        smtp: Some(SmtpSettings {
            host: "mail.example.com".to_owned(),
            port: 587,
            authentication: Some(Authentication::Oauth(oauth)),
            ca_certificates_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n".to_owned(),
            etag: "g7".to_owned(),
            generation: 7,
            ..SmtpSettings::default()
        }),
        guest_mail: Some(GuestMailSettings { sender: 2, ..GuestMailSettings::default() }),
        alarms: None,
        alarm_types: Some(vec![AlarmType {
            name: "alarmTypes/own".to_owned(),
            description: "an \"own\" one".to_owned(),
            condition: Some(AlarmCondition { value: 2.5, ..AlarmCondition::default() }),
            user_defined: true,
            ..AlarmType::default()
        }]),
        alarm_routes: Some(vec![AlarmRoute {
            name: "alarmRoutes/on-call".to_owned(),
            target: Some(alarm_route::Target::Webhook(WebhookTarget {
                url: "https://hooks.example.com/x".to_owned(),
                secret: "hidden".to_owned(),
            })),
            waiting_messages: 3,
            ..AlarmRoute::default()
        }]),
        templates: Some(vec![Template {
            name: "portals/lobby/templates/alarm/locales/de".to_owned(),
            description: "tells of an alarm".to_owned(),
            text: "a\n'''b\"\"\"\n".to_owned(),
            custom: true,
            ..Template::default()
        }]),
        reminders: Some(ReminderSettings {
            guests: Some(ReminderRule { enabled: true, stages: vec![stage], ..Default::default() }),
            guest_types: [("con.tractor".to_owned(), ReminderRule::default())].into(),
            quiet_hours: Some(QuietHours { start: "21:00".to_owned(), end: "07:00".to_owned() }),
            ..ReminderSettings::default()
        }),
    }
}

#[track_caller]
fn findings(text: &str) -> Vec<(String, String)> {
    match read(Path::new("settings.toml"), text, &output()) {
        Err(Failure::Findings(found)) => {
            found.into_iter().map(|one| (one.field, one.problem)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_read_as_it_was_written_but_for_secrets_and_what_only_the_node_knows() {
    let text = write(&bundle(), &output()).unwrap();

    let read = read(Path::new("settings.toml"), &text, &output()).unwrap();

    let mut expect = bundle();
    let smtp = expect.smtp.as_mut().unwrap();
    (smtp.etag, smtp.generation) = (String::new(), 0);
    let Some(Authentication::Oauth(oauth)) = &mut smtp.authentication else { panic!() };
    (oauth.client_secret, oauth.client_secret_set) = (String::new(), false);
    oauth.next_client_secret = Some(NextClientSecret::default());
    expect.alarm_types.as_mut().unwrap()[0].user_defined = false;
    let route = &mut expect.alarm_routes.as_mut().unwrap()[0];
    route.waiting_messages = 0;
    let Some(alarm_route::Target::Webhook(webhook)) = &mut route.target else { panic!() };
    webhook.secret.clear();
    let texts = &mut expect.templates.as_mut().unwrap()[0];
    (texts.description, texts.custom) = (String::new(), false);
    assert_eq!(read, expect, "{text}");
    assert_eq!(write(&read, &output()).unwrap(), text);
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn the_secrets_that_must_be_entered_again_are_named_with_their_options() {
    let text = write(&bundle(), &output()).unwrap();

    for expect in [
        "oauth.client_secret",
        "--next-client-secret-file FILE",
        "alarmRoutes/on-call.webhook.secret",
        "--webhook-secret-file on-call=FILE",
    ] {
        assert!(text.contains(expect), "{expect} in {text}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_file_is_told_at_once() {
    let text = "format = \"nuncio-settings\"\nversion = 1\n\
        [smtp]\nhots = \"a\"\n\
        [smtp.oauth]\nclient_secret = \"very-hidden\"\n\
        [[alarm-routes]]\ndisabled = true\n\
        [colours]\nsky = \"blue\"\n";

    let found = findings(text);

    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    for field in ["smtp", "smtp: oauth.client_secret", "alarm-routes: [0]", "colours"] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    assert!(found.iter().any(|(_, problem)| problem.contains("hots")), "{found:?}");
    assert!(found.iter().all(|(_, problem)| !problem.contains("very-hidden")), "{found:?}");
}

#[test]
fn a_file_of_another_kind_or_of_a_later_version_is_refused() {
    for (text, expect) in [
        ("host = \"a\"", "does not say `format = \"nuncio-settings\"`"),
        ("format = \"nuncio-settings\"\nversion = 2", "has version 2 of its format"),
        ("format = \"nuncio-settings\"", "has no version of its format"),
        ("[smtp", "is no TOML"),
    ] {
        let refused = read(Path::new("settings.toml"), text, &output()).unwrap_err();

        assert!(refused.to_string().contains(expect), "{refused}");
    }
}
