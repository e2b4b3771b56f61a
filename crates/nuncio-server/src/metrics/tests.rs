use std::collections::BTreeSet;

use nuncio_core::ports::job_store::Backlog;
use nuncio_core::settings::{
    Authentication, ClientCredential, Encryption, MailboxLimits, OauthClient, Provider,
    SmtpSettings,
};

use super::gauges::{DueFor, Way, client_secret_expires_at};
use super::*;

/// Checks that a scrape has all these lines, whole and in any order.
fn check(metrics: &Metrics, gauges: Gauges, lines: &[&str]) {
    let text = metrics.scrape(gauges);

    for line in lines {
        assert!(text.lines().any(|one| one == *line), "`{line}` is missing in:\n{text}");
    }
}

fn gauges() -> Gauges {
    Gauges {
        started_at: Some("2026-11-23T10:00:00Z".parse().unwrap()),
        store_up: Some(true),
        backlog: Some(Backlog {
            queued: 5,
            sending: 2,
            deferred: 3,
            held: 1,
            ..Backlog::default()
        }),
        due_for: Some(DueFor { urgent: Duration::from_millis(1500), patient: Duration::ZERO }),
        mailboxes: vec![("no-reply@example.com".to_owned(), Way::Paused)],
        dead_nodes: Some(1),
        smtp_connections: Some(3),
        channel_open: Some(true),
        leads: vec!["pan".to_owned(), "mailbox/no-reply@example.com".to_owned()],
        settings_generation: Some(7),
        settings_followed: Some(true),
        waiting_alarms: Some(4),
        live_nodes: Some(2),
        clock_ahead: Some(-3),
        oauth_token_expires_at: Some("2026-11-23T12:00:00.9Z".parse().unwrap()),
        client_secret_expires_at: Some("2027-03-16T00:00:00Z".parse().unwrap()),
        grpc_certificate_expires_at: Some("2027-03-16T00:00:01Z".parse().unwrap()),
    }
}

#[test]
fn counters_count_by_class_state_and_outcome() {
    let metrics = Metrics::new();

    metrics.job_accepted(MailClass::Alarm);
    metrics.job_accepted(MailClass::Alarm);
    metrics.attempt_ended(MailClass::Alarm, "SENT", Duration::from_millis(300));
    metrics.attempt_ended(MailClass::Bulk, "MAILBOX_THROTTLED", Duration::from_secs(3));
    metrics.job_ended(MailClass::Alarm, JobState::Sent);

    let lines = [
        r#"nuncio_mail_jobs_accepted_total{class="alarm"} 2"#,
        r#"nuncio_mail_jobs_ended_total{class="alarm",state="SENT"} 1"#,
        r#"nuncio_mail_attempts_total{outcome="SENT"} 1"#,
        r#"nuncio_mail_attempts_total{outcome="MAILBOX_THROTTLED"} 1"#,
        r#"nuncio_mail_send_duration_seconds_bucket{le="0.25"} 0"#,
        r#"nuncio_mail_send_duration_seconds_bucket{le="0.5"} 1"#,
        "nuncio_mail_send_duration_seconds_sum 3.3",
        "nuncio_mail_send_duration_seconds_count 2",
    ];
    check(&metrics, Gauges::default(), &lines);
}

#[test]
fn counters_are_there_before_the_first_mail() {
    let lines = [
        r#"nuncio_mail_jobs_accepted_total{class="credentials"} 0"#,
        r#"nuncio_mail_jobs_ended_total{class="bulk",state="FAILED"} 0"#,
        concat!(r#"nuncio_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        "# EOF",
    ];
    check(&Metrics::new(), Gauges::default(), &lines);
    let text = Metrics::new().scrape(Gauges::default());
    assert!(!text.contains(r#"state="QUEUED""#), "no job ends in a state that is not final");
}

#[test]
fn gauges_are_those_of_the_scrape() {
    let metrics = Metrics::new();
    let lines = [
        r#"nuncio_mail_backlog{state="QUEUED"} 5"#,
        r#"nuncio_mail_backlog{state="SENDING"} 2"#,
        r#"nuncio_mail_backlog{state="DEFERRED"} 3"#,
        r#"nuncio_mail_backlog{state="HELD"} 1"#,
        "nuncio_smtp_connections 3",
        "nuncio_channel_open 1",
        "nuncio_smtp_settings_generation 7",
        "nuncio_settings_followed 1",
        r#"nuncio_leads{duty="pan"} 1"#,
        r#"nuncio_leads{duty="mailbox/no-reply@example.com"} 1"#,
        "nuncio_process_start_time_seconds 1795428000",
        "nuncio_store_up 1",
        r#"nuncio_mail_oldest_due_age_seconds{urgency="urgent"} 1.5"#,
        r#"nuncio_mail_oldest_due_age_seconds{urgency="patient"} 0.0"#,
        r#"nuncio_mailbox_channel_state{mailbox="no-reply@example.com",state="PAUSED"} 1"#,
        r#"nuncio_mailbox_channel_state{mailbox="no-reply@example.com",state="OPEN"} 0"#,
        "nuncio_nodes_dead 1",
        "nuncio_alarms_waiting 4",
        "nuncio_nodes_live 2",
        "nuncio_clock_ahead_seconds -3",
        "nuncio_oauth_token_expiry_timestamp_seconds 1795435200",
        "nuncio_client_secret_expiry_timestamp_seconds 1805155200",
        "nuncio_grpc_certificate_expiry_timestamp_seconds 1805155201",
    ];
    check(&metrics, gauges(), &lines);

    let later = Gauges { channel_open: Some(false), smtp_connections: Some(0), ..gauges() };
    check(&metrics, later, &["nuncio_channel_open 0", "nuncio_smtp_connections 0"]);
}

#[test]
fn the_day_of_a_mailbox_is_told_as_long_as_this_node_sends_for_it() {
    let metrics = Metrics::new();
    let mailbox = "no-reply@example.com".parse().unwrap();

    metrics.day_used(&mailbox, Some(RecipientsOfDay { used: 9_100, limit: 10_000 }));
    let lines = [
        r#"nuncio_mailbox_recipients_used{mailbox="no-reply@example.com"} 9100"#,
        r#"nuncio_mailbox_recipients_limit{mailbox="no-reply@example.com"} 10000"#,
    ];
    check(&metrics, Gauges::default(), &lines);

    metrics.day_used(&mailbox, None);
    assert!(!metrics.scrape(Gauges::default()).contains("no-reply"));
}

#[test]
fn what_waits_is_as_old_as_it_is_due_and_what_is_not_due_yet_is_not_old() {
    let at = |second| Some(jiff::Timestamp::from_second(second).unwrap());
    let backlog = Backlog { urgent_due_at: at(40), patient_due_at: at(200), ..Backlog::default() };

    let due_for = DueFor::of(&backlog, at(100).unwrap());

    assert_eq!(due_for, DueFor { urgent: Duration::from_mins(1), patient: Duration::ZERO });
}

#[test]
fn what_is_not_known_is_left_out() {
    let metrics = Metrics::new();
    metrics.scrape(gauges());

    let text = metrics.scrape(Gauges::default());

    for name in ["backlog", "connections", "channel", "generation", "clock", "expiry"] {
        assert!(!text.contains(name), "`{name}` is in:\n{text}");
    }
}

#[test]
fn every_metric_has_one_help_and_one_type() {
    let text = Metrics::new().scrape(gauges());

    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let family = ["_total", "_bucket", "_sum", "_count", "_info"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        for kind in ["HELP", "TYPE"] {
            let start = format!("# {kind} {family} ");
            let count = text.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(count, 1, "`{start}` for `{sample}`");
        }
    }
}

#[test]
fn outcomes_beyond_the_limit_share_one_series() {
    let metrics = Metrics::new();
    for number in 0..OUTCOMES_MAX + 50 {
        metrics.attempt_ended(MailClass::Bulk, &format!("CODE_{number}"), Duration::ZERO);
    }
    metrics.attempt_ended(MailClass::Bulk, "CODE_0", Duration::ZERO);

    let lines = [
        r#"nuncio_mail_attempts_total{outcome="OTHER"} 50"#,
        r#"nuncio_mail_attempts_total{outcome="CODE_0"} 2"#,
    ];
    check(&metrics, Gauges::default(), &lines);
}

#[test]
fn a_client_secret_lasts_to_the_end_of_its_last_day() {
    let client = OauthClient {
        client_id: "id".to_owned(),
        tenant_id: None,
        credential: ClientCredential::SecretPost("secret".to_owned().into()),
        client_secret_expire_date: Some(jiff::civil::date(2027, 3, 15)),
        next_secret: None,
        token_endpoint: "https://login.example.com/token".to_owned(),
        scope: "scope".to_owned(),
    };
    let mut settings = SmtpSettings {
        provider: Provider::Generic,
        host: "smtp.example.com".to_owned(),
        port: 587,
        connect_timeout: Duration::from_mins(1),
        encryption: Encryption::StartTls,
        email_address: "nuncio@example.com".parse().unwrap(),
        proxy: None,
        additional_mailboxes: Vec::new(),
        authentication: Authentication::Oauth(client),
        ca_certificates_pem: String::new(),
        limits: MailboxLimits {
            connections_max: 3,
            messages_per_minute_max: None,
            recipients_per_day_max: None,
        },
    };
    let expires_at = client_secret_expires_at(&settings).unwrap();
    assert_eq!(expires_at.to_string(), "2027-03-16T00:00:00Z");

    settings.authentication = Authentication::None;
    assert_eq!(client_secret_expires_at(&settings), None);
}

#[test]
fn the_older_format_has_the_same_samples_under_whole_names() {
    let metrics = Metrics::new();
    let open = metrics.scrape(gauges());

    let classic = classic::classic(&open);

    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(&classic), samples(&open));
    for line in [
        "# TYPE nuncio_mail_jobs_accepted_total counter",
        "# HELP nuncio_mail_jobs_accepted_total Mail jobs that were stored.",
        "# TYPE nuncio_build_info gauge",
        "# TYPE nuncio_mail_send_duration_seconds histogram",
        "# TYPE nuncio_nodes_dead gauge",
    ] {
        assert!(classic.lines().any(|one| one == line), "`{line}` is missing in:\n{classic}");
    }
    for word in ["# UNIT", "# EOF", " info\n"] {
        assert!(!classic.contains(word), "`{word}` is none of it:\n{classic}");
    }
}

const PAGE: &str = include_str!("../../../../docs/OBSERVABILITY.md");

/// Name, type and labels of each metric, as the page lists them.
fn listed() -> BTreeSet<(String, String, BTreeSet<String>)> {
    let (_, rest) = PAGE.split_once("\n## Metrics\n").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let named = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = named(cells[1]).pop_first().unwrap();
        (name, cells[2].to_owned(), named(cells[3]))
    })
    .collect()
}

/// The same as a node serves them.
fn served() -> BTreeSet<(String, String, BTreeSet<String>)> {
    let metrics = Metrics::new();
    metrics.attempt_ended(MailClass::Alarm, "SENT", Duration::ZERO);
    let mailbox = "no-reply@example.com".parse().unwrap();
    metrics.day_used(&mailbox, Some(RecipientsOfDay { used: 1, limit: 2 }));
    let open = metrics.scrape(gauges());
    let is_info = |name: &str| open.contains(&format!("# TYPE {} info\n", &name[..name.len() - 5]));
    let text = classic::classic(&open);
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds
        .map(|(name, kind)| {
            let starts = ["", "_bucket"].map(|end| format!("{name}{end}{{"));
            let samples =
                text.lines().filter(|line| starts.iter().any(|one| line.starts_with(one)));
            let labels = samples.flat_map(|line| line.split(['{', ',']).skip(1));
            let labels = labels.filter_map(|label| label.split_once('=')).map(|(name, _)| name);
            let labels = labels.filter(|name| *name != "le").map(str::to_owned).collect();
            let kind = if name.ends_with("_info") && is_info(name) { "info" } else { kind };
            (name.to_owned(), kind.to_owned(), labels)
        })
        .collect()
}

#[test]
fn the_page_lists_every_metric_with_its_type_and_labels_and_no_other() {
    let (listed, served) = (listed(), served());

    let missing: Vec<_> = served.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&served).collect();

    assert!(missing.is_empty(), "docs/OBSERVABILITY.md, Metrics: add or correct {missing:#?}");
    assert!(gone.is_empty(), "docs/OBSERVABILITY.md, Metrics: no node has {gone:#?}");
}
