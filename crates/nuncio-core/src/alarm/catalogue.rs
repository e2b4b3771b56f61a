//! The types of alarms that come with nuncio: those that ISE has, and those about the way of mail.
//!
//! Names and categories of ISE's alarms are those of its documentation; severities and texts are ours, and
//! an operator may change them.

use crate::alarm::Severity;
use crate::alarm::kind::{AlarmType, Category, TypeStatus};

mod rows;

/// The client secret expires soon.
pub const SECRET_ABOUT_TO_EXPIRE: &str = "smtp-oauth-client-secret-about-to-be-expired";
/// The client secret has expired.
pub const SECRET_EXPIRED: &str = "smtp-oauth-client-secret-has-expired";
/// The typed expiry date and the token endpoint disagree.
pub const SECRET_DATE_DIFFERS: &str = "smtp-oauth-client-secret-date-differs";
/// A certificate expires soon.
pub const CERTIFICATE_EXPIRATION: &str = "certificate-expiration";
/// A certificate has expired.
pub const CERTIFICATE_EXPIRED: &str = "certificate-expired";
/// The provider refuses to let a mailbox send.
pub const MAILBOX_CLOSED: &str = "mailbox-closed";
/// The provider or its token endpoint cannot be reached.
pub const MAIL_PROVIDER_DOWN: &str = "mail-provider-down";
/// A mail about an alarm reached nobody.
pub const ALARM_MAIL_FAILED: &str = "alarm-mail-failed";
/// The provider does not let the mailbox send as an address.
pub const SENDER_NOT_ALLOWED: &str = "sender-not-allowed";
/// No more mail jobs can be stored.
pub const JOB_STORE_FULL: &str = "job-store-full";

/// A type as it comes with nuncio.
#[derive(Debug)]
pub(crate) struct Shipped {
    id: &'static str,
    display_name: &'static str,
    category: Category,
    severity: Severity,
    description: &'static str,
    suggested_action: &'static str,
    is_mail_path: bool,
}

/// All types that come with nuncio, in the order of their ids.
pub fn shipped() -> impl Iterator<Item = AlarmType> {
    rows::ROWS.iter().map(Shipped::alarm_type)
}

/// The type with this id, as it comes with nuncio.
pub fn find(id: &str) -> Option<AlarmType> {
    let place = rows::ROWS.binary_search_by(|row| row.id.cmp(id)).ok()?;
    Some(rows::ROWS[place].alarm_type())
}

impl Shipped {
    fn alarm_type(&self) -> AlarmType {
        AlarmType {
            id: self.id.to_owned(),
            display_name: self.display_name.to_owned(),
            category: self.category,
            severity: self.severity,
            status: TypeStatus::Enabled,
            description: self.description.to_owned(),
            suggested_action: self.suggested_action.to_owned(),
            is_mail_path: self.is_mail_path,
            condition: None,
            recipients: Vec::new(),
            recipient_groups: Vec::new(),
            from: None,
            custom_text: String::new(),
            repeat_interval: None,
        }
    }
}

const fn row(
    id: &'static str,
    display_name: &'static str,
    category: Category,
    severity: Severity,
    description: &'static str,
    suggested_action: &'static str,
) -> Shipped {
    let is_mail_path = false;
    Shipped { id, display_name, category, severity, description, suggested_action, is_mail_path }
}

/// A row whose alarms are about the way of mail.
const fn mail(
    id: &'static str,
    display_name: &'static str,
    category: Category,
    severity: Severity,
    description: &'static str,
    suggested_action: &'static str,
) -> Shipped {
    let is_mail_path = true;
    Shipped { id, display_name, category, severity, description, suggested_action, is_mail_path }
}

#[cfg(test)]
mod tests;
