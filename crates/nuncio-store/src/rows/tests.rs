use super::*;

#[test]
fn json_written_by_the_first_version_can_be_read() {
    let reply = r#"{"code":451,"enhanced":[4,2,1],"text":"busy"}"#;
    let reason = format!(r#"{{"code":"PROVIDER_DEFERRED","message":"later","reply":{reply}}}"#);
    let who = r#"[{"address":"a@example.com"},{"address":"b@example.com","kind":"bcc"}]"#;
    let results = format!(r#"[{{"state":"ACCEPTED"}},{{"state":"PENDING","reply":{reply}}}]"#);
    let mail = r#"{"recipients":[{"address":"a@example.com","name":"A","kind":"cc"}],"subject":"Hi","text":"x"}"#;

    let reason = reason_from(&reason).unwrap();
    let recipients = recipients_from(who, Some(&results)).unwrap();
    let mail = mail_from(mail.as_bytes(), Vec::new()).unwrap();

    assert_eq!((reason.code.as_str(), reason.message.as_str()), ("PROVIDER_DEFERRED", "later"));
    assert_eq!(reason.reply.as_ref().unwrap().to_string(), "451 4.2.1 busy");
    assert_eq!(recipients[0].state, RecipientState::Accepted);
    assert_eq!(
        (recipients[1].kind, recipients[1].state),
        (RecipientKind::Bcc, RecipientState::Pending)
    );
    assert_eq!(recipients[1].reply, reason.reply);
    assert_eq!(recipients[1].reason, None);
    assert_eq!(mail.recipients[0].mailbox.display_name.as_deref(), Some("A"));
    assert!(mail.html.is_none() && mail.from.is_none());
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_column() {
    let message = |error: RowError| error.to_string();

    let short = recipients_from(r#"[{"address":"a@example.com"}]"#, Some("[]"));
    assert!(message(short.unwrap_err()).contains("`results`"));
    assert!(message(reason_from("{").unwrap_err()).contains("`reason`"));
    assert!(message(state_from("GONE").unwrap_err()).contains("`state`"));
    assert!(message(class_from("").unwrap_err()).contains("`class`"));
    assert!(message(id_from(&[1, 2]).unwrap_err()).contains("`id`"));
}
