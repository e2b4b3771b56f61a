//! Text as PostgreSQL takes it.

use std::borrow::Cow;

/// The text with U+FFFD for each NUL, which PostgreSQL cannot hold. A server may send one in a reply; what
/// it said must not keep the outcome from being recorded.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}
