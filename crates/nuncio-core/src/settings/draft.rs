//! From what an operator types to settings that are valid.

use std::time::Duration;

use proxy::ProxyDraft;

use crate::address::EmailAddress;
use crate::secret::{ClientSecret, Password, PrivateKeyPem};
use crate::settings::proxy::Proxy;
use crate::settings::{
    ADDITIONAL_MAILBOXES_MAX, Authentication, CONNECT_TIMEOUT, CONNECTIONS, CONNECTIONS_MAX,
    Encryption, MESSAGES_PER_MINUTE_MAX, MailboxLimits, OauthClient, Provider,
    RECIPIENTS_PER_DAY_MAX, SmtpSettings,
};
use crate::violation::Violations;

mod oauth;
pub mod proxy;

/// The shortest and the longest connection time-out that an operator may set.
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_mins(5);
/// The longest text in a field, in characters.
const TEXT_CHARS_MAX: usize = 2048;
/// The most PEM text in a field, in bytes.
const PEM_BYTES_MAX: usize = 256 * 1024;

/// Settings as an operator gives them; empty texts and zeros are left out.
#[derive(Clone, Debug, Default)]
pub struct SmtpSettingsDraft {
    pub provider: Option<Provider>,
    pub host: String,
    pub port: i64,
    pub connect_timeout: Option<Duration>,
    pub encryption: Option<Encryption>,
    pub email_address: String,
    pub additional_mailboxes: Vec<String>,
    pub authentication: AuthenticationDraft,
    pub ca_certificates_pem: String,
    pub connections_max: i64,
    pub messages_per_minute_max: i64,
    pub recipients_per_day_max: i64,
    pub proxy: Option<ProxyDraft>,
}

#[derive(Clone, Debug, Default)]
pub enum AuthenticationDraft {
    #[default]
    None,
    Password {
        username: String,
        password: Option<Password>,
    },
    Oauth(Box<OauthDraft>),
}

#[derive(Clone, Debug, Default)]
pub struct OauthDraft {
    pub client_id: String,
    pub tenant_id: String,
    pub client_secret: Option<ClientSecret>,
    pub client_secret_basic: bool,
    pub client_secret_expire_date: String,
    pub token_endpoint: String,
    pub scope: String,
    pub certificate_pem: String,
    pub private_key: Option<PrivateKeyPem>,
    /// None means that there shall be no next secret.
    pub next_secret: Option<NextSecretDraft>,
    /// Whether the saved next secret takes the place of the client secret.
    pub promote_next_secret: bool,
}

/// A next secret; without a value it is the saved one.
#[derive(Clone, Debug, Default)]
pub struct NextSecretDraft {
    pub secret: Option<ClientSecret>,
    pub expire_date: String,
}

impl SmtpSettingsDraft {
    /// Fills in the provider's values and the `saved` secrets where they are left out, and makes the
    /// settings, or tells everything that is wrong. Fields are named as in the API.
    pub fn check(self, saved: Option<&SmtpSettings>) -> Result<SmtpSettings, Violations> {
        let mut violations = Violations::default();
        let provider = self.provider.unwrap_or(Provider::Generic);
        let preset = provider.preset();
        let host = filled(&self.host, preset.map(|preset| preset.host));
        check_host(&mut violations, &host);
        let encryption = self
            .encryption
            .or(preset.map(|preset| preset.encryption))
            .unwrap_or(Encryption::StartTls);
        let port = self.check_port(&mut violations, preset.map(|preset| preset.port));
        let connect_timeout = self.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        if !(CONNECT_TIMEOUT_MIN..=CONNECT_TIMEOUT_MAX).contains(&connect_timeout) {
            violations.add("connect_timeout", "must be 1 to 300 seconds");
        }
        let email_address: Option<EmailAddress> =
            violations.check("email_address", self.email_address.parse());
        let additional_mailboxes = self.check_additional_mailboxes(&mut violations);
        let limits = self.check_limits(&mut violations, preset.map(|preset| preset.limits));
        check_pem(&mut violations, "ca_certificates_pem", &self.ca_certificates_pem, "CERTIFICATE");
        let saved_proxy = saved.and_then(|saved| saved.proxy.as_ref());
        let proxy = self.proxy.and_then(|draft| draft.check(&mut violations, saved_proxy));
        let saved = saved.map(|saved| Saved {
            authentication: &saved.authentication,
            same_server: saved.host == host && Some(saved.port) == port,
            same_way: is_same_proxy(saved_proxy, proxy.as_ref())
                || saved.ca_certificates_pem == self.ca_certificates_pem,
        });
        let authentication =
            check_authentication(&mut violations, self.authentication, provider, saved);
        check_encryption(&mut violations, encryption, authentication.as_ref());
        let (Some(port), Some(email_address), Some(mut authentication), true) =
            (port, email_address, authentication, violations.is_empty())
        else {
            return Err(violations);
        };
        if let Authentication::Password { username, .. } = &mut authentication
            && username.is_empty()
        {
            *username = email_address.to_string();
        }
        Ok(SmtpSettings {
            provider,
            host,
            port,
            connect_timeout,
            encryption,
            email_address,
            additional_mailboxes,
            authentication,
            ca_certificates_pem: self.ca_certificates_pem,
            limits,
            proxy,
        })
    }

    fn check_port(&self, violations: &mut Violations, preset: Option<u16>) -> Option<u16> {
        if self.port == 0 && preset.is_none() {
            violations.add("port", "is missing; give 587 for STARTTLS or 465 for TLS");
            return None;
        }
        match u16::try_from(self.port) {
            Ok(0) => preset,
            Ok(port) => Some(port),
            Err(_) => {
                violations.add("port", format!("`{}` is no port; give 1 to 65535", self.port));
                None
            }
        }
    }

    /// The additional mailboxes that are addresses; what is wrong with the others is noted.
    fn check_additional_mailboxes(&self, violations: &mut Violations) -> Vec<EmailAddress> {
        let texts = &self.additional_mailboxes;
        let is_password = matches!(self.authentication, AuthenticationDraft::Password { .. });
        if ADDITIONAL_MAILBOXES_MAX < texts.len() {
            let problem = format!("has {}; give at most {ADDITIONAL_MAILBOXES_MAX}", texts.len());
            violations.add("additional_mailboxes", problem);
            return Vec::new();
        }
        let mut mailboxes = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let field = format!("additional_mailboxes[{index}]");
            let Some(mailbox) = violations.check(&field, text.parse::<EmailAddress>()) else {
                continue;
            };
            // Providers do not tell upper from lower case.
            let is_same = |other: &String| other.eq_ignore_ascii_case(text);
            match &self.authentication {
                AuthenticationDraft::None | AuthenticationDraft::Password { .. } => {
                    let why = if is_password {
                        "a password belongs to one mailbox"
                    } else {
                        "nobody logs in"
                    };
                    let problem = format!("{why}; use OAuth, or leave it out");
                    violations.add(&field, problem);
                }
                AuthenticationDraft::Oauth(_) if is_same(&self.email_address) => {
                    violations.add(&field, "is `email_address`, which sends anyway; leave it out");
                }
                AuthenticationDraft::Oauth(_) if texts[..index].iter().any(is_same) => {
                    violations.add(&field, "was given before; leave it out");
                }
                AuthenticationDraft::Oauth(_) => mailboxes.push(mailbox),
            }
        }
        mailboxes
    }

    fn check_limits(
        &self,
        violations: &mut Violations,
        preset: Option<MailboxLimits>,
    ) -> MailboxLimits {
        let mut limit = |field: &str, value: i64, max: u32| match u32::try_from(value) {
            Ok(0) => None,
            Ok(value) if value <= max => Some(value),
            Ok(_) | Err(_) => {
                violations.add(format!("limits.{field}"), format!("must be 0 to {max}"));
                None
            }
        };
        let connections = limit("max_connections", self.connections_max, CONNECTIONS_MAX);
        let messages =
            limit("max_messages_per_minute", self.messages_per_minute_max, MESSAGES_PER_MINUTE_MAX);
        let recipients =
            limit("max_recipients_per_day", self.recipients_per_day_max, RECIPIENTS_PER_DAY_MAX);
        MailboxLimits {
            connections_max: connections
                .or(preset.map(|preset| preset.connections_max))
                .unwrap_or(CONNECTIONS),
            messages_per_minute_max: messages
                .or(preset.and_then(|preset| preset.messages_per_minute_max)),
            recipients_per_day_max: recipients
                .or(preset.and_then(|preset| preset.recipients_per_day_max)),
        }
    }
}

/// The saved credentials, and whether they would go to the server that they were saved for. Otherwise whoever
/// may test settings could have them sent to a server of theirs.
#[derive(Clone, Copy)]
struct Saved<'a> {
    authentication: &'a Authentication,
    same_server: bool,
    /// A proxy of somebody's own and an authority of somebody's own make any server.
    same_way: bool,
}

#[derive(Clone, Copy)]
struct SavedClient<'a> {
    client: &'a OauthClient,
    same_way: bool,
}

/// Why saved credentials are of no use.
const ANOTHER_WAY: &str = "is missing; both proxy and authorities differ from those that it was saved with: give it again";

fn is_same_proxy(one: Option<&Proxy>, other: Option<&Proxy>) -> bool {
    one.map(|proxy| &proxy.address) == other.map(|proxy| &proxy.address)
}

fn filled(given: &str, preset: Option<&str>) -> String {
    if given.is_empty() { preset.unwrap_or_default().to_owned() } else { given.to_owned() }
}

fn check_host(violations: &mut Violations, host: &str) {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if host.is_empty() {
        violations
            .add("host", "is missing; give the SMTP server's name, such as `smtp.example.com`");
    } else if 253 < host.len() || !host.bytes().all(allowed) {
        violations
            .add("host", format!("`{host}` is no host name; give it without scheme and port"));
    }
}

fn check_text(violations: &mut Violations, field: &str, text: &str) {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) && field != "oauth.scope" {
        violations.add(field, "has a blank or line break; was it pasted with one?");
    } else if text.chars().any(char::is_control) {
        violations.add(field, "has a line break; was it pasted with one?");
    }
    if TEXT_CHARS_MAX < text.chars().count() {
        violations.add(field, format!("is longer than {TEXT_CHARS_MAX} characters"));
    }
}

fn check_encryption(
    violations: &mut Violations,
    encryption: Encryption,
    authentication: Option<&Authentication>,
) {
    if encryption == Encryption::None
        && authentication.is_some_and(|one| *one != Authentication::None)
    {
        let problem = "credentials must not cross the network in clear text; use STARTTLS or TLS";
        violations.add("encryption", problem);
    }
}

fn check_pem(violations: &mut Violations, field: &str, pem: &str, label: &str) {
    if PEM_BYTES_MAX < pem.len() {
        violations.add(field, format!("has more than {PEM_BYTES_MAX} bytes"));
    }
    if !pem.trim().is_empty() && !pem.contains(&format!("-----BEGIN {label}-----")) {
        let problem = format!("is no PEM text; it begins with `-----BEGIN {label}-----`");
        violations.add(field, problem);
    }
}

fn check_authentication(
    violations: &mut Violations,
    draft: AuthenticationDraft,
    provider: Provider,
    saved: Option<Saved<'_>>,
) -> Option<Authentication> {
    match draft {
        AuthenticationDraft::None => Some(Authentication::None),
        AuthenticationDraft::Password { username, password } => {
            check_text(violations, "password.username", &username);
            let saved_with = saved;
            let same_server = saved.is_some_and(|saved| saved.same_server);
            let saved = match saved.map(|saved| saved.authentication) {
                Some(Authentication::Password { password, .. }) => Some(password.clone()),
                Some(Authentication::None | Authentication::Oauth(_)) | None => None,
            };
            let same_way = saved_with.is_some_and(|saved| saved.same_way);
            if password.is_none() && saved.is_some() && same_server && !same_way {
                violations.add("password.password", ANOTHER_WAY);
                return None;
            }
            if password.is_none() && saved.is_some() && !same_server {
                let problem = "is missing; the saved one is for another server: give it again";
                violations.add("password.password", problem);
                return None;
            }
            let Some(password) = password.or(saved) else {
                violations.add("password.password", "is missing, and none is saved");
                return None;
            };
            Some(Authentication::Password { username, password })
        }
        AuthenticationDraft::Oauth(draft) => {
            let same_way = saved.is_none_or(|saved| saved.same_way);
            let saved = match saved.map(|saved| saved.authentication) {
                Some(Authentication::Oauth(client)) => Some(client),
                Some(Authentication::None | Authentication::Password { .. }) | None => None,
            };
            let saved = saved.map(|client| SavedClient { client, same_way });
            oauth::check(violations, *draft, provider, saved).map(Authentication::Oauth)
        }
    }
}

#[cfg(test)]
mod tests;
