use super::*;

fn reply() -> Action {
    Action::Reply("451 4.7.0 later".to_owned())
}

fn faults(list: impl IntoIterator<Item = Fault>) -> Faults {
    Faults::new(FaultScript { smtp: list.into_iter().collect(), token: Vec::new() })
}

/// On which of the first six occasions a fault shows.
fn check(when: When, expected: [u8; 6]) {
    let faults = faults([Fault { when, ..Fault::always(Phase::Mail, reply()) }]);
    let shown = [(); 6].map(|()| u8::from(faults.smtp(Phase::Mail, None).action.is_some()));
    assert_eq!(shown, expected, "{when:?}");
    assert_eq!(faults.shown(), expected.iter().map(|it| u64::from(*it)).sum::<u64>());
}

#[test]
fn occasions_are_counted() {
    check(When::Always, [1, 1, 1, 1, 1, 1]);
    check(When::Next(2), [1, 1, 0, 0, 0, 0]);
    check(When::Next(0), [0, 0, 0, 0, 0, 0]);
    check(When::Every(3), [0, 0, 1, 0, 0, 1]);
    check(When::Every(0), [0, 0, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_has_a_beginning_and_an_end() {
    let when = When::Between { from_ms: 100, to_ms: 200 };
    let faults = faults([Fault { when, ..Fault::always(Phase::Mail, reply()) }]);
    let mut shown = Vec::new();
    for _ in 0..4 {
        shown.push(faults.smtp(Phase::Mail, None).action.is_some());
        tokio::time::advance(Duration::from_millis(70)).await;
    }
    // At 0, 70, 140 and 210 ms
    assert_eq!(shown, [false, false, true, false]);
}

#[test]
fn other_phases_and_other_mailboxes_are_not_concerned() {
    let faults = faults([Fault {
        mailbox: Some("a@b.example".to_owned()),
        ..Fault::next(1, Phase::Mail, reply())
    }]);
    assert_eq!(faults.smtp(Phase::Rcpt, Some("a@b.example")).action, None);
    assert_eq!(faults.smtp(Phase::Mail, Some("c@b.example")).action, None);
    assert_eq!(faults.smtp(Phase::Mail, None).action, None);
    assert_eq!(faults.smtp(Phase::Mail, Some("A@b.example")).action, Some(reply()));
}

#[test]
fn delays_add_up_and_the_first_other_fault_decides() {
    let faults = faults([
        Fault::always(Phase::Mail, Action::Delay(10)),
        Fault::always(Phase::Mail, Action::Delay(20)),
        Fault::always(Phase::Mail, Action::Cut),
        Fault::always(Phase::Mail, reply()),
    ]);
    let verdict = faults.smtp(Phase::Mail, None);
    assert_eq!(verdict, Verdict { delay: Duration::from_millis(30), action: Some(Action::Cut) });
    assert_eq!(faults.shown(), 3);
}
