use super::*;
use crate::portal::testing::guest;
use crate::reply::SmtpReply;

fn check(choice: SenderChoice, default_from: Option<&str>, sponsored: bool, expect: &[&str]) {
    let settings = GuestMailSettings {
        sender: choice,
        default_from: default_from
            .map(|address| Mailbox::from(address.parse::<EmailAddress>().unwrap())),
        ..GuestMailSettings::default()
    };
    let guest = guest();
    let sponsor = guest.sponsor.as_ref().filter(|_| sponsored);

    let address = |mailbox: Option<&Mailbox>| {
        mailbox.map_or("-".to_owned(), |mailbox| mailbox.address.to_string())
    };
    let shown: Vec<_> = senders(&settings, sponsor)
        .iter()
        .map(|one| format!("{} {}", address(one.from.as_ref()), address(one.reply_to.as_ref())))
        .collect();
    assert_eq!(shown, expect);
}

#[test]
fn a_sponsor_is_the_sender_and_gets_the_answers_where_he_may_not_be() {
    use SenderChoice::{AlwaysDefault, SponsorIfSponsored};
    let portal = Some("portal@example.com");
    let (sam, from_portal) = ("sam@example.com -", "portal@example.com sam@example.com");
    check(SponsorIfSponsored, portal, true, &[sam, from_portal, "- sam@example.com"]);
    check(SponsorIfSponsored, None, true, &[sam, "- sam@example.com"]);
    let unsponsored = ["portal@example.com -", "- portal@example.com"];
    check(SponsorIfSponsored, portal, false, &unsponsored);
    check(AlwaysDefault, portal, true, &unsponsored);
    check(AlwaysDefault, None, true, &["- -"]);
}

#[test]
fn a_refused_sender_is_left_alone_for_a_day() {
    let sam: EmailAddress = "sam@example.com".parse().unwrap();
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let reply = SmtpReply { code: 554, enhanced: None, text: "SendAsDenied".to_owned() };
    let reason = Reason::new("SENDER_REFUSED", "the mailbox may not").reply(reply);

    let first = RefusedSender::after(None, &sam, &reason, start);
    let later = start + SENDER_RETRY;
    let second = RefusedSender::after(Some(&first), &sam, &reason, later);

    let moment_before = later - jiff::SignedDuration::from_micros(1);
    assert!(first.is_passed_over(moment_before) && !first.is_passed_over(later));
    assert!(second.is_passed_over(later));
    assert_eq!((second.refused_since, second.last_tried_at, second.refusals), (start, later, 2));
    assert_eq!(second.reason, "554 SendAsDenied");
}
