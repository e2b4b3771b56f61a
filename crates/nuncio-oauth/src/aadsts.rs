//! The error codes of Entra ID, and the errors of RFC 6749, as data.
//!
//! Source: Microsoft, "Microsoft Entra authentication and authorization error codes"; RFC 6749,
//! section 5.2; RFC 8707, section 2 (`invalid_target`). Microsoft asks not to depend on the codes:
//! whether to try again is decided by HTTP status and `error` first, and the codes say what to do.

use nuncio_core::ports::token::{CLIENT_SECRET_EXPIRED, INVALID_CLIENT_SECRET};

use Kind::{Expired, Fatal, Temporary, Throttled};

pub(crate) const CONDITIONAL_ACCESS: &str = "CONDITIONAL_ACCESS";
pub(crate) const CONSENT_MISSING: &str = "CONSENT_MISSING";
pub(crate) const INVALID_CERTIFICATE: &str = "INVALID_CERTIFICATE";
pub(crate) const INVALID_CLIENT_ID: &str = "INVALID_CLIENT_ID";
pub(crate) const INVALID_SCOPE: &str = "INVALID_SCOPE";
pub(crate) const INVALID_TENANT_OR_ENDPOINT: &str = "INVALID_TENANT_OR_ENDPOINT";
pub(crate) const INVALID_TOKEN_REQUEST: &str = "INVALID_TOKEN_REQUEST";
pub(crate) const TOKEN_ENDPOINT_THROTTLED: &str = "TOKEN_ENDPOINT_THROTTLED";
pub(crate) const TOKEN_ENDPOINT_UNAVAILABLE: &str = "TOKEN_ENDPOINT_UNAVAILABLE";

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person must correct something.
    Fatal,
    /// A person must make a new credential.
    Expired,
    /// It goes away by itself.
    Temporary,
    /// It goes away if fewer requests are made.
    Throttled,
}

/// An error and what to do about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) reason: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
}

/// Codes that have one cause.
pub(crate) struct Row {
    pub(crate) codes: &'static [u32],
    pub(crate) known: Known,
}

/// What a code means, the number behind `AADSTS`.
pub(crate) fn by_code(code: u32) -> Option<Known> {
    ROWS.iter().find(|row| row.codes.contains(&code)).map(|row| row.known)
}

/// What an `error` means where there is no code.
pub(crate) fn by_error(error: &str) -> Option<Known> {
    ERRORS.iter().find(|(known, _)| *known == error).map(|(_, known)| *known)
}

const fn row(
    codes: &'static [u32],
    kind: Kind,
    reason: &'static str,
    cause: &'static str,
    remedy: &'static str,
) -> Row {
    Row { codes, known: Known { kind, reason, cause, remedy } }
}

const fn known(
    kind: Kind,
    reason: &'static str,
    cause: &'static str,
    remedy: &'static str,
) -> Known {
    Known { kind, reason, cause, remedy }
}

#[rustfmt::skip] // A table: one row for each cause.
#[expect(clippy::unreadable_literal, reason = "the codes are written as the provider writes them")]
pub(crate) static ROWS: &[Row] = &[
    row(&[90002], Fatal, INVALID_TENANT_OR_ENDPOINT,
        "the tenant does not exist in this cloud",
        "correct the tenant in the token endpoint; for a national cloud use that cloud's host"),
    row(&[900023], Fatal, INVALID_TENANT_OR_ENDPOINT,
        "the tenant is neither a GUID nor a valid domain",
        "put the tenant id or a domain of the tenant into the token endpoint"),
    row(&[90038, 900382, 900432], Fatal, INVALID_TENANT_OR_ENDPOINT,
        "the tenant lives in another national cloud",
        "use the token endpoint of that cloud, for example login.microsoftonline.us"),
    row(&[50194, 9001023], Fatal, INVALID_TENANT_OR_ENDPOINT,
        "the token endpoint names `common` or `organizations` instead of a tenant",
        "put the tenant id into the token endpoint"),
    row(&[7000215], Fatal, INVALID_CLIENT_SECRET,
        "the client secret is wrong",
        "enter the secret's VALUE: the usual mistake is to paste the secret's ID, which stands beside it"),
    row(&[7000222], Expired, CLIENT_SECRET_EXPIRED,
        "the client secret has expired",
        "make a new client secret in the app registration and enter its value"),
    row(&[7000218], Fatal, INVALID_TOKEN_REQUEST,
        "no credential of the client arrived",
        "enter a client secret or a certificate; if there is one, something between has changed the request"),
    row(&[700025], Fatal, INVALID_CLIENT_ID,
        "the app registration is a public client, which has no secret",
        "set `Allow public client flows` to no, or use another app registration"),
    row(&[700016], Fatal, INVALID_CLIENT_ID,
        "the client id is not known in this tenant",
        "check client id and tenant; an app of another tenant needs an administrator's consent in this one"),
    row(&[7000112, 70001], Fatal, INVALID_CLIENT_ID,
        "the application is disabled",
        "enable the enterprise application for sign-in"),
    row(&[7000229], Fatal, CONSENT_MISSING,
        "the application has no service principal in this tenant",
        "create the enterprise application in the tenant by giving administrator consent"),
    row(&[65001], Fatal, CONSENT_MISSING,
        "an administrator's consent is missing",
        "grant administrator consent for the permissions of the app registration"),
    row(&[650057], Fatal, CONSENT_MISSING,
        "the app registration does not list the resource of the scope",
        "add the permission, for example Office 365 Exchange Online > SMTP.SendAsApp, and grant consent"),
    row(&[70011, 1002012], Fatal, INVALID_SCOPE,
        "the scope is not valid for client credentials",
        "use a resource followed by `/.default`, for example https://outlook.office365.com/.default"),
    row(&[500011], Fatal, INVALID_SCOPE,
        "the resource of the scope is not known in this tenant",
        "check the scope and the cloud, and that the tenant has Exchange Online"),
    row(&[500014], Fatal, INVALID_SCOPE,
        "the resource of the scope is disabled in this tenant",
        "enable the service principal of the resource, or renew its subscription"),
    row(&[700024, 500133], Fatal, INVALID_CERTIFICATE,
        "the client assertion is outside its time",
        "set this node's clock (NTP): it differs by minutes from the provider's"),
    row(&[700027, 50012, 50013], Fatal, INVALID_CERTIFICATE,
        "the client assertion is not signed by a certificate that is registered for the client",
        "upload this certificate to the app registration, or enter the one that is registered with its key"),
    row(&[70021, 700211, 700212, 700213], Fatal, INVALID_CERTIFICATE,
        "no federated credential of the app registration fits the client assertion",
        "compare issuer, subject and audience; a new federated credential takes minutes to work"),
    row(&[53003, 530032, 530035], Fatal, CONDITIONAL_ACCESS,
        "a Conditional Access policy or the security defaults block this client",
        "exempt the service principal or this node's address in the tenant's Conditional Access"),
    row(&[50034], Fatal, INVALID_TOKEN_REQUEST,
        "the user does not exist in this tenant",
        "check the tenant in the token endpoint"),
    row(&[900144, 9002313], Fatal, INVALID_TOKEN_REQUEST,
        "the token request is malformed or lacks a parameter",
        "check that client id, scope and token endpoint have no stray characters"),
    row(&[50053], Throttled, TOKEN_ENDPOINT_THROTTLED,
        "sign-in is blocked for a while, for the client or for this node's address",
        "wait; see the sign-in logs of the tenant for the cause"),
    row(&[50196], Throttled, TOKEN_ENDPOINT_THROTTLED,
        "the client asked for the same token too often",
        "wait; look for another program that uses the same client id"),
    row(&[90055], Throttled, TOKEN_ENDPOINT_THROTTLED,
        "the tenant makes too many requests",
        "wait; look for other programs that use the same tenant"),
    row(&[90033, 90006, 90012, 90024, 50033, 90090], Temporary, TOKEN_ENDPOINT_UNAVAILABLE,
        "the provider has trouble",
        "wait; see the provider's service health"),
];

#[rustfmt::skip] // A table: one row for each error.
pub(crate) static ERRORS: &[(&str, Known)] = &[
    ("invalid_client", known(Fatal, INVALID_CLIENT_SECRET,
        "client id or client secret is wrong, or the endpoint wants another way of authentication",
        "check client id, the secret's value, and whether the client is registered for this method")),
    ("unauthorized_client", known(Fatal, INVALID_CLIENT_ID,
        "the client may not use the client credentials grant",
        "allow the client credentials grant for this client at the provider")),
    ("access_denied", known(Fatal, CONSENT_MISSING,
        "the provider denies the client access",
        "grant the client the permission to send mail at the provider")),
    ("invalid_scope", known(Fatal, INVALID_SCOPE,
        "the scope is unknown, malformed, or not allowed for the client",
        "enter the scope that the provider documents for SMTP, and allow it for the client")),
    ("invalid_target", known(Fatal, INVALID_SCOPE,
        "the resource is unknown or not allowed for the client",
        "enter the scope that the provider documents for SMTP, and allow it for the client")),
    ("invalid_resource", known(Fatal, INVALID_SCOPE,
        "the resource of the scope is unknown",
        "enter the scope that the provider documents for SMTP")),
    ("invalid_request", known(Fatal, INVALID_TOKEN_REQUEST,
        "the token endpoint does not accept the request",
        "check token endpoint, client id and scope")),
    ("invalid_grant", known(Fatal, INVALID_TOKEN_REQUEST,
        "the token endpoint does not accept the grant",
        "allow the client credentials grant for this client at the provider")),
    ("unsupported_grant_type", known(Fatal, INVALID_TOKEN_REQUEST,
        "the token endpoint does not know the client credentials grant",
        "check the token endpoint; enable the client credentials grant at the provider")),
    ("temporarily_unavailable", known(Temporary, TOKEN_ENDPOINT_UNAVAILABLE,
        "the token endpoint is overloaded or under maintenance",
        "wait; see the provider's service health")),
    ("server_error", known(Temporary, TOKEN_ENDPOINT_UNAVAILABLE,
        "the token endpoint has trouble",
        "wait; see the provider's service health")),
    ("slow_down", known(Throttled, TOKEN_ENDPOINT_THROTTLED,
        "the token endpoint asks for fewer requests",
        "wait; look for other programs that use the same client id")),
];

#[cfg(test)]
mod tests;
