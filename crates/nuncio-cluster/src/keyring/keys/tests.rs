use super::*;
use crate::keyring::testing::keyring;

fn keys(of: &[(&str, u8)]) -> Keys {
    Keys::new(Path::new("/nowhere/settings.key"), keyring(of))
}

fn writing(keys: &Keys) -> Vec<String> {
    keys.writing().iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_is_written_with_until_nobody_holds_what_it_sealed() {
    let keys = keys(&[("old", 1)]);
    let on_its_way = Sealers::current(&keys);
    keys.replace(keyring(&[("new", 2), ("old", 1)]));

    assert_eq!(Sealers::current(&keys).key_id(), "new");
    assert_eq!(writing(&keys), ["new", "old"]);
    drop(on_its_way);
    assert_eq!(writing(&keys), ["new"]);
}

#[test]
fn other_keys_to_read_change_nothing_of_what_is_written_with() {
    let keys = keys(&[("old", 1)]);
    let _on_its_way = Sealers::current(&keys);
    keys.replace(keyring(&[("old", 1), ("new", 2)]));

    assert_eq!(writing(&keys), ["old"]);
}

#[test]
fn it_seals_with_a_key_that_others_are_known_to_read() {
    let noted = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    for (ids, writer) in [
        (noted(&["old"]), "old"),
        (noted(&["old", "new"]), "new"),
        (noted(&[]), "new"),
        (noted(&["other"]), "new"),
    ] {
        let keys = keys(&[("new", 2), ("old", 1)]);
        keys.seal_with_one_of(&ids);
        assert_eq!(Sealers::current(&keys).key_id(), writer, "{ids:?}");
        assert_eq!(keys.current().ids().count(), 2, "all are still read");
    }
}
