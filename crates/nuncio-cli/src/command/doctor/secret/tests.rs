use nuncio_api::v1::{ClientSecretStatus, NextClientSecret};

use super::*;

fn settings(oauth: OauthAuthentication) -> SmtpSettings {
    let oauth = OauthAuthentication { client_secret_set: true, ..oauth };
    SmtpSettings { authentication: Some(Authentication::Oauth(oauth)), ..SmtpSettings::default() }
}

fn dated(first: &str, next: Option<&str>) -> OauthAuthentication {
    let next = next.map(|date| NextClientSecret {
        value_set: true,
        expire_date: date.to_owned(),
        ..NextClientSecret::default()
    });
    OauthAuthentication {
        client_secret_expire_date: first.to_owned(),
        next_client_secret: next,
        ..OauthAuthentication::default()
    }
}

fn seen(usage: ClientSecretUse, disagreement: &str) -> OauthAuthentication {
    let status = ClientSecretStatus {
        r#use: usage.into(),
        refusal: "AADSTS7000222".to_owned(),
        disagreement: disagreement.to_owned(),
        ..ClientSecretStatus::default()
    };
    OauthAuthentication { client_secret_status: Some(status), ..dated("2999-01-01", None) }
}

fn verdicts(oauth: OauthAuthentication) -> Vec<(Verdict, String)> {
    let found = findings(&settings(oauth)).into_iter();
    found.map(|one| (one.verdict, one.detail)).collect()
}

#[test]
fn a_secret_that_has_ended_is_no_problem_while_the_next_one_is_good() {
    let alone = verdicts(dated("2020-01-01", None));
    let followed = verdicts(dated("2020-01-01", Some("2999-01-01")));

    assert_eq!(alone, [(Verdict::Problem, "it ended on 2020-01-01".to_owned())]);
    assert_eq!(followed.len(), 1);
    assert_eq!(followed[0].0, Verdict::Well);
    assert!(followed[0].1.starts_with("the next one is good until 2999-01-01"), "{followed:?}");
}

#[test]
fn a_date_that_is_missing_is_asked_for() {
    for oauth in [dated("", None), dated("2999-01-01", Some("")), dated("", Some("2999-01-01"))] {
        assert_eq!(verdicts(oauth), [(Verdict::Warning, "its last day is not known".to_owned())]);
    }
}

#[test]
fn what_the_token_endpoint_says_goes_before_the_dates() {
    let next = findings(&settings(seen(ClientSecretUse::Next, "")));
    let none = findings(&settings(seen(ClientSecretUse::None, "the dates differ")));

    assert_eq!((next.len(), next[0].verdict), (1, Verdict::Warning));
    assert!(next[0].detail.contains("AADSTS7000222"), "{}", next[0].detail);
    assert!(next[0].remedy.contains("--promote-next-client-secret"), "{}", next[0].remedy);
    let verdicts: Vec<_> = none.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Problem, Verdict::Warning]);
    assert_eq!(none[1].detail, "the dates differ");
}
