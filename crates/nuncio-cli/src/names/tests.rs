use clap::{Arg, Command};

use super::*;

fn read<T: Clone + Send + Sync + 'static>(
    parser: impl TypedValueParser<Value = T>,
    text: &str,
) -> Option<T> {
    let arg = Arg::new("value").value_parser(parser).ignore_case(true);
    let matches = Command::new("test").arg(arg).try_get_matches_from(["test", text]).ok()?;
    matches.get_one::<T>("value").cloned()
}

#[test]
fn every_class_can_be_read_as_it_is_shown() {
    for name in CLASSES {
        assert_eq!(read(class_parser(), name).map(class).as_deref(), Some(name));
    }
    assert_eq!(read(class_parser(), "Bulk"), Some(MailClass::Bulk));
    assert_eq!(read(class_parser(), "unspecified"), None);
}

#[test]
fn every_state_can_be_read_as_it_is_shown() {
    for name in STATES {
        let shown = read(state_parser(), name).map(state);
        assert_eq!(shown, Some(name.to_uppercase().as_str()));
        assert_eq!(read(state_parser(), shown.unwrap()).map(state), shown);
    }
}

#[test]
fn a_job_ends_in_five_states() {
    let ended = STATES.iter().filter(|name| is_final(read(state_parser(), name).unwrap()));

    let ended: Vec<_> = ended.copied().collect();
    assert_eq!(ended, ["sent", "failed", "expired", "cancelled", "unknown"]);
}
