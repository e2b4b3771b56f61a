//! From what an operator types about an OAuth client to the client.

use jiff::civil::Date;

use crate::secret::ClientSecret;
use crate::settings::draft::{ANOTHER_WAY, OauthDraft, SavedClient, check_pem, check_text, filled};
use crate::settings::{ClientCredential, NextSecret, OauthClient, Provider};
use crate::violation::Violations;

const SECRET: &str = "oauth.client_secret";
const NEXT_SECRET: &str = "oauth.next_client_secret.value";
const PROMOTE: &str = "oauth.promote_next_client_secret";
const EXPIRE_DATE: &str = "oauth.client_secret_expire_date";

/// Makes the client, with the secrets of the `saved` one where they are left out, or notes all that is wrong.
pub(super) fn check(
    violations: &mut Violations,
    draft: OauthDraft,
    provider: Provider,
    saved: Option<SavedClient<'_>>,
) -> Option<OauthClient> {
    if draft.client_id.is_empty() {
        violations.add("oauth.client_id", "is missing; give the application (client) id");
    }
    for (field, text) in [
        ("oauth.client_id", &draft.client_id),
        ("oauth.tenant_id", &draft.tenant_id),
        ("oauth.scope", &draft.scope),
        ("oauth.token_endpoint", &draft.token_endpoint),
    ] {
        check_text(violations, field, text);
    }
    let token_endpoint = check_token_endpoint(violations, &draft, provider);
    let scope = filled(&draft.scope, provider.preset().map(|preset| preset.scope));
    let credential = check_credential(violations, &draft, saved, &token_endpoint);
    let client_secret_expire_date = match saved_next(saved) {
        Some(next) if draft.promote_next_secret => next.expire_date,
        _ => check_date(violations, EXPIRE_DATE, &draft.client_secret_expire_date),
    };
    let next_secret = check_next(violations, &draft, saved, &token_endpoint, credential.as_ref());
    Some(OauthClient {
        client_id: draft.client_id,
        tenant_id: Some(draft.tenant_id).filter(|tenant| !tenant.is_empty()),
        credential: credential?,
        client_secret_expire_date,
        next_secret,
        token_endpoint,
        scope,
    })
}

fn check_token_endpoint(
    violations: &mut Violations,
    draft: &OauthDraft,
    provider: Provider,
) -> String {
    if !draft.token_endpoint.is_empty() {
        let host = draft.token_endpoint.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.starts_with('/') || host.contains('@') {
            let problem =
                "is no https URL; give one such as `https://login.example.com/oauth2/token`";
            violations.add("oauth.token_endpoint", problem);
        }
        return draft.token_endpoint.clone();
    }
    if provider.preset().is_none() {
        violations
            .add("oauth.token_endpoint", "is missing; a generic provider needs its https URL");
        return String::new();
    }
    let tenant = &draft.tenant_id;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    if tenant.is_empty() {
        violations
            .add("oauth.tenant_id", "is missing; give the directory (tenant) id or its domain");
    } else if ["common", "organizations", "consumers"].contains(&tenant.as_str()) {
        let problem = format!("`{tenant}` names no single tenant; give the directory (tenant) id");
        violations.add("oauth.tenant_id", problem);
    } else if !tenant.bytes().all(allowed) {
        let problem = "is neither a GUID nor a domain; copy the directory (tenant) id";
        violations.add("oauth.tenant_id", problem);
    }
    provider.token_endpoint(tenant).unwrap_or_default()
}

fn check_date(violations: &mut Violations, field: &str, text: &str) -> Option<Date> {
    if text.is_empty() {
        return None;
    }
    let date = text.parse::<Date>().map_err(|_| "is no date; give it as `2027-03-15`");
    violations.check(field, date)
}

fn saved_next(saved: Option<SavedClient<'_>>) -> Option<&NextSecret> {
    saved.and_then(|saved| saved.client.next_secret.as_ref())
}

fn check_credential(
    violations: &mut Violations,
    draft: &OauthDraft,
    saved: Option<SavedClient<'_>>,
    token_endpoint: &str,
) -> Option<ClientCredential> {
    let same_way = saved.is_none_or(|saved| saved.same_way);
    check_pem(violations, "oauth.certificate_pem", &draft.certificate_pem, "CERTIFICATE");
    if !draft.certificate_pem.is_empty() {
        if draft.client_secret.is_some() {
            let problem = "a certificate is given too; use one of the two";
            violations.add(SECRET, problem);
        }
        if draft.promote_next_secret {
            violations.add(PROMOTE, "a certificate is given too; use one of the two");
        }
        let saved = match saved.map(|saved| &saved.client.credential) {
            Some(ClientCredential::Certificate { private_key, .. }) => Some(private_key.clone()),
            Some(ClientCredential::SecretPost(_) | ClientCredential::SecretBasic(_)) | None => None,
        };
        if draft.private_key.is_none() && saved.is_some() && !same_way {
            // An assertion that is made with it can be used once by whoever gets it.
            violations.add("oauth.private_key_pem", ANOTHER_WAY);
            return None;
        }
        let Some(private_key) = draft.private_key.clone().or(saved) else {
            let problem = "is missing, and none is saved; give the certificate's key in PEM";
            violations.add("oauth.private_key_pem", problem);
            return None;
        };
        check_pem(violations, "oauth.private_key_pem", private_key.expose(), "PRIVATE KEY");
        let certificate_pem = draft.certificate_pem.clone();
        return Some(ClientCredential::Certificate { certificate_pem, private_key });
    }
    check_client_secret(violations, draft, saved, token_endpoint)
}

fn check_client_secret(
    violations: &mut Violations,
    draft: &OauthDraft,
    saved: Option<SavedClient<'_>>,
    token_endpoint: &str,
) -> Option<ClientCredential> {
    let given = match &draft.client_secret {
        Some(_) if draft.promote_next_secret => {
            violations.add(SECRET, "is given, but the next one takes its place; leave it out");
            return None;
        }
        given => given.clone(),
    };
    let first = saved.and_then(|saved| match &saved.client.credential {
        ClientCredential::SecretPost(secret) | ClientCredential::SecretBasic(secret) => {
            Some(secret)
        }
        ClientCredential::Certificate { .. } => None,
    });
    let kept = if draft.promote_next_secret {
        let next = saved_next(saved).map(|next| &next.secret);
        if next.is_none() {
            let problem = "no next client secret is saved that could take the place of the first";
            violations.add(PROMOTE, problem);
            return None;
        }
        next
    } else {
        first
    };
    let nothing = "is missing, and none is saved; give the secret's value, or a certificate";
    let kept = Kept { secret: kept, saved, token_endpoint, nothing };
    let secret = check_secret(violations, SECRET, given, &kept)?;
    Some(if draft.client_secret_basic {
        ClientCredential::SecretBasic(secret)
    } else {
        ClientCredential::SecretPost(secret)
    })
}

fn check_next(
    violations: &mut Violations,
    draft: &OauthDraft,
    saved: Option<SavedClient<'_>>,
    token_endpoint: &str,
    credential: Option<&ClientCredential>,
) -> Option<NextSecret> {
    let next = draft.next_secret.as_ref()?;
    if next.secret.is_none() && draft.promote_next_secret {
        return None; // It is the first one now.
    }
    if !draft.certificate_pem.is_empty() {
        violations
            .add(NEXT_SECRET, "follows a client secret only; leave it out with a certificate");
        return None;
    }
    let expire_date =
        check_date(violations, "oauth.next_client_secret.expire_date", &next.expire_date);
    let kept = saved_next(saved).map(|next| &next.secret);
    let nothing = "is missing, and none is saved; give the next secret's value";
    let kept = Kept { secret: kept, saved, token_endpoint, nothing };
    let secret = check_secret(violations, NEXT_SECRET, next.secret.clone(), &kept)?;
    let is_first = match credential {
        Some(ClientCredential::SecretPost(first) | ClientCredential::SecretBasic(first)) => {
            *first == secret
        }
        Some(ClientCredential::Certificate { .. }) | None => false,
    };
    if is_first {
        let problem = "is the client secret itself; make a second one at the provider";
        violations.add(NEXT_SECRET, problem);
    }
    Some(NextSecret { secret, expire_date })
}

/// A secret that is used where none is given, if it would go where it was saved for.
struct Kept<'a> {
    secret: Option<&'a ClientSecret>,
    saved: Option<SavedClient<'a>>,
    token_endpoint: &'a str,
    /// What to say if there is none.
    nothing: &'static str,
}

fn check_secret(
    violations: &mut Violations,
    field: &str,
    given: Option<ClientSecret>,
    kept: &Kept<'_>,
) -> Option<ClientSecret> {
    let secret = match (given, kept.secret, kept.saved) {
        (Some(given), _, _) => given,
        (None, Some(_), Some(saved)) if saved.client.token_endpoint != kept.token_endpoint => {
            let problem = "is missing; the saved one is for another token endpoint: give it again";
            violations.add(field, problem);
            return None;
        }
        (None, Some(_), Some(saved)) if !saved.same_way => {
            violations.add(field, ANOTHER_WAY);
            return None;
        }
        (None, Some(secret), Some(_)) => secret.clone(),
        (None, None, _) | (None, _, None) => {
            violations.add(field, kept.nothing);
            return None;
        }
    };
    if secret.expose().chars().any(|c| c.is_control() || c.is_whitespace()) {
        violations.add(field, "has a blank or line break; was it pasted with one?");
    }
    Some(secret)
}
