//! What a token says of itself, read for an operator's eyes and never for a decision.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nuncio_core::secret::AccessToken;
use serde_json::Value;

/// The longest claim that is shown, in characters.
const CLAIM_CHARS_MAX: usize = 300;
/// How Microsoft Graph is called in `aud`: by its URL or its application id.
const GRAPH: [&str; 2] = ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"];

/// The claims of a JWT that tell for whom and for what it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub audience: Option<String>,
    pub application: Option<String>,
    pub roles: Option<String>,
}

impl Claims {
    /// Nothing if the token is no JWT: it may be in any form (RFC 6749, section 1.4).
    pub fn read(token: &AccessToken) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (Some(_header), Some(payload), Some(_signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let payload: Value = serde_json::from_slice(&payload).ok()?;
        let claim = |name: &str| payload.get(name).and_then(show);
        Some(Self {
            audience: claim("aud"),
            application: claim("appid").or_else(|| claim("azp")).or_else(|| claim("client_id")),
            roles: claim("roles").or_else(|| claim("scope")),
        })
    }

    /// Whether Entra made it for Graph. Exchange refuses such a token at SMTP.
    pub fn is_for_graph(&self) -> bool {
        let audience = self.audience.as_deref().unwrap_or_default();
        GRAPH.iter().any(|graph| audience.trim_end_matches('/') == *graph)
    }

    /// All on one line.
    pub fn list(&self) -> String {
        let or_none = |claim: &Option<String>| claim.clone().unwrap_or_else(|| "none".to_owned());
        let (aud, app, roles) =
            (or_none(&self.audience), or_none(&self.application), or_none(&self.roles));
        format!("aud {aud}, appid {app}, roles {roles}")
    }
}

fn show(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    Some(text.chars().filter(|c| !c.is_control()).take(CLAIM_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> AccessToken {
        AccessToken::from(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    fn check(payload: &str, expect: &str) {
        assert_eq!(Claims::read(&token(payload)).unwrap().list(), expect);
    }

    #[test]
    fn the_claims_of_a_jwt_are_shown() {
        check(
            r#"{"aud":"https://outlook.office365.com","appid":"app","roles":["SMTP.SendAsApp","x"]}"#,
            "aud https://outlook.office365.com, appid app, roles SMTP.SendAsApp x",
        );
        check(r#"{"aud":["a"],"azp":"b"}"#, "aud a, appid b, roles none");
    }

    #[test]
    fn a_token_in_another_form_has_no_claims() {
        for text in ["opaque", "a.b", "a.!.c", "a.b.c.d", ""] {
            assert_eq!(Claims::read(&AccessToken::from(text.to_owned())), None, "{text}");
        }
    }

    #[test]
    fn a_token_for_graph_is_recognised() {
        let is_for_graph = |payload| Claims::read(&token(payload)).unwrap().is_for_graph();

        assert!(is_for_graph(r#"{"aud":"https://graph.microsoft.com/"}"#));
        assert!(is_for_graph(r#"{"aud":"00000003-0000-0000-c000-000000000000"}"#));
        assert!(!is_for_graph(r#"{"aud":"https://outlook.office365.com"}"#));
        assert!(!is_for_graph("{}"));
    }
}
