//! The name that this node gives itself in EHLO.

/// What is said where the host has no name that is fit (RFC 5321, section 4.1.3: an address literal).
const NAMELESS: &str = "[127.0.0.1]";

/// The host's name if it is a domain name (RFC 5321, section 4.1.2), else an address literal.
pub fn ehlo_name(host_name: &str) -> String {
    let label = |label: &str| {
        let fit = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(fit)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_fit = host_name.len() <= 255 && host_name.split('.').all(label);
    if is_fit { host_name.to_owned() } else { NAMELESS.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host_name: &str, expect: &str) {
        assert_eq!(ehlo_name(host_name), expect, "{host_name:?}");
    }

    #[test]
    fn only_a_domain_name_is_said() {
        check("node-1.example.com", "node-1.example.com");
        check("node1", "node1");
        check("", NAMELESS);
        check("my_host", NAMELESS);
        check("x\r\nMAIL FROM:<a@b>", NAMELESS);
    }
}
