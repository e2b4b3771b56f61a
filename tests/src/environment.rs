//! What a person tells the tests from outside.

/// The number in this variable; nothing where it is not set.
pub fn number(name: &str) -> Option<u64> {
    let value = variable(name)?;
    let number = value.parse();
    Some(number.unwrap_or_else(|error| panic!("{name}: `{value}` is no number: {error}")))
}

#[expect(clippy::disallowed_methods, reason = "the only way from a command to a test")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
