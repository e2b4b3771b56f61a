//! Texts of a portal's own, in place of those that come with nuncio.

/// The portal whose texts serve all portals.
pub const DEFAULT_PORTAL: &str = "default";
/// The longest id of a portal, in characters.
pub const PORTAL_CHARS_MAX: usize = 63;

/// The texts of a template in a language, as their author wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    pub subject: String,
    pub text: String,
    /// HTML of its own; empty means that it is made from the text.
    pub html: String,
}

/// Names the texts of a portal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextsKey {
    /// [`DEFAULT_PORTAL`] means every portal.
    pub portal: String,
    /// The id of a template: `guest-credentials`.
    pub template: String,
    /// A canonical BCP 47 tag: `de-CH`.
    pub locale: String,
}

/// Texts of a portal's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomTexts {
    pub texts: Texts,
    /// Whether they also serve languages for which the portal has no text of its own.
    pub is_default: bool,
}

/// Checks the id of a portal.
pub fn check_portal(id: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if id.is_empty() || PORTAL_CHARS_MAX < id.len() || !id.bytes().all(allowed) {
        return Err(format!(
            "is no id of a portal: 1 to {PORTAL_CHARS_MAX} letters, digits, `-`, `_` or `.`"
        ));
    }
    Ok(())
}
