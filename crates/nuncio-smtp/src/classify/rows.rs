//! The table of replies. Where nothing else is said, a row comes from Microsoft's list
//! <https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/non-delivery-reports-in-exchange-online>.

use std::time::Duration;

use super::Class::{
    self, Closed, Deferred, Login, Logon, Refused, Sender, SessionLost, TenantThrottled, Throttled,
    TooMany, TooManyThrottled, Unavailable,
};
use super::Enhanced::{Any, One, Range};
use super::{Finding, PROVIDER_DEFERRED, PROVIDER_REFUSED, Row};
use crate::phase::Phase;

const ANYWHERE: &[Phase] = &[];
const AUTH: &[Phase] = &[Phase::Auth];
const RCPT: &[Phase] = &[Phase::Rcpt];
const CONTENT: &[Phase] = &[Phase::Data, Phase::EndOfData];
const TRANSACTION: &[Phase] = &[Phase::Mail, Phase::Rcpt, Phase::Data, Phase::EndOfData];

/// The server names no time: the pause begins with seconds and grows while it goes on refusing.
const SLOW_DOWN: Class = Throttled(None);
/// The rate is counted over a minute.
const TOO_FAST: Class = Throttled(Some(Duration::from_mins(1)));
/// How long it rests after the server called itself busy for this client.
const BUSY: Class = Throttled(Some(Duration::from_mins(2)));
/// How long it rests after too many faulty mails. Microsoft does not say how long the block lasts:
/// <https://learn.microsoft.com/en-us/Exchange/mail-flow-best-practices/continuous-error-throttling-smtp-auth-submissions>.
const BLOCKED: Class = TooManyThrottled(Duration::from_mins(15));
/// How long it rests after the limit of a day. The window slides, so that room comes back hour by hour.
const DAY_LIMIT: Class = Throttled(Some(Duration::from_hours(1)));
/// The same for the limit of the tenant.
const TENANT_LIMIT: Class = TenantThrottled(Duration::from_hours(1));
/// How long a recipient rests whose mails are counted over an hour.
const RECIPIENT_LIMIT: Class = Deferred(Some(Duration::from_hours(1)));

const CHECK_MAILBOX: &str = "check, in this order: (1) the e-mail address is the mailbox's own; \
    (2) `New-ServicePrincipal` was given the object id of the Enterprise application, not that of the \
    app registration; (3) the mailbox permission is there (`Add-MailboxPermission -AccessRights \
    FullAccess`, or the role `Application SMTP.SendAsApp`); (4) SMTP AUTH is switched on for the mailbox \
    (`Set-CASMailbox -SmtpClientAuthenticationDisabled $false`); (5) the scope is that of Exchange, \
    `https://outlook.office365.com/.default`, with the permission `SMTP.SendAsApp` and admin consent";
const SWITCH_ON: &str = "switch SMTP AUTH on: `Set-CASMailbox -Identity <mailbox> \
    -SmtpClientAuthenticationDisabled $false`, and for the tenant `Set-TransportConfig \
    -SmtpClientAuthenticationDisabled $false`; it may take an hour until it works";
const SEND_AS: &str = "let the sender be the mailbox itself, or give the right to send as the other \
    sender (`Add-RecipientPermission -AccessRights SendAs`)";
const TRANSIENT: &str = "wait; if it lasts, look at the provider's service health";
const UNBLOCK: &str = "unblock the mailbox in Microsoft Defender under `Restricted entities`, after \
    finding out why it was blocked";
const CORRECT_RECIPIENT: &str = "correct the address and submit the mail again";
const RECIPIENT_WAITS: &str = "it is tried again; send less to this recipient";
const FEWER_RECIPIENTS: &str = "nothing: nuncio sends to the rest in another mail";
const REPORT: &str = "this is a fault of nuncio: report it with the reply";

// What holds where no row fits.
pub(super) const LOGIN_UNAVAILABLE: Finding = Finding {
    class: Unavailable,
    code: "LOGIN_UNAVAILABLE",
    cause: "the SMTP server cannot check the login now",
    remedy: "wait; if it lasts, ask the provider",
};
pub(super) const LOGIN_REFUSED: Finding = Finding {
    class: Closed,
    code: "LOGIN_REFUSED",
    cause: "the SMTP server refused the login",
    remedy: "check user name, authentication method and the mailbox's permissions",
};
pub(super) const SERVER_UNAVAILABLE: Finding = Finding {
    class: Unavailable,
    code: "SERVER_UNAVAILABLE",
    cause: "the SMTP server does not serve now",
    remedy: "wait; if it lasts, ask the provider",
};
pub(super) const CLIENT_REFUSED: Finding = Finding {
    class: Closed,
    code: "CLIENT_REFUSED",
    cause: "the SMTP server refuses this client",
    remedy: "check host and port, and whether the server admits this node's address",
};
pub(super) const DEFERRED: Finding = Finding {
    class: Deferred(None),
    code: PROVIDER_DEFERRED,
    cause: "the provider asked to try again later",
    remedy: "it is tried again; if it lasts, see the reply",
};
pub(super) const REFUSED: Finding = Finding {
    class: Refused,
    code: PROVIDER_REFUSED,
    cause: "the provider refused the mail",
    remedy: "see the reply; correct what it names and submit the mail again",
};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    // Login.
    Row { phases: AUTH, basic: 535, enhanced: One(5, 7, 139), text: "smtpclientauthentication is disabled", class: Closed,
        code: "SMTP_AUTH_DISABLED", cause: "SMTP AUTH is switched off for the mailbox or the tenant", remedy: SWITCH_ON },
    Row { phases: AUTH, basic: 535, enhanced: One(5, 7, 139), text: "basic authentication is disabled", class: Closed,
        code: "BASIC_AUTHENTICATION_DISABLED", cause: "the provider takes no passwords", remedy: "use OAuth" },
    Row { phases: AUTH, basic: 535, enhanced: One(5, 7, 139), text: "security defaults", class: Closed,
        code: "BLOCKED_BY_SECURITY_DEFAULTS", cause: "the tenant's security defaults block the login", remedy: "use OAuth, or exempt the mailbox by a policy in place of the security defaults" },
    Row { phases: AUTH, basic: 535, enhanced: One(5, 7, 139), text: "", class: Closed,
        code: "BLOCKED_BY_POLICY", cause: "a policy of the tenant blocks the login", remedy: "look at Conditional Access and the authentication policies for the mailbox and the application" },
    Row { phases: AUTH, basic: 550, enhanced: One(5, 7, 30), text: "", class: Closed,
        code: "BASIC_AUTHENTICATION_DISABLED", cause: "the provider takes no passwords", remedy: "use OAuth" },
    Row { phases: AUTH, basic: 501, enhanced: One(5, 5, 124), text: "", class: Closed,
        code: "INVALID_EMAIL_ADDRESS", cause: "the e-mail address is no account for High Volume Email", remedy: "check the e-mail address and `Add-HVEAppAccess`" },
    Row { phases: AUTH, basic: 535, enhanced: Any, text: "", class: Login,
        code: "INVALID_EMAIL_ADDRESS", cause: "the SMTP server refused the login of this mailbox", remedy: CHECK_MAILBOX },
    Row { phases: AUTH, basic: 504, enhanced: Any, text: "", class: Closed,
        code: "MECHANISM_NOT_OFFERED", cause: "the SMTP server does not know this way to log in", remedy: "choose another authentication method or another server" },
    // The server lost the login, or there was none.
    Row { phases: TRANSACTION, basic: 530, enhanced: Any, text: "", class: SessionLost,
        code: "LOGIN_REQUIRED", cause: "the SMTP server wants a login first", remedy: "choose an authentication method in the SMTP settings" },
    Row { phases: ANYWHERE, basic: 421, enhanced: One(4, 7, 66), text: "", class: Closed,
        code: "TLS_VERSION_NOT_SUPPORTED", cause: "the SMTP server wants a newer version of TLS", remedy: "something between opens the TLS connection; look for a proxy" },
    // The sender.
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 7, 60), text: "", class: Sender,
        code: "SENDER_REFUSED", cause: "the mailbox may not send as this sender", remedy: SEND_AS },
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 2, 252), text: "sendasdenied", class: Sender,
        code: "SENDER_REFUSED", cause: "the mailbox may not send as this sender", remedy: SEND_AS },
    Row { phases: TRANSACTION, basic: 554, enhanced: One(5, 2, 0), text: "sendasdenied", class: Sender,
        code: "SENDER_REFUSED", cause: "the mailbox may not send as this sender", remedy: SEND_AS },
    // Postfix and Exim with a check of the sender.
    Row { phases: TRANSACTION, basic: 553, enhanced: One(5, 7, 1), text: "not owned by", class: Sender,
        code: "SENDER_REFUSED", cause: "the mailbox may not send as this sender", remedy: SEND_AS },
    // https://github.com/simonrob/email-oauth2-proxy/issues/271: mostly permanent in spite of its code.
    Row { phases: TRANSACTION, basic: 430, enhanced: One(4, 2, 0), text: "logonfailed", class: Logon,
        code: "MAILBOX_PERMISSION_MISSING", cause: "the application may log in, but not use the mailbox", remedy: CHECK_MAILBOX },
    Row { phases: TRANSACTION, basic: 430, enhanced: One(4, 2, 0), text: "mailbox logon failure", class: Logon,
        code: "MAILBOX_PERMISSION_MISSING", cause: "the application may log in, but not use the mailbox", remedy: CHECK_MAILBOX },
    // Too many, too fast.
    Row { phases: ANYWHERE, basic: 432, enhanced: One(4, 3, 2), text: "", class: SLOW_DOWN,
        code: "MAILBOX_THROTTLED", cause: "the mailbox uses too many connections at once", remedy: "let no other program send from this mailbox; lower `max_connections`" },
    Row { phases: ANYWHERE, basic: 432, enhanced: Any, text: "", class: SLOW_DOWN,
        code: "MAILBOX_THROTTLED", cause: "the mailbox is throttled", remedy: "let no other program send from this mailbox; lower `max_connections`" },
    Row { phases: ANYWHERE, basic: 0, enhanced: One(4, 4, 2), text: "submission rate", class: TOO_FAST,
        code: "MAILBOX_THROTTLED", cause: "the mailbox sends too fast", remedy: "lower `max_messages_per_minute`" },
    Row { phases: TRANSACTION, basic: 451, enhanced: Range(4, 7, 500..=699), text: "", class: BUSY,
        code: "MAILBOX_THROTTLED", cause: "the provider slows this client down", remedy: "wait; if it lasts, look at the reputation of the address this node sends from" },
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 2, 254), text: "", class: BLOCKED,
        code: "MAILBOX_BLOCKED", cause: "the mailbox is blocked for a while after too many mails with too many recipients", remedy: "wait; nuncio sends to fewer recipients at once from now on" },
    Row { phases: TRANSACTION, basic: 0, enhanced: Range(5, 2, 121..=122), text: "", class: RECIPIENT_LIMIT,
        code: "RECIPIENT_THROTTLED", cause: "the recipient gets more mail in an hour than it may", remedy: RECIPIENT_WAITS },
    // RFC 3463, section 3.6, has both classes of it.
    Row { phases: TRANSACTION, basic: 0, enhanced: One(4, 5, 3), text: "", class: TooMany,
        code: "TOO_MANY_RECIPIENTS", cause: "the server takes no more recipients in one mail", remedy: FEWER_RECIPIENTS },
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 5, 3), text: "", class: TooMany,
        code: "TOO_MANY_RECIPIENTS", cause: "the server takes no more recipients in one mail", remedy: FEWER_RECIPIENTS },
    // 452, and 552 of old servers (RFC 5321, section 4.5.3.1.10).
    Row { phases: TRANSACTION, basic: 452, enhanced: Any, text: "too many recipients", class: TooMany,
        code: "TOO_MANY_RECIPIENTS", cause: "the server takes no more recipients in one mail", remedy: FEWER_RECIPIENTS },
    Row { phases: TRANSACTION, basic: 552, enhanced: Any, text: "too many recipients", class: TooMany,
        code: "TOO_MANY_RECIPIENTS", cause: "the server takes no more recipients in one mail", remedy: FEWER_RECIPIENTS },
    // The limit of the day.
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 2, 0), text: "submissionquotaexceeded", class: DAY_LIMIT,
        code: "DAY_LIMIT_REACHED", cause: "the mailbox has sent to as many recipients as it may in 24 hours", remedy: "wait, or spread the mail over more mailboxes (`additional_mailboxes`)" },
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 2, 2), text: "submission quota", class: DAY_LIMIT,
        code: "DAY_LIMIT_REACHED", cause: "the mailbox has sent to as many recipients as it may in 24 hours", remedy: "wait, or spread the mail over more mailboxes (`additional_mailboxes`)" },
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 2, 2), text: "submissionquotaexceeded", class: DAY_LIMIT,
        code: "DAY_LIMIT_REACHED", cause: "the mailbox has sent to as many recipients as it may in 24 hours", remedy: "wait, or spread the mail over more mailboxes (`additional_mailboxes`)" },
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 1, 90), text: "", class: DAY_LIMIT,
        code: "DAY_LIMIT_REACHED", cause: "the mailbox has sent to as many recipients as it may in 24 hours", remedy: "wait, or spread the mail over more mailboxes (`additional_mailboxes`)" },
    // https://support.google.com/a/answer/3726730
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 4, 5), text: "", class: DAY_LIMIT,
        code: "DAY_LIMIT_REACHED", cause: "the mailbox has sent as many mails as it may in 24 hours", remedy: "wait, or spread the mail over more mailboxes (`additional_mailboxes`)" },
    Row { phases: TRANSACTION, basic: 550, enhanced: Range(5, 7, 232..=233), text: "", class: TENANT_LIMIT,
        code: "TENANT_LIMIT_REACHED", cause: "the tenant has sent to as many external recipients as it may in 24 hours", remedy: "wait, or raise the tenant's external recipient rate limit by more licences" },
    // The mailbox or tenant is blocked.
    Row { phases: CONTENT, basic: 554, enhanced: One(5, 2, 2), text: "quotaexceeded", class: Closed,
        code: "MAILBOX_FULL", cause: "the sending mailbox is full, by its own sent items", remedy: "empty it and give its sent items a retention policy" },
    Row { phases: CONTENT, basic: 554, enhanced: One(5, 2, 2), text: "mailbox full", class: Closed,
        code: "MAILBOX_FULL", cause: "the sending mailbox is full, by its own sent items", remedy: "empty it and give its sent items a retention policy" },
    Row { phases: ANYWHERE, basic: 550, enhanced: One(5, 2, 251), text: "", class: Closed,
        code: "MAILBOX_FULL", cause: "the sending mailbox is blocked because it is full", remedy: "empty it and give its sent items a retention policy" },
    Row { phases: ANYWHERE, basic: 550, enhanced: One(5, 2, 252), text: "", class: Closed,
        code: "MAILBOX_BLOCKED", cause: "the mailbox is blocked for a while after too many mails with a sender it may not use", remedy: SEND_AS },
    Row { phases: ANYWHERE, basic: 550, enhanced: One(5, 2, 253), text: "", class: Closed,
        code: "MAILBOX_BLOCKED", cause: "the mailbox is blocked because its licence is not valid", remedy: "give the mailbox a licence" },
    Row { phases: ANYWHERE, basic: 550, enhanced: One(5, 2, 255), text: "", class: Closed,
        code: "MAILBOX_BLOCKED", cause: "the mailbox is blocked for a while after too many mails to invalid recipients", remedy: "clean the recipients' addresses up" },
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 1, 8), text: "bad outbound sender", class: Closed,
        code: "MAILBOX_BLOCKED", cause: "the mailbox is blocked for spam", remedy: UNBLOCK },
    Row { phases: TRANSACTION, basic: 550, enhanced: Range(5, 7, 501..=503), text: "", class: Closed,
        code: "MAILBOX_BLOCKED", cause: "the mailbox is blocked for spam", remedy: UNBLOCK },
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 7, 705), text: "", class: Closed,
        code: "TENANT_BLOCKED", cause: "the tenant is blocked for spam", remedy: UNBLOCK },
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 7, 708), text: "", class: Closed,
        code: "TENANT_BLOCKED", cause: "the provider takes no mail from this tenant's addresses", remedy: "ask Microsoft's support; trial tenants are often blocked" },
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 7, 750), text: "", class: Closed,
        code: "DOMAIN_NOT_REGISTERED", cause: "the sender's domain is not registered in the tenant", remedy: "add the domain to the tenant" },
    // The provider is in trouble.
    Row { phases: ANYWHERE, basic: 421, enhanced: One(4, 3, 2), text: "", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the SMTP server does not serve now", remedy: TRANSIENT },
    // https://github.com/datalust/seq-app-htmlemail/issues/101
    Row { phases: ANYWHERE, basic: 451, enhanced: One(4, 7, 0), text: "temporary server error", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the provider's front end is in trouble", remedy: TRANSIENT },
    Row { phases: ANYWHERE, basic: 451, enhanced: One(4, 3, 111), text: "", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the provider's front end is in trouble", remedy: TRANSIENT },
    Row { phases: TRANSACTION, basic: 451, enhanced: One(4, 4, 3), text: "attr", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the provider's front end is in trouble", remedy: TRANSIENT },
    Row { phases: TRANSACTION, basic: 451, enhanced: Range(4, 4, 24..=28), text: "", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the provider's front end is in trouble", remedy: TRANSIENT },
    Row { phases: ANYWHERE, basic: 451, enhanced: One(4, 7, 700), text: "", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the provider's front end is in trouble", remedy: TRANSIENT },
    Row { phases: ANYWHERE, basic: 421, enhanced: Any, text: "", class: Unavailable,
        code: "SERVER_UNAVAILABLE", cause: "the SMTP server closes the connection", remedy: TRANSIENT },
    // This recipient.
    Row { phases: RCPT, basic: 0, enhanced: One(5, 1, 1), text: "", class: Refused,
        code: "RECIPIENT_UNKNOWN", cause: "there is no such recipient", remedy: CORRECT_RECIPIENT },
    Row { phases: RCPT, basic: 0, enhanced: One(5, 1, 10), text: "", class: Refused,
        code: "RECIPIENT_UNKNOWN", cause: "there is no such recipient", remedy: CORRECT_RECIPIENT },
    Row { phases: RCPT, basic: 550, enhanced: One(5, 4, 1), text: "", class: Refused,
        code: "RECIPIENT_UNKNOWN", cause: "the recipient's domain does not take mail for this address", remedy: CORRECT_RECIPIENT },
    Row { phases: RCPT, basic: 0, enhanced: One(5, 1, 3), text: "", class: Refused,
        code: "RECIPIENT_INVALID", cause: "the server does not take this for an address", remedy: CORRECT_RECIPIENT },
    Row { phases: RCPT, basic: 501, enhanced: Range(5, 1, 0..=999), text: "", class: Refused,
        code: "RECIPIENT_INVALID", cause: "the server does not take this for an address", remedy: CORRECT_RECIPIENT },
    Row { phases: RCPT, basic: 550, enhanced: One(5, 5, 105), text: "", class: Refused,
        code: "RECIPIENT_EXTERNAL", cause: "High Volume Email sends to internal recipients only", remedy: "send to this recipient from a mailbox without High Volume Email" },
    // RFC 3463, section 3.3.
    Row { phases: RCPT, basic: 0, enhanced: One(4, 2, 2), text: "", class: Deferred(None),
        code: "RECIPIENT_FULL", cause: "the recipient's mailbox is full", remedy: "it is tried again; let the recipient make room" },
    Row { phases: RCPT, basic: 0, enhanced: One(5, 2, 2), text: "", class: Refused,
        code: "RECIPIENT_FULL", cause: "the recipient's mailbox is full", remedy: "let the recipient make room and submit the mail again" },
    // This mail.
    Row { phases: TRANSACTION, basic: 550, enhanced: One(5, 7, 703), text: "", class: Refused,
        code: "MAIL_BLOCKED", cause: "the tenant's allow and block list refuses the mail", remedy: "look in Microsoft Defender under `Tenant Allow/Block Lists` for its sender, links and attachments" },
    Row { phases: CONTENT, basic: 550, enhanced: One(5, 6, 11), text: "", class: Refused,
        code: "MESSAGE_INVALID", cause: "the mail has a bare line feed", remedy: REPORT },
    Row { phases: CONTENT, basic: 550, enhanced: One(5, 7, 512), text: "", class: Refused,
        code: "MESSAGE_INVALID", cause: "the header `From` is missing or not valid", remedy: "check the sender's address; if it is right, report it with the reply as a fault of nuncio" },
    // RFC 3463, sections 3.4 and 3.7, and RFC 6531, section 3.5. nuncio says the same itself where the server's
    // answer to EHLO leaves no doubt.
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 3, 4), text: "", class: Refused,
        code: "MAIL_TOO_LARGE", cause: "the mail is larger than the server takes", remedy: "send less: attachments grow by a third on their way" },
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 6, 3), text: "", class: Refused,
        code: "EIGHT_BIT_NOT_TAKEN", cause: "the mail has 8-bit octets, and the server takes none", remedy: REPORT },
    Row { phases: TRANSACTION, basic: 0, enhanced: One(5, 6, 7), text: "", class: Refused,
        code: "SMTPUTF8_NOT_OFFERED", cause: "the part of an address before the `@` is not ASCII, and the server takes no such address", remedy: "use another address of this recipient, or a server that offers SMTPUTF8; others need not wait for it if it gets a mail of its own or a blind copy" },
];
