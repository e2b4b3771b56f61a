//! The refusals of the token endpoint, as Entra ID words them.
//!
//! Codes and `error` values follow Microsoft, "Microsoft Entra authentication and authorization error codes".

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::tokens::guid;

/// What is wrong with a client assertion.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AssertionError {
    KeyUnknown { thumbprint: String },
    Signature { thumbprint: String },
    Time { now: Timestamp, not_before: String, expires: String },
    Invalid { reason: String },
}

/// Why no token was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EntraError {
    TenantNotFound { tenant: String },
    TenantMalformed { tenant: String },
    ClientNotFound { client_id: String, tenant: String },
    ClientDisabled { client_id: String },
    SecretWrong { client_id: String },
    SecretExpired { client_id: String },
    CredentialMissing,
    ScopeNotDefault { scope: String },
    ScopeInvalid { scope: String },
    ResourceNotFound { resource: String, tenant: String },
    Assertion(AssertionError),
    GrantUnsupported { grant_type: String },
    ParameterMissing { name: &'static str },
    NotPost { method: String },
}

impl EntraError {
    /// The number behind `AADSTS`.
    pub(crate) fn code(&self) -> u32 {
        match self {
            Self::TenantNotFound { .. } => 90_002,
            Self::TenantMalformed { .. } => 900_023,
            Self::ClientNotFound { .. } => 700_016,
            Self::ClientDisabled { .. } => 7_000_112,
            Self::SecretWrong { .. } => 7_000_215,
            Self::SecretExpired { .. } => 7_000_222,
            Self::CredentialMissing => 7_000_218,
            Self::ScopeNotDefault { .. } => 1_002_012,
            Self::ScopeInvalid { .. } => 70_011,
            Self::ResourceNotFound { .. } => 500_011,
            Self::Assertion(
                AssertionError::KeyUnknown { .. } | AssertionError::Signature { .. },
            ) => 700_027,
            Self::Assertion(AssertionError::Time { .. }) => 700_024,
            Self::Assertion(AssertionError::Invalid { .. }) => 50_013,
            Self::GrantUnsupported { .. } => 70_003,
            Self::ParameterMissing { .. } => 900_144,
            Self::NotPost { .. } => 900_561,
        }
    }

    /// The value of `error` (RFC 6749 section 5.2, and Microsoft's own `invalid_resource`).
    pub(crate) fn error(&self) -> &'static str {
        match self {
            Self::TenantNotFound { .. }
            | Self::TenantMalformed { .. }
            | Self::ParameterMissing { .. }
            | Self::NotPost { .. } => "invalid_request",
            Self::ClientNotFound { .. } | Self::ClientDisabled { .. } => "unauthorized_client",
            Self::SecretWrong { .. }
            | Self::SecretExpired { .. }
            | Self::CredentialMissing
            | Self::Assertion(_) => "invalid_client",
            Self::ScopeNotDefault { .. } | Self::ScopeInvalid { .. } => "invalid_scope",
            Self::ResourceNotFound { .. } => "invalid_resource",
            Self::GrantUnsupported { .. } => "unsupported_grant_type",
        }
    }

    /// 401 for a client that did not prove who it is, 400 for the rest.
    pub(crate) fn status(&self) -> u16 {
        if self.error() == "invalid_client" { 401 } else { 400 }
    }

    /// The body of the answer.
    pub(crate) fn body(&self, now: Timestamp) -> Value {
        let code = self.code();
        let (trace_id, correlation_id) = (guid(), guid());
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let text = self.text();
        json!({
            "error": self.error(),
            "error_description": format!(
                "AADSTS{code}: {text} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
            ),
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        })
    }

    fn text(&self) -> String {
        const WRONG_TENANT: &str = "This can happen if the application has not been installed by the administrator of \
             the tenant or consented to by any user in the tenant. You may have sent your authentication request to \
             the wrong tenant.";
        match self {
            Self::TenantNotFound { tenant } => format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into \
                 the correct cloud. Check with your subscription administrator, this may happen if there are no \
                 active subscriptions for the tenant."
            ),
            Self::TenantMalformed { tenant } => format!(
                "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."
            ),
            Self::ClientNotFound { client_id, tenant } => format!(
                "Application with identifier '{client_id}' was not found in the directory '{tenant}'. {WRONG_TENANT}"
            ),
            Self::ClientDisabled { client_id } => format!("Application '{client_id}' is disabled."),
            Self::SecretWrong { client_id } => format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{client_id}'."
            ),
            Self::SecretExpired { client_id } => format!(
                "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create \
                 new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials \
                 for added security: https://aka.ms/certCreds."
            ),
            Self::CredentialMissing => {
                "The request body must contain the following parameter: 'client_assertion' or \
                 'client_secret'."
                    .to_owned()
            }
            Self::ScopeNotDefault { scope } => format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value \
                 with /.default suffixed to the resource identifier (application ID URI)."
            ),
            Self::ScopeInvalid { scope } => format!(
                "The provided request must include a 'scope' input parameter. The provided value for the input \
                 parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
            Self::ResourceNotFound { resource, tenant } => format!(
                "The resource principal named {resource} was not found in the tenant named {tenant}. {WRONG_TENANT}"
            ),
            Self::Assertion(error) => error.text(),
            Self::GrantUnsupported { grant_type } => {
                format!("The app requested an unsupported grant type '{grant_type}'.")
            }
            Self::ParameterMissing { name } => {
                format!("The request body must contain the following parameter: '{name}'.")
            }
            Self::NotPost { method } => {
                format!("The endpoint only accepts POST requests. Received a {method} request.")
            }
        }
    }
}

impl AssertionError {
    fn text(&self) -> String {
        let unregistered = |reason: &str, thumbprint: &str| {
            format!(
                "The certificate with identifier used to sign the client assertion is not registered on \
                 application. [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}']"
            )
        };
        match self {
            Self::KeyUnknown { thumbprint } => unregistered("The key was not found.", thumbprint),
            Self::Signature { thumbprint } => {
                unregistered("Client assertion failed signature validation.", thumbprint)
            }
            Self::Time { now, not_before, expires } => format!(
                "Client assertion is not within its valid time range. Current time: {now}, assertion valid from \
                 {not_before}, expiry time of assertion {expires}."
            ),
            Self::Invalid { reason } => format!("Assertion is invalid: {reason}."),
        }
    }
}

#[cfg(test)]
mod tests;
