use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn certificate() -> impl Strategy<Value = PresentedCertificate> {
    proptest::array::uniform5(".*").prop_map(
        |[subject, issuer, not_before, not_after, sha256_fingerprint]| PresentedCertificate {
            subject,
            issuer,
            not_before,
            not_after,
            sha256_fingerprint,
        },
    )
}

fn outcome() -> impl Strategy<Value = StageOutcome> {
    let chain = proptest::collection::vec(certificate(), 0..3);
    let failed = (".*", ".*", ".*", chain).prop_map(|(code, cause, remedy, presented_chain)| {
        StageOutcome::Failed(StageError { code, cause, remedy, presented_chain })
    });
    prop_oneof![
        ".*".prop_map(|detail| StageOutcome::Passed { detail }),
        ".*".prop_map(|why| StageOutcome::Skipped { why }),
        failed,
    ]
}

fn stage_result() -> impl Strategy<Value = StageResult> {
    let kind = proptest::sample::select(StageKind::ALL.as_slice());
    let elapsed = (0..=3600_u64, 0..=999_999_999_u32);
    let mailbox = proptest::option::of("[a-z]{1,8}@[a-z]{1,8}\\.test");
    let parts = (kind, mailbox, outcome(), elapsed);
    parts.prop_map(|(kind, mailbox, outcome, (seconds, nanos))| StageResult {
        kind,
        mailbox: mailbox.map(|text| text.parse().unwrap()),
        outcome,
        elapsed: Duration::new(seconds, nanos),
    })
}

proptest! {
    #[test]
    fn a_test_comes_back_as_it_went(
        node in ".*",
        stages in proptest::collection::vec(stage_result(), 0..4),
    ) {
        let test = NodeTest { node, stages };

        let told = v1::SmtpNodeTest::from(test.clone());

        prop_assert_eq!(told.passed, test.passed());
        prop_assert_eq!(NodeTest::try_from(told), Ok(test));
    }
}

#[test]
fn a_stage_of_a_newer_version_is_not_taken_for_a_passed_one() {
    let known = v1::SmtpTestStage { kind: 1, outcome: 1, ..v1::SmtpTestStage::default() };
    assert!(StageResult::try_from(known.clone()).is_ok());

    let newer = v1::SmtpTestStage { outcome: 99, ..known.clone() };
    assert_eq!(StageResult::try_from(newer), Err(NotAStage::Outcome(99)));
    let newer = v1::SmtpTestStage { kind: 0, ..known.clone() };
    assert_eq!(StageResult::try_from(newer), Err(NotAStage::Kind(0)));
    let wrong = v1::SmtpTestStage { mailbox: "a".to_owned(), ..known };
    assert_eq!(StageResult::try_from(wrong), Err(NotAStage::Mailbox("a".to_owned())));
}

#[test]
fn a_report_passes_only_if_every_node_passed() {
    let node = |outcome| NodeTest {
        node: "nodes/a".to_owned(),
        stages: vec![StageResult {
            kind: StageKind::Dns,
            mailbox: None,
            outcome,
            elapsed: Duration::ZERO,
        }],
    };
    let passed = || node(StageOutcome::Passed { detail: String::new() });
    let error = StageError {
        code: "A".into(),
        cause: "b".into(),
        remedy: "c".into(),
        presented_chain: vec![],
    };
    let failed = || node(StageOutcome::Failed(error.clone()));

    assert!(report(vec![passed(), passed()], Vec::new()).passed);
    assert!(!report(vec![passed(), failed()], Vec::new()).passed);
    assert!(!report(Vec::new(), Vec::new()).passed);
}
