use super::*;

#[test]
fn classes_are_named_as_everywhere_on_the_command_line() {
    assert_eq!(class("bulk"), Ok(v1::MailClass::Bulk));
    assert_eq!(class("alarm-critical"), Ok(v1::MailClass::AlarmCritical));
    assert!(class("unspecified").is_err());
    assert!(class("spam").is_err());
}
