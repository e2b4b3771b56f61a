//! What is said when logging in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use nuncio_core::address::EmailAddress;
use nuncio_core::secret::{AccessToken, Password};
use serde_json::Value;

use crate::extensions::Extensions;

/// The longest part of a server's error challenge that is kept, in characters.
const CHALLENGE_CHARS_MAX: usize = 500;

/// With what to log in.
#[derive(Clone, Debug)]
pub enum Login {
    None,
    /// `host` and `port` are those of the server, which OAUTHBEARER names.
    Oauth {
        username: String,
        token: AccessToken,
        host: String,
        port: u16,
    },
    Password {
        username: String,
        password: Password,
    },
}

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// <https://developers.google.com/gmail/imap/xoauth2-protocol>
    Xoauth2,
    /// RFC 7628
    Oauthbearer,
    /// RFC 4616
    Plain,
    /// draft-murchison-sasl-login; Exchange and many relays have it.
    Login,
}

impl Mechanism {
    pub fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Whether it logs in with a token, not with a password.
    pub fn takes_token(self) -> bool {
        match self {
            Self::Xoauth2 | Self::Oauthbearer => true,
            Self::Plain | Self::Login => false,
        }
    }

    /// What the server wants to hear to its error challenge before it says the refusal.
    pub fn challenge_answer(self) -> &'static str {
        match self {
            // ^A in base64: RFC 7628, section 3.2.3.
            Self::Oauthbearer => "AQ==",
            Self::Xoauth2 | Self::Plain | Self::Login => "",
        }
    }
}

impl Login {
    /// The same for another mailbox. A password is that of one mailbox, so only a token has another.
    #[must_use]
    pub fn of(self, mailbox: &EmailAddress) -> Self {
        match self {
            Self::Oauth { username: _, token, host, port } => {
                Self::Oauth { username: mailbox.to_string(), token, host, port }
            }
            Self::None | Self::Password { .. } => self,
        }
    }

    /// The mechanisms that suit, the best first.
    pub fn mechanisms(&self) -> &'static [Mechanism] {
        match self {
            Self::None => &[],
            Self::Oauth { .. } => &[Mechanism::Xoauth2, Mechanism::Oauthbearer],
            Self::Password { .. } => &[Mechanism::Plain, Mechanism::Login],
        }
    }

    /// The best mechanism that the server offers.
    pub fn choose(&self, extensions: &Extensions) -> Option<Mechanism> {
        self.mechanisms().iter().copied().find(|one| extensions.has_mechanism(one.name()))
    }

    /// What answers the server's first 334, and a second one, in base64. They are secrets.
    pub fn responses(&self, mechanism: Mechanism) -> Vec<String> {
        match (self, mechanism) {
            (Self::Oauth { username, token, host, port }, Mechanism::Oauthbearer) => {
                // RFC 7628, section 3.1; what escapes a name is in RFC 5801, section 4.
                let name = username.replace('=', "=3D").replace(',', "=2C");
                let token = token.expose();
                vec![STANDARD.encode(format!(
                    "n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01"
                ))]
            }
            (Self::Oauth { username, token, .. }, _) => {
                let token = token.expose();
                vec![STANDARD.encode(format!("user={username}\x01auth=Bearer {token}\x01\x01"))]
            }
            (Self::Password { username, password }, Mechanism::Login) => {
                vec![STANDARD.encode(username), STANDARD.encode(password.expose())]
            }
            (Self::Password { username, password }, _) => {
                vec![STANDARD.encode(format!("\0{username}\0{}", password.expose()))]
            }
            (Self::None, _) => Vec::new(),
        }
    }

    /// The texts that a server must not be able to put into our logs by repeating them.
    pub fn secrets(&self) -> Vec<String> {
        let plain = match self {
            Self::None => return Vec::new(),
            Self::Oauth { token, .. } => token.expose(),
            Self::Password { password, .. } => password.expose(),
        };
        let mut secrets = vec![plain.to_owned()];
        secrets.extend(self.mechanisms().iter().flat_map(|one| self.responses(*one)));
        secrets.retain(|secret| !secret.is_empty());
        secrets
    }
}

/// The error challenge of a server that refuses a token: what a `334` behind the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The JSON, or what the server sent in its place.
    pub text: String,
    /// Its field `status`, for example `401` or `invalid_token`.
    pub status: Option<String>,
}

impl Challenge {
    pub fn decode(text: &str) -> Self {
        let text = text.trim();
        let decoded = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
        let text = decoded.map_or_else(
            |_| text.to_owned(),
            |bytes| String::from_utf8_lossy(&bytes).replace(char::is_control, " "),
        );
        let text: String = text.chars().take(CHALLENGE_CHARS_MAX).collect();
        let json: Option<Value> = serde_json::from_str(&text).ok();
        let status = json.as_ref().and_then(|json| json.get("status")).and_then(show);
        Self { text, status }
    }
}

/// Some servers give a status as a text, some as a number.
fn show(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.as_u64().map(|number| number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_status(challenge: &str, expect: Option<&str>) {
        assert_eq!(Challenge::decode(challenge).status.as_deref(), expect, "{challenge}");
    }

    fn oauth(username: &str, token: &str) -> Login {
        Login::Oauth {
            username: username.to_owned(),
            token: AccessToken::from(token.to_owned()),
            host: "server.example.com".to_owned(),
            port: 587,
        }
    }

    #[test]
    fn the_response_of_oauthbearer_is_that_of_the_rfc() {
        let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";

        // The example of RFC 7628, section 4.1, with the port of submission.
        assert_eq!(
            oauth("user@example.com", token).responses(Mechanism::Oauthbearer),
            [STANDARD.encode(format!(
                "n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer {token}\x01\x01"
            ))]
        );
        let [odd] =
            oauth("a=b,c@x.test", token).responses(Mechanism::Oauthbearer).try_into().unwrap();
        let odd = String::from_utf8(STANDARD.decode(odd).unwrap()).unwrap();
        assert!(odd.starts_with("n,a=a=3Db=2Cc@x.test,\x01"), "{odd}");
    }

    #[test]
    fn the_initial_response_is_that_of_the_microsoft_page() {
        let login =
            oauth("test@contososales.onmicrosoft.com", "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA");

        assert_eq!(
            login.responses(Mechanism::Xoauth2),
            [
                "dXNlcj10ZXN0QGNvbnRvc29zYWxlcy5vbm1pY3Jvc29mdC5jb20BYXV0aD1CZWFyZXIgRXdCQUFsM0JBQVVGRnBVQW83SjNWZTBiakxCV1pXQ2NsUkMzRW9BQQEB"
            ]
        );
        assert!(!format!("{login:?}").contains("EwBA"));
    }

    #[test]
    fn passwords_go_by_plain_or_login() {
        let login = Login::Password {
            username: "tim".to_owned(),
            password: Password::from("tanstaaftanstaaf".to_owned()),
        };

        // The first is the example of RFC 4616, section 4, without its authorization identity.
        assert_eq!(login.responses(Mechanism::Plain), ["AHRpbQB0YW5zdGFhZnRhbnN0YWFm"]);
        assert_eq!(login.responses(Mechanism::Login), ["dGlt", "dGFuc3RhYWZ0YW5zdGFhZg=="]);
    }

    #[test]
    fn the_status_of_a_challenge_is_read_in_all_dialects() {
        check_status(
            "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==",
            Some("401"),
        );
        check_status(&STANDARD.encode(r#"{ "status" : 400 }"#), Some("400"));
        check_status(&STANDARD.encode(r#"{"status":"invalid_token"}"#), Some("invalid_token"));
        check_status("no base64!", None);
        check_status("", None);
    }
}
