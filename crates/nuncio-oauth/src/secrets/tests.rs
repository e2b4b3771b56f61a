use std::time::Duration;

use async_trait::async_trait;
use nuncio_core::ports::token::TokenErrorKind;
use nuncio_core::secret::{AccessToken, ClientSecret};
use nuncio_core::settings::{ClientCredential, NextSecret};

use super::*;

const EXPIRED: &str = "CLIENT_SECRET_EXPIRED";
const WRONG: &str = "INVALID_CLIENT_SECRET";
const DOWN: &str = "TOKEN_ENDPOINT_UNAVAILABLE";

/// Notes the secrets that it is asked with, and refuses those in its list with these codes.
#[derive(Default)]
struct Provider {
    asked: Mutex<Vec<String>>,
    refused: Mutex<Vec<(&'static str, &'static str)>>,
}

#[async_trait]
impl TokenEndpoint for Provider {
    async fn request(&self, wanted: &WantedToken) -> Result<Granted, TokenError> {
        assert!(wanted.client.next_secret.is_none(), "it is asked with one secret at a time");
        let ClientCredential::SecretBasic(secret) = &wanted.client.credential else {
            panic!("the secret goes as before")
        };
        let secret = secret.expose();
        self.asked.lock().unwrap().push(secret.to_owned());
        let refused = self.refused.lock().unwrap();
        match refused.iter().find(|(name, _)| *name == secret) {
            Some((_, code)) => Err(TokenError {
                kind: TokenErrorKind::Fatal,
                reason: Reason::new(code, format!("{secret}: {code}")),
                presented_chain: Vec::new(),
            }),
            None => Ok(Granted {
                access_token: AccessToken::from(secret.to_owned()),
                life: Duration::from_hours(1),
                passed_over: None,
            }),
        }
    }
}

struct World {
    provider: Arc<Provider>,
    either: EitherSecret,
    wanted: WantedToken,
}

impl World {
    fn new(refused: &[(&'static str, &'static str)]) -> Self {
        let provider = Arc::new(Provider::default());
        let either = EitherSecret::over(Arc::<Provider>::clone(&provider));
        let secret = |text: &str| ClientSecret::from(text.to_owned());
        let client = OauthClient {
            client_id: "the-client".to_owned(),
            tenant_id: None,
            credential: ClientCredential::SecretBasic(secret("first")),
            client_secret_expire_date: None,
            next_secret: Some(NextSecret { secret: secret("next"), expire_date: None }),
            token_endpoint: "https://login.example.test/token".to_owned(),
            scope: "mail.send".to_owned(),
        };
        let (ca_certificates_pem, timeout) = (String::new(), Duration::from_mins(1));
        let wanted = WantedToken { client, ca_certificates_pem, proxy: None, timeout };
        let world = Self { provider, either, wanted };
        world.refuse(refused);
        world
    }

    fn refuse(&self, refused: &[(&'static str, &'static str)]) {
        *self.provider.refused.lock().unwrap() = refused.to_vec();
    }

    /// Which secret the token is for and why the first was passed over, or the error; and who was asked with.
    async fn ask(&self) -> (Result<(String, Option<String>), TokenError>, Vec<String>) {
        let answer = self.either.request(&self.wanted).await.map(|granted| {
            let code = granted.passed_over.map(|reason| reason.code);
            (granted.access_token.expose().to_owned(), code)
        });
        (answer, std::mem::take(&mut *self.provider.asked.lock().unwrap()))
    }
}

fn given(secret: &str, passed_over: Option<&str>) -> (String, Option<String>) {
    (secret.to_owned(), passed_over.map(str::to_owned))
}

#[tokio::test]
async fn the_next_secret_is_not_used_while_the_first_is_good() {
    let world = World::new(&[("next", WRONG)]);

    let (answer, asked) = world.ask().await;

    assert_eq!(answer.unwrap(), given("first", None));
    assert_eq!(asked, ["first"]);
}

#[tokio::test]
async fn a_first_secret_that_is_refused_is_passed_over_at_once_and_from_then_on() {
    for code in [EXPIRED, WRONG] {
        let world = World::new(&[("first", code)]);

        let (first, asked_first) = world.ask().await;
        let (second, asked_second) = world.ask().await;

        assert_eq!(first.unwrap(), given("next", Some(code)));
        assert_eq!(asked_first, ["first", "next"]);
        assert_eq!(second.unwrap(), given("next", Some(code)));
        assert_eq!(asked_second, ["next"]);
    }
}

#[tokio::test]
async fn a_trouble_that_is_not_about_the_secret_spares_the_next_one() {
    let world = World::new(&[("first", DOWN)]);

    let (answer, asked) = world.ask().await;

    assert_eq!(answer.unwrap_err().reason.code, DOWN);
    assert_eq!(asked, ["first"]);
}

#[tokio::test]
async fn if_both_are_refused_both_refusals_are_told() {
    let world = World::new(&[("first", EXPIRED), ("next", WRONG)]);

    let (answer, asked) = world.ask().await;

    let error = answer.unwrap_err();
    assert_eq!(error.reason.code, EXPIRED);
    assert_eq!(
        error.reason.message,
        "first: CLIENT_SECRET_EXPIRED; the next client secret is refused too: next: INVALID_CLIENT_SECRET"
    );
    assert_eq!(asked, ["first", "next"]);
}

#[tokio::test]
async fn trouble_with_the_next_secret_is_told_as_what_it_is() {
    let world = World::new(&[("first", EXPIRED), ("next", DOWN)]);

    let (answer, _asked) = world.ask().await;

    assert_eq!(answer.unwrap_err().reason.code, DOWN, "it passes, and holds no mail");
}

#[tokio::test]
async fn a_next_secret_that_ends_gives_way_to_a_first_one_that_is_good_again() {
    let world = World::new(&[("first", WRONG)]);
    world.ask().await.0.unwrap();

    world.refuse(&[("next", EXPIRED)]);
    let (answer, asked) = world.ask().await;
    let (again, asked_again) = world.ask().await;

    assert_eq!(answer.unwrap(), given("first", None));
    assert_eq!(asked, ["next", "first"]);
    assert_eq!(again.unwrap(), given("first", None));
    assert_eq!(asked_again, ["first"]);
}
