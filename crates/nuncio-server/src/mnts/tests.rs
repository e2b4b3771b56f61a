use nuncio_nodes::membership::report::NodeReport;
use nuncio_nodes::testing::member;

use super::*;

fn node(name: &str, life: Life, roles: &[&str], leads: &[&str]) -> Member {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let report = NodeReport {
        address: format!("{name}:7587"),
        roles: texts(roles),
        leads: texts(leads),
        ..NodeReport::default()
    };
    member(name, life, report)
}

#[test]
fn alarms_go_to_the_active_mnt_then_to_those_that_stand_by_and_to_nobody_else() {
    let members = [
        node("mnt-1", Life::Live, &["mnt"], &[]),
        node("mnt-2", Life::Live, &["pan", "mnt"], &["pan", "mnt"]),
        node("mnt-3", Life::Dead, &["mnt"], &[]),
        node("psn-1", Life::Live, &["psn"], &["mailbox/a@example.com"]),
        Member { report: None, ..node("mnt-4", Life::Live, &[], &[]) },
    ];

    assert_eq!(in_turn(&members, None), ["mnt-2:7587", "mnt-1:7587"]);
    assert_eq!(in_turn(&members, Some("mnt-1:7587")), ["mnt-1:7587", "mnt-2:7587"]);
    assert_eq!(in_turn(&members, Some("mnt-3:7587")), ["mnt-2:7587", "mnt-1:7587"]);
}
