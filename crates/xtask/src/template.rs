//! Configurations that are filled in: `@KEY@` stands for a value.

use crate::failure::{Failure, Result};

/// Replaces each `@KEY@` of `template` by its value. An unknown key is a mistake in the template.
pub(crate) fn fill<'a>(
    template: &str,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<String> {
    let mut filled = template.to_owned();
    for (key, value) in values {
        filled = filled.replace(&format!("@{key}@"), value);
    }
    match unfilled(&filled) {
        None => Ok(filled),
        Some(key) => Err(Failure::new(format!("a template names `{key}`, which is no setting"))),
    }
}

/// The first upper-case word between two at-signs. Addresses are written in lower case.
fn unfilled(text: &str) -> Option<&str> {
    let is_key = |word: &&str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    text.split('@').skip(1).find(is_key)
}
