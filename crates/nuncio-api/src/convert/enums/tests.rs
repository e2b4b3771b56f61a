use std::fmt::Debug;

use super::*;

/// Checks that every value comes back as it went, and has a number of its own.
fn check<Wire, Core>(all: &[Core])
where
    Wire: From<Core> + TryFrom<i32> + Into<i32>,
    Option<Core>: From<Wire>,
    Core: Copy + Debug + PartialEq,
{
    let mut numbers = std::collections::BTreeSet::new();
    for value in all {
        let number: i32 = Wire::from(*value).into();
        let mut violations = Violations::default();

        let back = known::<Wire, Core>(&mut violations, "field", number);

        assert_eq!(back, Some(*value));
        assert!(violations.is_empty());
        assert!(numbers.insert(number), "two values have the number {number}");
    }
    assert!(!numbers.contains(&0), "0 is kept for what was not given");
}

#[test]
fn every_value_comes_back_as_it_went() {
    use RecipientState::*;

    check::<v1::MailClass, _>(&MailClass::ALL);
    check::<v1::MailJobState, _>(&JobState::ALL);
    check::<v1::SmtpTestStageKind, _>(&StageKind::ALL);
    check::<v1::RecipientState, _>(&[Pending, Accepted, Refused, Unknown]);
    check::<v1::RecipientKind, _>(&[RecipientKind::To, RecipientKind::Cc, RecipientKind::Bcc]);
    check::<v1::TrustUse, _>(&TrustUse::ALL);
    check::<v1::SmtpProvider, _>(&[Provider::Generic, Provider::ExchangeOnline]);
    check::<v1::SmtpEncryption, _>(&[Encryption::None, Encryption::StartTls, Encryption::Tls]);
}

#[test]
fn names_in_the_api_are_those_of_the_domain() {
    for state in JobState::ALL {
        let name = v1::MailJobState::from(state).as_str_name();
        assert_eq!(name, format!("MAIL_JOB_STATE_{}", state.name()));
    }
    for class in MailClass::ALL {
        let name = v1::MailClass::from(class).as_str_name();
        let expect = class.name().to_uppercase().replace('-', "_");
        assert_eq!(name, format!("MAIL_CLASS_{expect}"));
    }
}

#[test]
fn a_value_that_was_not_given_is_none() {
    let mut violations = Violations::default();

    assert_eq!(known::<v1::MailClass, MailClass>(&mut violations, "class", 0), None);
    assert!(violations.is_empty());
}

#[test]
fn an_unknown_number_is_a_violation_with_its_field() {
    let mut violations = Violations::default();

    assert_eq!(known::<v1::MailClass, MailClass>(&mut violations, "class", 99), None);
    known_all::<v1::MailJobState, JobState>(&mut violations, "states", &[1, 0, -7]);

    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["class", "states[1]", "states[2]"]);
}
