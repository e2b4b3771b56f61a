//! The expiry of the client secret that nuncio itself uses: the typed date, and what the token endpoint says.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::alarm::catalogue::{SECRET_ABOUT_TO_EXPIRE, SECRET_DATE_DIFFERS, SECRET_EXPIRED};

/// How many days before its last day the alarm tells of a secret, each time anew.
pub const STAGES_DAYS: [i32; 6] = [60, 30, 14, 7, 3, 1];

/// What the token endpoint says of the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointAnswer {
    /// It could not be asked, or has refused for another reason.
    None,
    /// It gives tokens.
    Works,
    /// It says that the secret has expired; with its words.
    Expired(String),
}

/// An alarm that is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretAlarm {
    pub alarm_type: &'static str,
    /// It is raised once for each: another stage makes another one.
    pub stage: String,
    pub description: String,
    pub details: String,
}

/// The alarms that are to stand. The endpoint's answer overrides the typed date, and a disagreement is told.
///
/// The typed date is the secret's last day (UTC): on it the secret still counts.
pub fn alarms(last_day: Option<Date>, answer: &EndpointAnswer, now: Timestamp) -> Vec<SecretAlarm> {
    let today = TimeZone::UTC.to_datetime(now).date();
    let is_over = last_day.is_some_and(|last_day| last_day < today);
    let differs = differs(last_day, is_over, answer);
    let told = differs.clone().unwrap_or_default();
    let standing = match answer {
        EndpointAnswer::Expired(words) => {
            let description =
                "the token endpoint says that the client secret has expired".to_owned();
            let details = [words.as_str(), &told].join("\n").trim().to_owned();
            Some(SecretAlarm {
                alarm_type: SECRET_EXPIRED,
                stage: String::new(),
                description,
                details,
            })
        }
        EndpointAnswer::Works if is_over => None,
        EndpointAnswer::None if is_over => last_day.map(|last_day| SecretAlarm {
            alarm_type: SECRET_EXPIRED,
            stage: String::new(),
            description: format!(
                "by the settings, the last day of the client secret was {last_day}"
            ),
            details: "the token endpoint has given no answer about it yet".to_owned(),
        }),
        EndpointAnswer::Works | EndpointAnswer::None => {
            last_day.and_then(|last_day| about_to_expire(last_day, today))
        }
    };
    let date = differs.map(|description| SecretAlarm {
        alarm_type: SECRET_DATE_DIFFERS,
        stage: last_day.map(|last_day| last_day.to_string()).unwrap_or_default(),
        description,
        details: "correct the expiry date of the client secret in the SMTP settings".to_owned(),
    });
    standing.into_iter().chain(date).collect()
}

fn about_to_expire(last_day: Date, today: Date) -> Option<SecretAlarm> {
    let left = today.until(last_day).ok()?.get_days();
    let stage = STAGES_DAYS.into_iter().filter(|stage| left <= *stage).min()?;
    let days = if left == 1 { "day" } else { "days" };
    Some(SecretAlarm {
        alarm_type: SECRET_ABOUT_TO_EXPIRE,
        stage: format!("{last_day}/{stage}"),
        description: format!(
            "the client secret expires in {left} {days}: its last day is {last_day}"
        ),
        details: "make a new client secret at the provider, and save it in the SMTP settings"
            .to_owned(),
    })
}

/// How the typed date and the endpoint disagree.
fn differs(last_day: Option<Date>, is_over: bool, answer: &EndpointAnswer) -> Option<String> {
    let last_day = last_day?;
    match answer {
        EndpointAnswer::Expired(_) if !is_over => Some(format!(
            "the settings say that the client secret is good until {last_day}, the token endpoint says that \
             it has expired"
        )),
        EndpointAnswer::Works if is_over => Some(format!(
            "the settings say that the last day of the client secret was {last_day}, but the token endpoint \
             still gives tokens for it"
        )),
        EndpointAnswer::Expired(_) | EndpointAnswer::Works | EndpointAnswer::None => None,
    }
}

#[cfg(test)]
mod tests;
