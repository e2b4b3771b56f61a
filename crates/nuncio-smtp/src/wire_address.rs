//! Addresses as they go over the wire.

use std::borrow::Cow;

use nuncio_core::address::EmailAddress;

/// The address with its domain in ASCII (IDNA, RFC 5891), which every server takes. What is still not ASCII is the
/// part before the `@`, and needs SMTPUTF8 (RFC 6531).
pub fn on_the_wire(address: &EmailAddress) -> Cow<'_, str> {
    let text = address.as_str();
    let domain = address.domain();
    if domain.is_ascii() {
        return Cow::Borrowed(text);
    }
    match idna::domain_to_ascii(domain) {
        Ok(ascii) => Cow::Owned(format!("{}{ascii}", &text[..text.len() - domain.len()])),
        // No name of a host: the server will say so.
        Err(_) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> String {
        on_the_wire(&text.parse().unwrap()).into_owned()
    }

    #[test]
    fn a_domain_needs_no_smtputf8() {
        assert_eq!(wire("info@bücher.example"), "info@xn--bcher-kva.example");
        assert_eq!(wire("info@例え.jp"), "info@xn--r8jz45g.jp");
        assert_eq!(wire("Ann@Example.COM"), "Ann@Example.COM");
        assert_eq!(wire("é@bücher.example"), "é@xn--bcher-kva.example");
    }
}
