//! What a simulator is told before it starts: who exists, what is allowed, how it answers.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::FaultScript;
use crate::pki::CertificateKind;

/// Directory id of the default tenant.
pub const DEFAULT_TENANT_ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// Verified domain of the default tenant, which names it as well as its id does.
pub const DEFAULT_TENANT_DOMAIN: &str = "contoso.example";

/// Application id of the default client.
pub const DEFAULT_CLIENT_ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

/// Secret value of the default client.
pub const DEFAULT_CLIENT_SECRET: &str = "sim~8Q.default-client-secret";

/// Id of the secret of the default client, which people like to paste in place of the value.
pub const DEFAULT_SECRET_ID: &str = "9b2d7a52-0f3b-4f6e-8a55-21c7d5a1e0aa";

/// Address of the default mailbox.
pub const DEFAULT_MAILBOX: &str = "no-reply@contoso.example";

/// Scope that gives a token for submission (Microsoft, "Authenticate an IMAP, POP or SMTP connection using OAuth").
pub const DEFAULT_SCOPE: &str = "https://outlook.office365.com/.default";

/// Audience of a token for submission: the scope without `/.default`.
pub const DEFAULT_AUDIENCE: &str = "https://outlook.office365.com";

/// Message size offered in EHLO, bytes (as smtp.office365.com does).
pub const EXCHANGE_SIZE_MAX: u64 = 157_286_400;

/// Everything a simulator needs to start. Every field has a default, that of [`SimConfig::exchange`].
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    pub listen: Listen,
    pub tls: TlsConfig,
    pub tenants: Vec<Tenant>,
    pub clients: Vec<Client>,
    /// Resources for which tokens are given: scopes without `/.default`.
    pub resources: Vec<String>,
    pub tokens: TokenConfig,
    pub mailboxes: Vec<Mailbox>,
    pub smtp: SmtpConfig,
    pub limits: Limits,
    /// How recipients answer; those that match no rule are accepted.
    pub recipients: Vec<RecipientRule>,
    /// Faults present from the start.
    pub faults: FaultScript,
    /// How many accepted mails are kept whole; of older ones only Message-ID and counts remain.
    pub mails_kept_max: usize,
}

impl SimConfig {
    /// A provider like Exchange Online with one tenant, one client and one mailbox (the `DEFAULT_…` constants).
    pub fn exchange() -> Self {
        Self {
            listen: Listen::default(),
            tls: TlsConfig::default(),
            tenants: vec![Tenant {
                id: DEFAULT_TENANT_ID.to_owned(),
                domains: vec![DEFAULT_TENANT_DOMAIN.to_owned()],
            }],
            clients: vec![Client {
                secrets: vec![ClientSecret {
                    value: SimSecret::new(DEFAULT_CLIENT_SECRET),
                    secret_id: DEFAULT_SECRET_ID.to_owned(),
                    expires: None,
                }],
                ..Client::new(DEFAULT_CLIENT_ID)
            }],
            resources: vec![DEFAULT_AUDIENCE.to_owned(), "https://graph.microsoft.com".to_owned()],
            tokens: TokenConfig::default(),
            mailboxes: vec![Mailbox::new(DEFAULT_MAILBOX)],
            smtp: SmtpConfig::default(),
            limits: Limits::default(),
            recipients: Vec::new(),
            faults: FaultScript::default(),
            mails_kept_max: 10_000,
        }
    }

    /// Like [`exchange`](Self::exchange), but without limits of rate: a sink to measure senders with.
    pub fn sink() -> Self {
        Self {
            limits: Limits {
                connections: u32::MAX,
                messages_per_minute: u32::MAX,
                recipients_per_day: u64::MAX,
                ..Limits::default()
            },
            mails_kept_max: 100,
            ..Self::exchange()
        }
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        Self::exchange()
    }
}

/// Where the servers listen. Port 0 lets the system choose; `None` leaves a server out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// HTTPS.
    pub token: SocketAddr,
    /// SMTP with STARTTLS, as on port 587.
    pub starttls: SocketAddr,
    /// SMTP with TLS from the first byte, as on port 465.
    pub implicit_tls: SocketAddr,
    /// Plain HTTP; refused at start if it is not loopback.
    pub admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { token: any_port, starttls: any_port, implicit_tls: any_port, admin: any_port }
    }
}

/// Which certificate each server shows.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    pub token: CertificateKind,
    pub smtp: CertificateKind,
    /// Host names and addresses in the certificates.
    pub names: Vec<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            token: CertificateKind::Good,
            smtp: CertificateKind::Good,
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        }
    }
}

/// A directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// A GUID.
    pub id: String,
    #[serde(default)]
    pub domains: Vec<String>,
}

/// An application that may ask for tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "`client_id` is the name in OAuth")]
pub struct Client {
    pub client_id: String,
    /// Id of its tenant; empty means every tenant.
    #[serde(default)]
    pub tenant: String,
    #[serde(default)]
    pub secrets: Vec<ClientSecret>,
    /// Registered certificates, each a PEM text.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Application permissions that its tokens carry.
    #[serde(default = "default_roles")]
    pub roles: Vec<String>,
    #[serde(default)]
    pub disabled: bool,
}

impl Client {
    /// A client of every tenant with the role `SMTP.SendAsApp` and no credential yet.
    pub fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            tenant: String::new(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            roles: default_roles(),
            disabled: false,
        }
    }
}

fn default_roles() -> Vec<String> {
    vec!["SMTP.SendAsApp".to_owned()]
}

/// A secret of a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSecret {
    pub value: SimSecret,
    /// The id that portals show beside the value; offering it as the secret gets a hint in the refusal.
    #[serde(default)]
    pub secret_id: String,
    /// From this moment on it is refused as expired.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// A secret of the simulated world. Its `Debug` hides the value, so that tests of secrecy can trust the logs.
#[derive(Clone, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct SimSecret(String);

impl SimSecret {
    pub fn new(value: &str) -> Self {
        Self(value.to_owned())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SimSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimSecret(..)")
    }
}

/// The tokens that are handed out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// Life of a token, seconds. Entra says 3,599 for an hour.
    pub lifetime_s: u64,
    /// Pads a token to this many characters; 0 leaves it as it is (about 900).
    pub size: usize,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self { lifetime_s: 3599, size: 0 }
    }
}

/// A mailbox that can submit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    pub address: String,
    /// Other addresses which it may send as.
    #[serde(default)]
    pub send_as: Vec<String>,
    /// Password for AUTH PLAIN and LOGIN, where they are offered.
    #[serde(default)]
    pub password: Option<SimSecret>,
    /// Clients that may use it; empty means all.
    #[serde(default)]
    pub clients: Vec<String>,
    /// `SmtpClientAuthenticationDisabled`: AUTH answers 535 5.7.139.
    #[serde(default)]
    pub smtp_auth_disabled: bool,
    /// The client has no mailbox permission: the end of data answers 430 4.2.0 with `LogonFailed`.
    #[serde(default)]
    pub permission_missing: bool,
}

impl Mailbox {
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            send_as: Vec::new(),
            password: None,
            clients: Vec::new(),
            smtp_auth_disabled: false,
            permission_missing: false,
        }
    }
}

/// How the submission server speaks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an oddity that a test switches by its name"
)]
pub struct SmtpConfig {
    /// Name in greeting and EHLO.
    pub host_name: String,
    pub extensions: Extensions,
    pub mechanisms: Mechanisms,
    pub auth_failure: AuthFailure,
    /// Nobody has to log in; mails are booked on the mailbox of MAIL FROM.
    pub auth_not_required: bool,
    /// Audiences accepted in a token.
    pub audiences: Vec<String>,
    /// A connection whose token has expired gets 530 5.7.57 on MAIL. Undocumented at Exchange, hence off.
    pub session_ends_with_token: bool,
    /// Longest AUTH line with inline response, bytes; beyond it `555 5.5.2`, as Google answers. `None`: no such limit.
    pub inline_auth_max: Option<usize>,
    /// Sent in clear text together with the 220 of STARTTLS, as an attacker would. Empty: nothing.
    pub starttls_injection: String,
    /// STARTTLS is missing in EHLO and refused, as behind an attacker or a meddling firewall.
    pub starttls_stripped: bool,
    /// DATA without any accepted recipient gets 354 (RFC 2920 section 3.1 allows it), and the end of data 554.
    pub data_without_recipients: bool,
    /// From and MAIL FROM need not be the mailbox or one of its `send_as`.
    pub any_sender: bool,
    /// Each batch of replies waits this long before it is sent, milliseconds: the round trip of a distant provider.
    pub reply_delay_ms: u64,
    /// Replies travel one byte at a time.
    pub byte_by_byte: bool,
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            host_name: "sim.prod.outlook.com".to_owned(),
            extensions: Extensions::default(),
            mechanisms: Mechanisms::default(),
            auth_failure: AuthFailure::default(),
            auth_not_required: false,
            audiences: vec![DEFAULT_AUDIENCE.to_owned(), "https://outlook.office.com".to_owned()],
            session_ends_with_token: false,
            inline_auth_max: None,
            starttls_injection: String::new(),
            starttls_stripped: false,
            data_without_recipients: false,
            any_sender: false,
            reply_delay_ms: 0,
            byte_by_byte: false,
        }
    }
}

/// Extensions offered in EHLO. What is not offered is refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an extension that a test switches by its name"
)]
pub struct Extensions {
    pub size: bool,
    pub pipelining: bool,
    pub dsn: bool,
    pub enhanced_status_codes: bool,
    pub eight_bit_mime: bool,
    pub binary_mime: bool,
    pub chunking: bool,
    pub smtp_utf8: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            size: true,
            pipelining: true,
            dsn: true,
            enhanced_status_codes: true,
            eight_bit_mime: true,
            binary_mime: true,
            chunking: true,
            smtp_utf8: true,
        }
    }
}

/// Mechanisms offered after TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mechanism that a test switches by its name"
)]
pub struct Mechanisms {
    pub login: bool,
    pub plain: bool,
    pub xoauth2: bool,
    pub oauthbearer: bool,
}

impl Default for Mechanisms {
    fn default() -> Self {
        Self { login: true, plain: false, xoauth2: true, oauthbearer: false }
    }
}

/// How a refused token is told.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthFailure {
    /// At once: `535 5.7.3`.
    #[default]
    Exchange,
    /// `334` with JSON, then, after the client's empty line, `535 5.7.8`.
    Google,
}

/// Limits of each mailbox (Microsoft, "Exchange Online limits").
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections between MAIL and the reply to the end of data at the same time.
    pub connections: u32,
    /// Accepted messages in 60 s, sliding.
    pub messages_per_minute: u32,
    /// What happens beyond that rate; Microsoft's pages contradict each other.
    pub over_rate: OverRate,
    /// Accepted recipients in 24 h, sliding.
    pub recipients_per_day: u64,
    /// Recipients of one message; more get 452 4.5.3.
    pub recipients_per_message: usize,
    /// Message size, bytes.
    pub message_size: u64,
    /// Minutes and days of the limits above pass this many times faster.
    pub time_scale: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 3,
            messages_per_minute: 30,
            over_rate: OverRate::default(),
            recipients_per_day: 10_000,
            recipients_per_message: 500,
            message_size: EXCHANGE_SIZE_MAX,
            time_scale: 1.0,
        }
    }
}

/// What happens to a message beyond the rate.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverRate {
    /// 4xx at the end of data.
    #[default]
    Reject,
    /// The reply to the end of data waits until the window has room.
    Delay,
}

/// How recipients with a certain address answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientRule {
    /// A whole address, `local@` for a local part at any domain, or `@domain` for any local part.
    pub pattern: String,
    /// Reply to RCPT in place of 250.
    #[serde(default)]
    pub rcpt: Option<String>,
    /// Reply to the end of data in place of 250, for a mail with such a recipient.
    #[serde(default)]
    pub end_of_data: Option<String>,
    /// The rule works this many times for each address, then the recipient is accepted. `None`: always.
    #[serde(default)]
    pub times: Option<u32>,
}

impl RecipientRule {
    /// `550 5.1.10` on RCPT, always.
    pub fn refused(pattern: &str) -> Self {
        let reply =
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup";
        Self {
            pattern: pattern.to_owned(),
            rcpt: Some(reply.to_owned()),
            end_of_data: None,
            times: None,
        }
    }

    /// `451 4.7.500` on RCPT the first `times`, then accepted.
    pub fn greylisted(pattern: &str, times: u32) -> Self {
        let reply = "451 4.7.500 Server busy. Please try again later";
        Self {
            pattern: pattern.to_owned(),
            rcpt: Some(reply.to_owned()),
            end_of_data: None,
            times: Some(times),
        }
    }

    /// Whether the rule is about `address`.
    pub fn matches(&self, address: &str) -> bool {
        let pattern = &self.pattern;
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        if let Some(wanted) = pattern.strip_suffix('@') {
            local.eq_ignore_ascii_case(wanted)
        } else if let Some(wanted) = pattern.strip_prefix('@') {
            domain.eq_ignore_ascii_case(wanted)
        } else {
            address.eq_ignore_ascii_case(pattern)
        }
    }
}

#[cfg(test)]
mod tests;
