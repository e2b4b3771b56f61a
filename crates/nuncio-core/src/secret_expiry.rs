//! The expiry of the client secrets that nuncio itself uses: the typed dates, and what the token endpoint says.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::alarm::Severity;
use crate::alarm::catalogue::{SECRET_ABOUT_TO_EXPIRE, SECRET_DATE_DIFFERS, SECRET_EXPIRED};
use crate::settings::OauthClient;

/// How many days before its last day the alarm tells of a secret, each time anew.
pub const STAGES_DAYS: [i32; 6] = [60, 30, 14, 7, 3, 1];

/// What the token endpoint says of the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAnswer {
    /// It could not be asked, or has refused for another reason.
    None,
    /// It gives tokens for the first secret.
    Works,
    /// It gives tokens for the next secret, and refuses the first one, in these words.
    NextWorks { words: String, is_expired: bool },
    /// It says that the secret has expired, and the next one, if there is one, is no good either.
    Expired(String),
    /// It says that the secret is wrong, and the next one, if there is one, is no good either.
    Wrong(String),
}

/// Which secret is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretUse {
    Unknown,
    First,
    Next,
    None,
}

/// What is known of the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretStatus {
    pub checked_at: Timestamp,
    pub usage: SecretUse,
    /// Why the first secret is refused, in the endpoint's words.
    pub refusal: Option<String>,
    /// How the typed dates and the endpoint disagree. The endpoint is right.
    pub disagreement: Option<String>,
}

/// The typed last days of the secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretDates {
    pub first: Option<Date>,
    pub has_next: bool,
    pub next: Option<Date>,
    /// The last day on which one of them is good, if it is known.
    pub last: Option<Date>,
}

impl From<&OauthClient> for SecretDates {
    fn from(client: &OauthClient) -> Self {
        Self {
            first: client.client_secret_expire_date,
            has_next: client.next_secret.is_some(),
            next: client.next_secret.as_ref().and_then(|next| next.expire_date),
            last: client.secrets_last_day(),
        }
    }
}

/// An alarm that is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretAlarm {
    pub alarm_type: &'static str,
    /// None means that of the type.
    pub severity: Option<Severity>,
    /// It is raised once for each: another stage makes another one.
    pub stage: String,
    pub description: String,
    pub details: String,
}

/// What is known, at the time of the answer.
pub fn status(dates: SecretDates, answer: &EndpointAnswer, now: Timestamp) -> SecretStatus {
    let (usage, refusal) = match answer {
        EndpointAnswer::None => (SecretUse::Unknown, None),
        EndpointAnswer::Works => (SecretUse::First, None),
        EndpointAnswer::NextWorks { words, .. } => (SecretUse::Next, Some(words.clone())),
        EndpointAnswer::Expired(words) | EndpointAnswer::Wrong(words) => {
            (SecretUse::None, Some(words.clone()))
        }
    };
    let disagreement = differs(dates.first, is_over(dates.first, now), answer);
    SecretStatus { checked_at: now, usage, refusal, disagreement }
}

/// The alarms that are to stand. The endpoint's answer overrides the typed dates, and a disagreement is told.
///
/// A typed date is the secret's last day (UTC): on it the secret still counts. A secret that is followed by
/// another one is nobody's trouble when it ends, but for taking it out of the settings.
pub fn alarms(dates: SecretDates, answer: &EndpointAnswer, now: Timestamp) -> Vec<SecretAlarm> {
    let differs = differs(dates.first, is_over(dates.first, now), answer);
    let told = differs.clone().unwrap_or_default();
    let ending = |last_day: Option<Date>| {
        let today = TimeZone::UTC.to_datetime(now).date();
        last_day.and_then(|last_day| about_to_expire(last_day, dates.has_next, today))
    };
    let standing = match answer {
        EndpointAnswer::Expired(words) => {
            let description = if dates.has_next {
                "the token endpoint says that the client secret has expired, and refuses the next one too"
            } else {
                "the token endpoint says that the client secret has expired"
            };
            let details = [words.as_str(), &told].join("\n").trim().to_owned();
            vec![expired(String::new(), description.to_owned(), details)]
        }
        EndpointAnswer::NextWorks { words, .. } => {
            let description =
                "the client secret is refused; the next one is in use, and mails go out".to_owned();
            let details = format!(
                "{words}\nlet the next client secret take the place of the first one in the SMTP settings, \
                 and remove the first one at the provider"
            );
            let severity = Some(Severity::Warning);
            let in_use = expired("next".to_owned(), description, details);
            let in_use = SecretAlarm { severity, ..in_use };
            std::iter::once(in_use).chain(ending(dates.next)).collect()
        }
        EndpointAnswer::Works if is_over(dates.last, now) => Vec::new(),
        EndpointAnswer::None | EndpointAnswer::Wrong(_) if is_over(dates.last, now) => {
            let last_day = dates.last.map(|last_day| last_day.to_string()).unwrap_or_default();
            let description =
                format!("by the settings, the last day of the client secret was {last_day}");
            let details = "the token endpoint has given no answer about it yet".to_owned();
            vec![expired(String::new(), description, details)]
        }
        EndpointAnswer::Works | EndpointAnswer::None | EndpointAnswer::Wrong(_) => {
            ending(dates.last).into_iter().collect()
        }
    };
    let date = differs.map(|description| SecretAlarm {
        alarm_type: SECRET_DATE_DIFFERS,
        severity: None,
        stage: dates.first.map(|last_day| last_day.to_string()).unwrap_or_default(),
        description,
        details: "correct the expiry date of the client secret in the SMTP settings".to_owned(),
    });
    standing.into_iter().chain(date).collect()
}

fn expired(stage: String, description: String, details: String) -> SecretAlarm {
    SecretAlarm { alarm_type: SECRET_EXPIRED, severity: None, stage, description, details }
}

fn is_over(last_day: Option<Date>, now: Timestamp) -> bool {
    last_day.is_some_and(|last_day| last_day < TimeZone::UTC.to_datetime(now).date())
}

fn about_to_expire(last_day: Date, has_next: bool, today: Date) -> Option<SecretAlarm> {
    let left = today.until(last_day).ok()?.get_days();
    let stage = STAGES_DAYS.into_iter().filter(|stage| left <= *stage).min()?;
    let days = if left == 1 { "day" } else { "days" };
    let which = if has_next { "the last of the client secrets" } else { "the client secret" };
    Some(SecretAlarm {
        alarm_type: SECRET_ABOUT_TO_EXPIRE,
        severity: None,
        stage: format!("{last_day}/{stage}"),
        description: format!("{which} expires in {left} {days}: its last day is {last_day}"),
        details: "make a new client secret at the provider, and save it in the SMTP settings"
            .to_owned(),
    })
}

/// How the typed date of the first secret and the endpoint disagree.
fn differs(last_day: Option<Date>, is_over: bool, answer: &EndpointAnswer) -> Option<String> {
    let last_day = last_day?;
    match answer {
        EndpointAnswer::Expired(_) | EndpointAnswer::NextWorks { is_expired: true, .. }
            if !is_over =>
        {
            Some(format!(
                "the settings say that the client secret is good until {last_day}, the token endpoint says that \
                 it has expired"
            ))
        }
        EndpointAnswer::Works if is_over => Some(format!(
            "the settings say that the last day of the client secret was {last_day}, but the token endpoint \
             still gives tokens for it"
        )),
        EndpointAnswer::Expired(_)
        | EndpointAnswer::NextWorks { .. }
        | EndpointAnswer::Works
        | EndpointAnswer::Wrong(_)
        | EndpointAnswer::None => None,
    }
}

#[cfg(test)]
mod tests;
