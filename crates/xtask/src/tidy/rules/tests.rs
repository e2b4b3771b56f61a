use super::*;

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), bytes: 0, text: Some(text.to_owned()) }
}

fn check(path: &str, text: &str, expected: &[&str]) {
    assert_eq!(violations(&file(path, text)), expected);
}

#[test]
fn reminders_belong_into_issues() {
    let reminder = REMINDERS[0];
    check(
        "a.rs",
        &format!("// ok\n// {reminder}: later"),
        &[&format!("a.rs:2: `{reminder}` belongs into an issue")],
    );
    check("a.rs", &format!("let x{reminder}y = 1;"), &[]);
}

#[test]
fn folders_of_one_machine_are_found() {
    for path in MACHINE_PATHS {
        let expected = format!("a.md:1: `{path}` is a folder of one machine");
        check("a.md", &format!("see {path}notes"), &[&expected]);
        check("a.md", &format!("see docs{path}notes"), &[]);
    }
}

#[test]
fn a_lock_file_names_no_address() {
    let line = format!("{LOCK_ADDRESS}: \"https://registry.example/a.tgz\"");
    let expected =
        format!("x/package-lock.json:1: the lock file names an address; leave {LOCK_ADDRESS} out");
    check("x/package-lock.json", &line, &[&expected]);
    check("x/other.json", &line, &[]);
}

#[test]
fn a_package_takes_the_lints_of_the_workspace() {
    let expected = ["x/Cargo.toml: lacks `[lints] workspace = true`"];
    check("x/Cargo.toml", "[package]\nname = \"x\"", &expected);
    check("x/Cargo.toml", "[package]\nname = \"x\"\n[lints]\nworkspace = true", &[]);
    check("Cargo.toml", "[workspace]\nmembers = []", &[]);
}

#[test]
fn a_long_file_is_too_long_and_a_big_one_too_big() {
    let expected = ["a.rs: has 701 lines; split it into subjects of at most 700"];
    check("a.rs", &"\n".repeat(701), &expected);
    check("a.rs", &"\n".repeat(700), &[]);
    let big = File { path: "a.bin".to_owned(), bytes: BYTES_MAX + 1, text: None };
    assert_eq!(violations(&big), ["a.bin: is too big for git (524289 bytes)"]);
}

#[test]
fn each_decision_is_listed() {
    let readme = file("docs/adr/README.md", "- [One](0001-one.md)");
    let files = [readme, file("docs/adr/0001-one.md", ""), file("docs/adr/0002-two.md", "")];

    let unlisted = unlisted_decisions("docs/adr", &files);

    assert_eq!(unlisted, ["docs/adr/0002-two.md: is not listed in docs/adr/README.md"]);
}
