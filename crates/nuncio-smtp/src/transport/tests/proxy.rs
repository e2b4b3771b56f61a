use nuncio_core::settings::proxy::{Proxy, ProxyCredentials};

use super::*;

/// A proxy that hears the right question and gives `answer`.
fn proxy_says(answer: &str) -> String {
    format!(
        "C: CONNECT inner.test:587 HTTP/1.1\nC: Host: inner.test:587\nC: User-Agent: nuncio/0.1.0\n\
         C: Proxy-Authorization: Basic dTpwdw==\nC: \nRAW: {answer}\\n\\n\n"
    )
}

fn behind_proxy(scripts: &[String]) -> Fixture {
    let mut fixture = Fixture::plain(scripts);
    let password = "pw".to_owned().into();
    fixture.saved.settings.host = "inner.test".to_owned();
    fixture.saved.settings.proxy = Some(Proxy {
        address: format!("http://{HOST}:3128").parse().unwrap(),
        credentials: Some(ProxyCredentials { username: "u".to_owned(), password }),
        bypass: Vec::new(),
    });
    fixture
}

#[tokio::test(start_paused = true)]
async fn mails_go_through_the_proxy_over_a_kept_connection() {
    let twice = (mail() + TAKEN).repeat(2);
    let talk = proxy_says("HTTP/1.1 200 OK") + &plain(OFFER) + &twice;
    let fixture = behind_proxy(&[talk]);

    for _ in 0..2 {
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), "accepted 250");
    }

    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_proxy_says_closes_or_pauses_the_way() {
    for (answer, expect) in [
        ("HTTP/1.1 407 Proxy Authentication Required", "closed PROXY_CREDENTIALS_REFUSED"),
        ("HTTP/1.1 403 Filtered", "closed PROXY_REFUSED"),
        ("HTTP/1.1 502 Bad Gateway", "unavailable PROXY_IN_VAIN"),
        ("SSH-2.0-x", "unavailable NOT_A_PROXY"),
    ] {
        let fixture = behind_proxy(&[proxy_says(answer)]);
        assert_eq!(show(&fixture.send(&["a@x.test"]).await), expect, "{answer}");
        fixture.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_is_given_up_at_the_connection_time_out() {
    let fixture = behind_proxy(&[]);
    let started = Instant::now();

    assert_eq!(show(&fixture.send(&["a@x.test"]).await), "unavailable PROXY_TIMED_OUT");

    assert_eq!(started.elapsed(), fixture.saved.settings.connect_timeout);
    fixture.finish().await;
}
