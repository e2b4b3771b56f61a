use nuncio_api::v1::{MailJob, MailJobState, PasswordAuthentication};

use super::*;

fn people() -> Table {
    let mut table = Table::with_head(["NAME", "STATE", "REASON"]);
    table.row([Cell::from("a"), Cell::toned(Tone::Good, "SENT"), Cell::from("")]);
    table.row([Cell::from("longer"), Cell::from("QUEUED"), Cell::from("why")]);
    table
}

#[test]
fn a_table_is_aligned_and_has_no_blanks_at_its_line_ends() {
    let expect = "NAME    STATE   REASON\na       SENT\nlonger  QUEUED  why";

    assert_eq!(people().render(false), expect);
}

#[test]
fn colours_do_not_move_the_columns() {
    let colored = people().render(true);

    assert!(colored.contains("\u{1b}["), "{colored:?}");
    let plain: String = strip(&colored);
    let lines: Vec<_> = plain.lines().map(str::trim_end).collect();
    assert_eq!(lines.join("\n"), people().render(false));
}

fn strip(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap());
    for part in parts {
        plain.push_str(part.split_once('m').unwrap().1);
    }
    plain
}

#[test]
fn a_list_leaves_out_what_has_no_value() {
    let mut list = Table::list();
    list.value("name", "a");
    list.value("empty", "");

    assert_eq!(list.render(false), "name  a");
}

#[test]
fn text_from_elsewhere_cannot_steer_the_terminal() {
    let evil = "a\u{1b}[2J\r\nb\u{9b}c";
    let mut table = Table::list();
    table.value("evil", evil);

    for shown in [table.render(false), Line::from(evil).render(true)] {
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}

#[test]
fn a_line_has_colours_only_where_they_are_wanted() {
    let line = || Line::new().push(Tone::Bad, "error").plain(": no");

    assert_eq!(line().render(false), "error: no");
    assert_eq!(line().render(true), "\u{1b}[31merror\u{1b}[0m: no");
}

#[test]
fn json_has_every_field_but_those_that_only_go_in() {
    let mapping = JsonMapping::new();
    let mut job = MailJob { name: "mailJobs/1".to_owned(), ..MailJob::default() };
    job.set_state(MailJobState::Sent);

    let json = mapping.of(&job).unwrap();

    assert_eq!(json["name"], "mailJobs/1");
    assert_eq!(json["state"], "MAIL_JOB_STATE_SENT");
    assert_eq!(json["attemptCount"], 0);
    assert_eq!(json["recipients"], serde_json::json!([]));

    let password = PasswordAuthentication { username: "u".to_owned(), ..Default::default() };
    let json = mapping.of(&password).unwrap();
    assert_eq!(json, serde_json::json!({ "username": "u", "passwordSet": false }));
}

fn check_colors(color: Color, no_color: bool, terminal: bool, expect: bool) {
    let environment = Environment { no_color, ..Environment::default() };
    assert_eq!(Style::new(color, &environment, terminal).colors, expect);
}

#[test]
fn colours_are_for_terminals_unless_somebody_says_otherwise() {
    check_colors(Color::Auto, false, true, true);
    check_colors(Color::Auto, false, false, false);
    check_colors(Color::Auto, true, true, false);
    check_colors(Color::Always, true, false, true);
    check_colors(Color::Never, false, true, false);
}
