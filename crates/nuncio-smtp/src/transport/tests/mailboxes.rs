use super::*;
use crate::auth::Mechanism;

const SECOND: &str = "second@mx.test";

fn second() -> EmailAddress {
    SECOND.parse().unwrap()
}

fn auth_second() -> String {
    let response = oauth_login("t1").of(&second()).responses(Mechanism::Xoauth2).remove(0);
    format!("C: AUTH XOAUTH2\nS: 334 \nC: {response}\n")
}

/// Two mailboxes, of which the second has the connections of `scripts` behind the first.
fn two_mailboxes(scripts: &[String]) -> Fixture {
    let mut fixture = Fixture::new(scripts, Tokens::new(&["t1"]));
    fixture.saved.settings.additional_mailboxes = vec![second()];
    fixture.saved.settings.limits.connections_max = 1;
    fixture
}

async fn send_as(fixture: &Fixture, mailbox: &EmailAddress) -> SendOutcome {
    fixture.transport.send(&fixture.saved, mailbox, &outgoing(&["a@x.test"]), &Gate(true)).await
}

#[tokio::test(start_paused = true)]
async fn each_mailbox_logs_in_as_itself_and_keeps_its_own_connection() {
    let taken_twice = LOGGED_IN.to_owned() + &(mail() + TAKEN).repeat(2);
    let fixture = two_mailboxes(&[
        starttls(OFFER) + &auth("t1") + &taken_twice,
        starttls(OFFER) + &auth_second() + &taken_twice,
    ]);
    let (first, second) = (fixture.mailbox().clone(), second());

    for mailbox in [&first, &second, &second, &first] {
        assert_eq!(show(&send_as(&fixture, mailbox).await), "accepted 250", "{mailbox}");
    }

    assert_eq!(fixture.transport.connections(), 2);
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_connections_is_that_of_each_mailbox() {
    let held = LOGGED_IN.to_owned() + &mail().replace("BODY\n", "BODY\nWAIT\n") + TAKEN;
    let fixture = two_mailboxes(&[
        starttls(OFFER) + &auth("t1") + &held + &mail() + TAKEN,
        starttls(OFFER) + &auth_second() + LOGGED_IN + &mail() + TAKEN,
    ]);
    let (first, second) = (fixture.mailbox().clone(), second());

    let ends = Mutex::new(Vec::new());
    let send = async |name: &'static str, mailbox: &EmailAddress| {
        assert_eq!(show(&send_as(&fixture, mailbox).await), "accepted 250");
        ends.lock().unwrap().push(name);
    };
    let others = async {
        send("second", &second).await;
        fixture.servers.go_on();
    };
    futures::join!(send("first", &first), send("first again", &first), others);

    let ends = ends.into_inner().unwrap();
    assert_eq!(ends, ["second", "first", "first again"], "only its own mailbox waits");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_take_a_mail_in_one_write_are_counted_for_their_mailbox() {
    let offer = format!("{OFFER}, CHUNKING");
    let fixture = two_mailboxes(&[
        starttls(&offer) + &auth("t1") + LOGGED_IN + &mail() + TAKEN,
        starttls(OFFER) + &auth_second() + LOGGED_IN + &mail() + TAKEN,
    ]);
    let (first, second) = (fixture.mailbox().clone(), second());
    assert_eq!(fixture.transport.ready(&first), 0, "none is open");

    send_as(&fixture, &first).await;
    send_as(&fixture, &second).await;

    assert_eq!(fixture.transport.ready(&first), 1);
    assert_eq!(fixture.transport.ready(&second), 0, "its server offers no CHUNKING");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(fixture.transport.ready(&first), 0, "it has grown cold");
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn new_settings_close_the_kept_connections_of_all_mailboxes() {
    let fresh = starttls(OFFER) + &auth("t1") + LOGGED_IN + &mail() + TAKEN;
    let mut fixture = two_mailboxes(&[
        fresh.clone(),
        starttls(OFFER) + &auth_second() + LOGGED_IN + &mail() + TAKEN,
        fresh,
    ]);
    let first = fixture.mailbox().clone();
    send_as(&fixture, &first).await;
    send_as(&fixture, &second()).await;

    fixture.saved.generation += 1;
    send_as(&fixture, &first).await;

    assert_eq!(fixture.transport.connections(), 1);
    fixture.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_names_the_mailbox_if_there_are_several() {
    let refused = "S: 535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox.\n";
    let mut fixture = two_mailboxes(&[
        starttls(OFFER) + &auth_second() + refused,
        starttls(OFFER) + &auth("t1") + refused,
    ]);
    let told = |outcome: SendOutcome| {
        let SendOutcome::Closed { reason } = outcome else { panic!("{outcome:?}") };
        reason.message
    };

    let of_second = told(send_as(&fixture, &second()).await);
    assert!(of_second.ends_with("(mailbox `second@mx.test`)"), "{of_second}");

    fixture.saved.settings.additional_mailboxes.clear();
    let of_the_only = told(send_as(&fixture, &fixture.mailbox().clone()).await);
    assert!(!of_the_only.contains("(mailbox"), "{of_the_only}");
    fixture.finish().await;
}
