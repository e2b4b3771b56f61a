//! `Debug` of the messages that hold secrets.

use std::fmt;

use super::{
    Attachment, BulkGuest, CreateCallerResponse, NextClientSecret, NotifyGuestRequest,
    OauthAuthentication, PasswordAuthentication, PreviewTemplateRequest, Proxy, RawContent,
    RequestApprovalRequest, SendTestEmailRequest, TemplateContent, WebhookTarget,
};

/// Stands for a secret that is there.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for PasswordAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordAuthentication")
            .field("username", &self.username)
            .field("password", &shown(&self.password))
            .field("password_set", &self.password_set)
            .finish()
    }
}

impl fmt::Debug for OauthAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthAuthentication")
            .field("client_id", &self.client_id)
            .field("tenant_id", &self.tenant_id)
            .field("client_secret", &shown(&self.client_secret))
            .field("client_secret_set", &self.client_secret_set)
            .field("client_secret_expire_date", &self.client_secret_expire_date)
            .field("token_endpoint", &self.token_endpoint)
            .field("scope", &self.scope)
            .field("certificate_pem", &self.certificate_pem)
            .field("private_key_pem", &shown(&self.private_key_pem))
            .field("private_key_set", &self.private_key_set)
            .field("client_secret_basic", &self.client_secret_basic)
            .field("next_client_secret", &self.next_client_secret)
            .field("promote_next_client_secret", &self.promote_next_client_secret)
            .field("client_secret_status", &self.client_secret_status)
            .finish()
    }
}

impl fmt::Debug for CreateCallerResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateCallerResponse")
            .field("caller", &self.caller)
            .field("token", &shown(&self.token))
            .finish()
    }
}

impl fmt::Debug for NextClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextClientSecret")
            .field("value", &shown(&self.value))
            .field("value_set", &self.value_set)
            .field("expire_date", &self.expire_date)
            .finish()
    }
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget")
            .field("url", &shown_url(&self.url))
            .field("secret", &shown(&self.secret))
            .finish()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &shown_url(&self.url))
            .field("username", &self.username)
            .field("password", &shown(&self.password))
            .field("password_set", &self.password_set)
            .field("bypass", &self.bypass)
            .finish()
    }
}

// Bodies, files and variables may hold guests' passwords.

impl fmt::Debug for RawContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawContent")
            .field("subject", &self.subject)
            .field("text", &shown(&self.text))
            .field("html", &shown(&self.html))
            .finish()
    }
}

impl fmt::Debug for PreviewTemplateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreviewTemplateRequest")
            .field("name", &self.name)
            .field("draft", &self.draft)
            .field("variables", &self.variables.keys())
            .field("no_samples", &self.no_samples)
            .finish()
    }
}

impl fmt::Debug for SendTestEmailRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendTestEmailRequest")
            .field("name", &self.name)
            .field("draft", &self.draft)
            .field("variables", &self.variables.keys())
            .field("to", &self.to)
            .field("request_id", &self.request_id)
            .finish()
    }
}

impl fmt::Debug for TemplateContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateContent")
            .field("template", &self.template)
            .field("variables", &self.variables.keys())
            .field("locale", &self.locale)
            .field("portal", &self.portal)
            .finish()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NotifyGuestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyGuestRequest")
            .field("event", &self.event)
            .field("password", &shown(&self.password))
            .field("options", &self.options)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BulkGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkGuest")
            .field("password", &shown(&self.password))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestApprovalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestApprovalRequest")
            .field("approvers", &self.approvers)
            .field("password", &shown(&self.password))
            .field("options", &self.options)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// A URL is no place for a password, but some put it there.
fn shown_url(url: &str) -> &str {
    if url.contains('@') { HIDDEN } else { url }
}

fn shown(secret: &str) -> &'static str {
    if secret.is_empty() { "" } else { HIDDEN }
}
