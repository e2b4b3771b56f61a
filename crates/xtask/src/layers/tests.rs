use super::*;

fn check(name: &str, dependencies: &[&str], expected: &[&str]) {
    let manifest = Manifest {
        name: name.to_owned(),
        dependencies: dependencies.iter().map(ToString::to_string).collect(),
        has_workspace_lints: true,
    };
    assert_eq!(violations_of(&manifest), expected);
}

#[test]
fn a_role_does_not_see_an_adapter() {
    let used = ["nuncio-core", "nuncio-delivery", "nuncio-smtp", "tokio"];
    check("nuncio-psn", &used, &["`nuncio-psn` must not use `nuncio-smtp`"]);
}

#[test]
fn roles_do_not_use_each_other() {
    check("nuncio-pan", &["nuncio-psn"], &["`nuncio-pan` must not use `nuncio-psn`"]);
}

#[test]
fn the_core_uses_nothing_of_ours_and_what_it_wants_of_others() {
    check(
        "nuncio-core",
        &["nuncio-runtime", "jiff"],
        &["`nuncio-core` must not use `nuncio-runtime`"],
    );
}

#[test]
fn the_server_uses_roles_and_adapters_but_not_the_client() {
    let used = ["nuncio-pan", "nuncio-smtp", "nuncio-cli"];
    check("nuncio-server", &used, &["`nuncio-server` must not use `nuncio-cli`"]);
}

#[test]
fn xtask_has_no_dependencies_at_all() {
    check("xtask", &["serde"], &["`xtask` must not use `serde`"]);
}

#[test]
fn a_new_crate_needs_a_place_in_the_table() {
    let expected =
        ["`nuncio-gossip` has no place in the table of layers (crates/xtask/src/layers.rs)"];
    check("nuncio-gossip", &[], &expected);
}

#[test]
fn the_workspace_keeps_to_its_layers() {
    assert_eq!(violations().unwrap(), Vec::<String>::new());
}
