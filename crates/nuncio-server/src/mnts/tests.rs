use jiff::Timestamp;
use nuncio_core::ports::job_store::Incarnation;
use nuncio_nodes::membership::report::NodeReport;

use super::*;

fn member(name: &str, life: Life, roles: &[&str], leads: &[&str]) -> Member {
    let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let report = NodeReport {
        name: name.to_owned(),
        address: format!("{name}:7587"),
        roles: texts(roles),
        leads: texts(leads),
        ..NodeReport::default()
    };
    Member {
        incarnation: Incarnation(name.to_owned()),
        name: name.to_owned(),
        life,
        heard_at: Timestamp::UNIX_EPOCH,
        shares_name: false,
        report: Some(report),
    }
}

#[test]
fn alarms_go_to_the_active_mnt_then_to_those_that_stand_by_and_to_nobody_else() {
    let members = [
        member("mnt-1", Life::Live, &["mnt"], &[]),
        member("mnt-2", Life::Live, &["pan", "mnt"], &["pan", "mnt"]),
        member("mnt-3", Life::Dead, &["mnt"], &[]),
        member("psn-1", Life::Live, &["psn"], &["mailbox/a@example.com"]),
        Member { report: None, ..member("mnt-4", Life::Live, &[], &[]) },
    ];

    assert_eq!(in_turn(&members, None), ["mnt-2:7587", "mnt-1:7587"]);
    assert_eq!(in_turn(&members, Some("mnt-1:7587")), ["mnt-1:7587", "mnt-2:7587"]);
    assert_eq!(in_turn(&members, Some("mnt-3:7587")), ["mnt-2:7587", "mnt-1:7587"]);
}
