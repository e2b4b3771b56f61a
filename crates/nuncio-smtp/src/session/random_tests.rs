//! A server that says anything at all, at any point of the talk.

use nuncio_core::secret::Password;
use nuncio_core::settings::Encryption;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::transaction::Handover;
use crate::auth::Login;
use crate::fuzz::{Talk, envelope, odd_envelope};
use crate::testing::oauth_login;

/// What a server may say in place of what it should.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        6 => select(vec![220, 221, 235, 250, 251, 334, 354, 421, 432, 450, 503, 530, 535, 550, 554]),
        1 => 200_u16..600,
    ];
    let text = select(vec![
        "",
        " ",
        " ok",
        " 2.1.0 ok",
        " 5.7.57 not logged in",
        " eyJzdGF0dXMiOiI0MDEifQ==",
        "-more",
        " a\r",
        "x",
    ]);
    prop_oneof![
        8 => (code, text).prop_map(|(code, text)| format!("{code}{text}\r\n").into_bytes()),
        1 => Just(b"250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 1\r\n".to_vec()),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(select(vec![b'2', b'5', b'0', b'-', b' ', b'.', b'\r', b'\n', 0, 0xff]), 0..40),
    ]
}

/// What a right server says up to the login, so that the words meet every state.
fn opening() -> impl Strategy<Value = Vec<u8>> {
    let offers = select(vec![
        "HELP",
        "PIPELINING\r\n250 8BITMIME",
        "PIPELINING\r\n250-SMTPUTF8\r\n250 LIMITS RCPTMAX=1",
        "PIPELINING\r\n250-CHUNKING\r\n250 AUTH XOAUTH2",
        "CHUNKING\r\n250 AUTH OAUTHBEARER PLAIN",
        "PIPELINING\r\n250-STARTTLS\r\n250-AUTH LOGIN\r\n250 SIZE 2000",
    ]);
    offers.prop_map(|offers| format!("220 mx\r\n250-mx\r\n250-{offers}\r\n").into_bytes())
}

fn logins() -> impl Strategy<Value = Login> {
    let password = Login::Password {
        username: "tim".to_owned(),
        password: Password::from("tanstaaf".to_owned()),
    };
    select(vec![Login::None, oauth_login("t"), password])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_server_says_the_session_stays_sane(
        encryption in select(vec![Encryption::None, Encryption::StartTls, Encryption::Tls]),
        login in logins(),
        recipients in 1_usize..4,
        is_odd in proptest::bool::ANY,
        handover in select(vec![Handover::InTurn, Handover::AtOnce]),
        opening in proptest::option::weighted(0.8, opening()),
        go_on in proptest::bool::ANY,
        said in vec(words(), 0..40),
    ) {
        let login = if encryption == Encryption::None { Login::None } else { login };
        let go_on = go_on.then(|| b"334 \r\n235 ok\r\n".to_vec());
        let said: Vec<_> = opening.into_iter().chain(go_on).chain(said).collect();
        let envelope = if is_odd { odd_envelope(recipients) } else { envelope(recipients) };
        Talk::new(encryption, login, envelope, handover).hear(said.iter().map(Vec::as_slice));
    }
}
