//! Secrets that can be used but not shown.

use secrecy::{ExposeSecret, SecretString};

/// Makes a type for one kind of secret, so that the compiler keeps the kinds apart.
///
/// Such a type has no `Display`, its `Debug` hides the value, and its memory is wiped on drop.
/// Reading it takes a call to `expose`, so `grep expose` lists every use.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(value.into())
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.expose() == other.expose()
            }
        }

        impl Eq for $name {}

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    };
}

secret! {
    /// The password of this service at the OAuth provider (RFC 6749, section 2.3.1).
    ClientSecret
}
secret! {
    /// A private key in PEM that signs client assertions (RFC 7523).
    PrivateKeyPem
}
secret! {
    /// A bearer token of the OAuth provider (RFC 6750).
    AccessToken
}
secret! {
    /// The password of a mailbox at a relay that knows no OAuth.
    Password
}
secret! {
    /// The value of a template variable: it may be a guest's password.
    Sensitive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        let secret = ClientSecret::from("hunter2".to_owned());

        assert_eq!(format!("{secret:?}"), "ClientSecret(hidden)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
