use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan as _};

use super::*;
use crate::alarm::catalogue::{CERTIFICATE_EXPIRATION, CERTIFICATE_EXPIRED};
use crate::ports::trust::{CertificateProblem, CertificateReader};

/// Reads what [`pem`] writes.
struct Reader;

impl CertificateReader for Reader {
    fn read(&self, pem: &str) -> Result<CertificateFacts, CertificateProblem> {
        let mut words = pem.split(' ');
        let (Some(subject), Some(kind), Some(days)) = (words.next(), words.next(), words.next())
        else {
            return Err(CertificateProblem::Missing);
        };
        let days: i64 = days.parse().unwrap();
        Ok(CertificateFacts {
            subject: format!("CN={subject}"),
            issuer: "CN=Issuer".to_owned(),
            sha256_fingerprint: format!("{subject}-{kind}"),
            not_before: now() - (24 * 365).hours(),
            not_after: now() + (24 * days).hours() + 1.hour(),
            is_authority: kind == "authority",
            is_self_signed: kind == "self-signed",
        })
    }
}

fn now() -> Timestamp {
    "2027-03-01T08:00:00Z".parse().unwrap()
}

fn draft(name: &str, pem: &str) -> CertificateDraft {
    let (description, trusted_for) = (String::new(), BTreeSet::from(TrustUse::ALL));
    CertificateDraft { name: name.to_owned(), description, pem: pem.to_owned(), trusted_for }
}

fn store(drafts: Vec<CertificateDraft>) -> TrustStore {
    check(drafts, &Reader, &TrustStore::default(), now()).unwrap()
}

#[track_caller]
fn check_refused(drafts: Vec<CertificateDraft>, expected: &[(&str, &str)]) {
    let violations = check(drafts, &Reader, &TrustStore::default(), now()).unwrap_err();
    let told: Vec<_> = violations.iter().collect();
    assert_eq!(told.len(), expected.len(), "{violations}");
    for (violation, (field, problem)) in told.iter().zip(expected) {
        assert_eq!(violation.field, format!("trust_store.{field}"), "{violations}");
        assert!(violation.problem.contains(problem), "no `{problem}` in {violations}");
    }
}

#[test]
fn authorities_and_certificates_that_sign_for_themselves_are_taken() {
    let store =
        store(vec![draft("relay", "relay self-signed 900"), draft("corp", "Corp authority 900")]);

    let names: Vec<_> = store.certificates.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["corp", "relay"]);
    assert_eq!(warnings(&store.certificates[0].facts, now()), [] as [String; 0]);
    let [warning] = warnings(&store.certificates[1].facts, now()).try_into().unwrap();
    assert!(warning.contains("the one server that presents it"), "{warning}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut wrong = draft("Corp Root", "");
    wrong.description = "two\nlines".to_owned();
    wrong.trusted_for.clear();
    let drafts = vec![
        wrong,
        draft("leaf", "leaf signed 900"),
        draft("old", "Old authority -3"),
        draft("one", "One authority 900"),
        draft("one", "One authority 900"),
    ];

    check_refused(
        drafts,
        &[
            ("certificates[0].name", "lower-case letters"),
            ("certificates[0].description", "line break"),
            ("certificates[0].trusted_for", "`smtp`, `token-endpoint`, `alarm-routes`"),
            ("certificates[0].certificate_pem", "no certificate in PEM"),
            ("certificates[1].certificate_pem", "issuer `CN=Issuer`"),
            ("certificates[2].certificate_pem", "`CN=Old` expired at 2027-02-26T09:00:00Z"),
            ("certificates[4].name", "another entry"),
            ("certificates[4].certificate_pem", "the same certificate as that of certificates[3]"),
        ],
    );
}

#[test]
fn count_and_sizes_have_limits() {
    let many = vec![draft("one", "One authority 900"); CERTIFICATES_MAX + 1];
    check_refused(many, &[("certificates", "has 101 entries; at most 100 fit")]);
    let long = draft("one", &"x".repeat(PEM_BYTES_MAX + 1));
    check_refused(vec![long], &[("certificates[0].certificate_pem", "more than 32768 bytes")]);
    let name = "x".repeat(NAME_CHARS_MAX + 1);
    check_refused(vec![draft(&name, "One authority 900")], &[("certificates[0].name", "1 to 64")]);
    let mut wordy = draft("one", "One authority 900");
    wordy.description = "x".repeat(DESCRIPTION_CHARS_MAX + 1);
    check_refused(vec![wordy], &[("certificates[0].description", "longer than 256")]);
}

#[test]
fn a_certificate_that_has_expired_in_the_store_keeps_nobody_from_changing_others() {
    let mut present = store(vec![draft("old", "Old authority 1")]);
    let later = now() + (24 * 30).hours();
    let drafts = || vec![draft("old", "Old authority 1"), draft("new", "New authority 900")];

    let kept = check(drafts(), &Reader, &present, later).unwrap();

    assert_eq!(kept.certificates.len(), 2);
    present.certificates.clear();
    check(drafts(), &Reader, &present, later).unwrap_err();
}

#[test]
fn changes_are_told_without_the_certificates() {
    let before = store(vec![
        draft("gone", "Gone authority 900"),
        draft("same", "Same authority 900"),
        draft("narrow", "Narrow authority 900"),
        draft("renewed", "First authority 900"),
    ]);
    let mut narrow = draft("narrow", "Narrow authority 900");
    narrow.trusted_for = BTreeSet::from([TrustUse::Smtp]);
    let after = store(vec![
        draft("same", "Same authority 900"),
        narrow,
        draft("new", "New authority 900"),
        draft("renewed", "Second authority 900"),
    ]);

    assert_eq!(
        after.changes_since(&before),
        "changed narrow (for smtp); added new (CN=New, SHA-256 New-authority…); \
         replaced renewed (CN=Second, SHA-256 Second-authority…); \
         removed gone (CN=Gone, SHA-256 Gone-authority…)"
    );
    assert_eq!(after.changes_since(&after), "");
}

/// The alarm about a certificate that counts for so many days more.
fn alarm_at(days: i64) -> Option<(&'static str, String)> {
    let present = store(vec![draft("corp", "Corp authority 900")]);
    let at = now() + (24 * (900 - days)).hours();
    let mut alarms = alarms(&present, at).into_iter();
    let alarm = alarms.next().map(|alarm| (alarm.alarm_type, alarm.stage));
    assert_eq!(alarms.next(), None);
    alarm
}

#[test]
fn the_alarm_is_told_anew_at_each_stage_and_when_it_has_expired() {
    let stage = |days: i64| alarm_at(days).map(|(_, stage)| stage);

    assert_eq!(alarm_at(61), None);
    assert_eq!(stage(60).unwrap(), "60 days Corp-authority");
    assert_eq!(stage(31), stage(60));
    assert_eq!(stage(30).unwrap(), "30 days Corp-authority");
    assert_eq!(stage(2), stage(7));
    assert_eq!(alarm_at(0), Some((CERTIFICATE_EXPIRATION, "1 days Corp-authority".to_owned())));
    assert_eq!(alarm_at(-1), Some((CERTIFICATE_EXPIRED, "expired Corp-authority".to_owned())));
}
