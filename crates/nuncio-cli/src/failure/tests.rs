use super::*;

fn check(status: &Status, expect: Exit) {
    let failure = Failure::from(status.clone());
    assert_eq!(failure.exit(), expect, "{status:?}");
}

#[test]
fn a_status_without_a_reason_comes_from_the_transport() {
    check(&Status::unavailable("tcp connect error"), Exit::Unreachable);
    check(&Status::cancelled("Timeout expired"), Exit::Unreachable);
    check(&Status::deadline_exceeded("late"), Exit::Unreachable);
    check(&Status::unknown("h2 protocol error"), Exit::Unreachable);
    check(&Status::internal("bug"), Exit::Failed);
    check(&Status::unimplemented("no such service"), Exit::Failed);
    check(&Status::permission_denied("no"), Exit::Refused);
}

#[test]
fn a_lost_connection_and_a_busy_store_pass_but_a_refusal_does_not() {
    let busy = nuncio_api::error::status(Code::Unavailable, "STORE_UNAVAILABLE", "no", []);

    assert!(Failure::from(busy).is_passing());
    assert!(Failure::from(Status::unavailable("connection reset")).is_passing());
    assert!(!Failure::from(Status::not_found("gone")).is_passing());
    assert!(!Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_passing());
}

#[test]
fn an_error_is_told_with_its_causes_each_once() {
    let source = io::Error::new(io::ErrorKind::NotFound, "no such file");
    let failure = Failure::File { path: PathBuf::from("x"), source };

    assert_eq!(chain(&failure), "file `x` cannot be read: no such file");
    assert_eq!(
        chain(&Failure::from(io::Error::other("disk"))),
        "the result cannot be written: disk"
    );
}

#[test]
fn preconditions_and_waits_are_told_as_what_to_do() {
    use std::time::Duration;

    let precondition = nuncio_api::error::Precondition {
        kind: "SMTP_TEST",
        subject: "smtpSettings",
        remedy: "test these settings",
    };
    let status = nuncio_api::error::failed_precondition("X", "no", [], &precondition);
    assert_eq!(told_by_server(&status).remedies, ["test these settings"]);

    let status = nuncio_api::error::unavailable("X", "no", Duration::from_millis(300));
    assert_eq!(told_by_server(&status).remedies, ["try again in 1 s"]);
}

#[test]
fn a_service_that_a_node_does_not_have_is_told_with_what_to_do() {
    let message = "this node does not serve that: it has another role";
    let status = nuncio_api::error::status(Code::Unimplemented, "NOT_SERVED", message, []);
    let told = Failure::from(status).told("http://127.0.0.1:7587");

    assert_eq!(told.reason, "NOT_SERVED");
    assert!(told.message.contains("another role") && told.remedies[0].contains("nuncio nodes"));
}
