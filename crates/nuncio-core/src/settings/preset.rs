//! Values that are known of a provider.

use crate::settings::{Encryption, MailboxLimits, Provider};

/// What a provider's settings are where the operator says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub host: &'static str,
    pub port: u16,
    pub encryption: Encryption,
    pub scope: &'static str,
    pub limits: MailboxLimits,
}

/// Exchange Online, SMTP AUTH client submission. Limits of each mailbox: 3 connections, 30 messages a minute
/// (<https://learn.microsoft.com/en-us/exchange/troubleshoot/send-emails/smtp-submission-improvements>), 10,000
/// recipients a day
/// (<https://learn.microsoft.com/en-us/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits>);
/// scope: <https://learn.microsoft.com/en-us/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>.
const EXCHANGE_ONLINE: Preset = Preset {
    host: "smtp.office365.com",
    port: 587,
    encryption: Encryption::StartTls,
    scope: "https://outlook.office365.com/.default",
    limits: MailboxLimits {
        connections_max: 3,
        messages_per_minute_max: Some(30),
        recipients_per_day_max: Some(10_000),
    },
};

impl Provider {
    pub fn preset(self) -> Option<&'static Preset> {
        match self {
            Self::Generic => None,
            Self::ExchangeOnline => Some(&EXCHANGE_ONLINE),
        }
    }

    /// The token endpoint for a tenant, where the provider has a known one.
    pub fn token_endpoint(self, tenant_id: &str) -> Option<String> {
        match self {
            Self::Generic => None,
            Self::ExchangeOnline => {
                Some(format!("https://login.microsoftonline.com/{tenant_id}/oauth2/v2.0/token"))
            }
        }
    }
}
