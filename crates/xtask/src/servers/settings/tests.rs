use super::*;

fn settings() -> Settings {
    Settings::choose(Path::new("/somewhere"), "python3", User { uid: 8, gid: 8 }).unwrap()
}

#[test]
fn a_template_is_filled_with_the_settings() {
    let settings = settings();

    let filled = settings.fill("from @MAILBOX@ to a@b.test in @BASE@/mail").unwrap();

    assert_eq!(filled, "from notifications@example.test to a@b.test in /somewhere/mail");
}

#[test]
fn a_template_with_an_unknown_key_is_a_mistake() {
    let failure = settings().fill("listen on @SMTP_PROT@").unwrap_err();

    assert_eq!(failure.to_string(), "a template names `SMTP_PROT`, which is no setting");
}

#[test]
fn ports_and_secrets_are_all_different() {
    let settings = settings();
    let mut values: Vec<_> = PORTS.iter().chain(SECRETS).map(|key| settings.get(key)).collect();
    values.sort_unstable();
    values.dedup();

    assert_eq!(values.len(), PORTS.len() + SECRETS.len());
}
