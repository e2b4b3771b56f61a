use super::*;

#[test]
fn each_address_is_greylisted_for_itself() {
    let recipients = Recipients::new(vec![RecipientRule::greylisted("greylisted@", 1)]);
    let deferred =
        ["greylisted@a.example", "greylisted@b.example", "Greylisted@a.example", "other@a.example"]
            .map(|address| recipients.rcpt(address).is_some());
    assert_eq!(deferred, [true, true, false, false]);
}

#[test]
fn the_first_rule_with_a_reply_for_the_phase_decides() {
    let rule = |pattern: &str, rcpt: Option<&str>, end_of_data: Option<&str>| RecipientRule {
        pattern: pattern.to_owned(),
        rcpt: rcpt.map(str::to_owned),
        end_of_data: end_of_data.map(str::to_owned),
        times: None,
    };
    let recipients = Recipients::new(vec![
        rule("@a.example", None, Some("550 end")),
        rule("x@a.example", Some("550 first"), None),
        rule("@a.example", Some("550 second"), None),
    ]);
    assert_eq!(recipients.rcpt("x@a.example").as_deref(), Some("550 first"));
    assert_eq!(recipients.rcpt("y@a.example").as_deref(), Some("550 second"));
    let mail = ["z@b.example".to_owned(), "y@a.example".to_owned()];
    assert_eq!(recipients.end_of_data(&mail).as_deref(), Some("550 end"));
    assert_eq!(recipients.end_of_data(&mail[..1]), None);
}
