//! The client secrets.

use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{ClientSecretUse, OauthAuthentication, SmtpSettings};

use super::{Finding, Verdict};
use crate::time::{days_until, now};

/// So many days before its end a client secret is worth a warning.
const SECRET_WARNING_DAYS: i32 = 30;
const PART: &str = "client secret";
const RENEW: &str = "make a new one at the provider, then `nuncio settings smtp save --from-saved --test \
                     --client-secret-file …`, or have it ready with `--next-client-secret-file`";
const PROMOTE: &str = "`nuncio settings smtp save --from-saved --test --promote-next-client-secret`, then remove the \
                       first one at the provider";

/// What is to be said of the secrets, by what the node has seen and by their dates.
pub(super) fn findings(settings: &SmtpSettings) -> Vec<Finding> {
    let Some(Authentication::Oauth(oauth)) = &settings.authentication else { return Vec::new() };
    if !oauth.client_secret_set {
        return Vec::new();
    }
    let status = oauth.client_secret_status.clone().unwrap_or_default();
    let use_of = match status.r#use() {
        ClientSecretUse::Unspecified | ClientSecretUse::First => dates(oauth),
        ClientSecretUse::Next => {
            let detail = format!("it is refused, and the next one is in use: {}", status.refusal);
            Finding::new(PART, Verdict::Warning, detail).remedy(PROMOTE)
        }
        ClientSecretUse::None => {
            Finding::new(PART, Verdict::Problem, format!("it is refused: {}", status.refusal))
                .remedy(RENEW)
        }
    };
    let differs = (!status.disagreement.is_empty()).then(|| {
        Finding::new(PART, Verdict::Warning, status.disagreement)
            .remedy("correct it with `--client-secret-expire-date`")
    });
    std::iter::once(use_of).chain(differs).collect()
}

/// By the day on which the last of the secrets ends.
fn dates(oauth: &OauthAuthentication) -> Finding {
    let first = days_until(&oauth.client_secret_expire_date, now());
    let first = first.map(|days| (days, &oauth.client_secret_expire_date, "it"));
    let last = match &oauth.next_client_secret {
        None => first,
        Some(next) => {
            let days = days_until(&next.expire_date, now());
            let next = days.map(|days| (days, &next.expire_date, "the next one"));
            first.zip(next).map(|(first, next)| first.max(next))
        }
    };
    let Some((days, date, which)) = last else {
        let finding = Finding::new(PART, Verdict::Warning, "its last day is not known");
        return finding.remedy(
            "save it with `--client-secret-expire-date`, that of a next one with \
             `--next-client-secret-expire-date`",
        );
    };
    match days {
        ..0 => {
            Finding::new(PART, Verdict::Problem, format!("{which} ended on {date}")).remedy(RENEW)
        }
        0..=SECRET_WARNING_DAYS => {
            let detail = format!("{which} ends on {date}, in {days} days");
            Finding::new(PART, Verdict::Warning, detail).remedy(RENEW)
        }
        _ => {
            let detail = format!("{which} is good until {date}, for {days} days");
            Finding::new(PART, Verdict::Well, detail)
        }
    }
}

#[cfg(test)]
mod tests;
