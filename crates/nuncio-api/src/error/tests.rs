use nuncio_core::violation::Fault;

use super::*;

#[test]
fn an_error_carries_its_reason_and_every_value_of_its_message() {
    let status =
        status(Code::NotFound, "X_NOT_FOUND", "`x` does not exist", [("x", "1".to_owned())]);

    assert_eq!(reason(&status), Some("X_NOT_FOUND".to_owned()));
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, DOMAIN);
    assert_eq!(info.metadata["x"], "1");
    assert_eq!(status.message(), "`x` does not exist");
}

#[test]
fn a_status_of_somebody_else_has_no_reason() {
    assert_eq!(reason(&Status::unavailable("connection refused")), None);
    let details = ErrorDetails::with_error_info("X", "example.com", HashMap::new());
    assert_eq!(reason(&Status::with_error_details(Code::Internal, "x", details)), None);
}

#[test]
fn every_violation_is_told_with_its_field() {
    let mut violations = Violations::default();
    violations.add_as(Fault::Missing, "mail.to[0].address", "is empty");
    violations.add("class", "is unknown");

    let status = invalid("INVALID_MAIL_JOB", "the mail job is not valid", violations);

    assert_eq!(status.code(), Code::InvalidArgument);
    let told = status.get_details_bad_request().unwrap().field_violations;
    let told: Vec<_> = told
        .iter()
        .map(|one| (one.field.as_str(), one.reason.as_str(), one.description.as_str()))
        .collect();
    let expect =
        [("mail.to[0].address", "MISSING", "is empty"), ("class", "INVALID", "is unknown")];
    assert_eq!(told, expect);
}

#[test]
fn a_wait_and_a_precondition_are_told_to_programs() {
    let wait = Duration::from_secs(5);
    let status = unavailable("STORE_UNAVAILABLE", "not now", wait);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(wait));

    let precondition =
        Precondition { kind: "SMTP_TEST", subject: "smtpSettings", remedy: "test them first" };
    let status = failed_precondition("SMTP_SETTINGS_NOT_TESTED", "no", [], &precondition);
    let told = status.get_details_precondition_failure().unwrap().violations;
    assert_eq!(told[0].description, "test them first");
    assert_eq!(reason(&status), Some("SMTP_SETTINGS_NOT_TESTED".to_owned()));
}
