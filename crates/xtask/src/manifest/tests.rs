use super::*;

fn check(text: &str, dependencies: &[&str]) {
    let manifest = Manifest::parse(text);
    assert_eq!(manifest.dependencies, dependencies);
}

#[test]
fn dependencies_are_read_in_every_form_in_use() {
    check(
        "[dependencies]\ntokio.workspace = true\nrustls = { version = \"1\" } # pinned",
        &["tokio", "rustls"],
    );
    check("[dependencies.nuncio-core]\nworkspace = true", &["nuncio-core"]);
    check("[build-dependencies]\nprotox.workspace = true", &["protox"]);
    check("[target.'cfg(unix)'.dependencies]\nlibc = \"1\"", &["libc"]);
}

#[test]
fn dependencies_of_tests_do_not_count() {
    check("[dev-dependencies]\ntempfile.workspace = true", &[]);
    check("[package.metadata]\nx = 1", &[]);
}

#[test]
fn the_name_and_the_lints_are_read() {
    let manifest =
        Manifest::parse("[package]\nname = \"nuncio-core\"\n[lints]\nworkspace = true\n");

    assert_eq!(manifest.name, "nuncio-core");
    assert!(manifest.has_workspace_lints);
    assert!(!Manifest::parse("[package]\nname = \"x\"").has_workspace_lints);
}
