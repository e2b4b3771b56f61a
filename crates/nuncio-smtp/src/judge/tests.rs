use super::*;

fn reply(code: u16) -> SmtpReply {
    SmtpReply { code, enhanced: None, text: String::new() }
}

fn replies(mail: u16, recipients: &[u16], data: u16, end: u16) -> Replies {
    let given = |code: u16| (code != 0).then(|| reply(code));
    Replies {
        mail: given(mail),
        recipients: recipients.iter().map(|code| given(*code)).collect(),
        data: given(data),
        end: given(end),
    }
}

/// The basic code of the reply.
fn code(reason: &Reason) -> u16 {
    reason.reply.as_ref().map_or(0, |reply| reply.code)
}

fn check(replies: &Replies, expect: &str) {
    check_as(SenderKind::Mailbox, replies, expect);
}

fn check_as(sender: SenderKind, replies: &Replies, expect: &str) {
    let shown = match judge(replies, sender) {
        SendOutcome::Judged(verdicts) => {
            let one = |verdict: &Verdict| match verdict {
                Verdict::Accepted(reply) => format!("accepted {}", reply.code),
                Verdict::Deferred { reason, .. } => format!("deferred {}", code(reason)),
                Verdict::InAnotherMail(reason) => format!("in another mail {}", code(reason)),
                Verdict::Refused(reason) => format!("refused {}", code(reason)),
            };
            verdicts.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        SendOutcome::SenderRefused { reason, .. } => format!("sender refused {}", reason.code),
        SendOutcome::Unknown { .. } => "unknown".to_owned(),
        SendOutcome::Throttled { reason, .. } => format!("throttled {}", reason.code),
        SendOutcome::Unavailable { reason, .. } => format!("unavailable {}", reason.code),
        SendOutcome::Closed { reason } => format!("closed {}", reason.code),
        SendOutcome::Abandoned => "abandoned".to_owned(),
    };
    assert_eq!(shown, expect, "{replies:?}");
}

#[test]
fn a_reply_to_mail_holds_for_all() {
    check(&replies(451, &[0, 0], 0, 0), "deferred 451, deferred 451");
    check(&replies(550, &[503, 503], 503, 0), "refused 550, refused 550");
    check(&replies(530, &[503], 503, 0), "closed LOGIN_REQUIRED");
}

#[test]
fn a_reply_to_rcpt_holds_for_one() {
    check(&replies(250, &[250, 550, 450], 354, 250), "accepted 250, refused 550, deferred 450");
    check(&replies(250, &[550, 450], 503, 0), "refused 550, deferred 450");
    // Those refused before stay refused, whatever becomes of the rest.
    check(&replies(250, &[550, 250], 354, 451), "refused 550, deferred 451");
    check(&replies(250, &[450, 250], 354, 554), "deferred 450, refused 554");
}

#[test]
fn a_reply_to_data_or_content_holds_for_the_rest() {
    check(&replies(250, &[250, 251], 451, 0), "deferred 451, deferred 451");
    check(&replies(250, &[250], 354, 432), "throttled MAILBOX_THROTTLED");
}

#[test]
fn too_many_recipients_go_in_another_mail() {
    check(&replies(250, &[250, 452], 354, 250), "accepted 250, deferred 452");
    let enough = |code, enhanced: &str| {
        let text = "Too many recipients".to_owned();
        Some(SmtpReply { code, enhanced: enhanced.parse().ok(), text })
    };
    for (code, enhanced) in [(452, "4.5.3"), (550, "4.5.3"), (451, "5.5.3"), (552, ""), (452, "")] {
        let recipients = vec![Some(reply(250)), enough(code, enhanced)];
        let at_rcpt = Replies { recipients, ..replies(250, &[], 354, 250) };
        check(&at_rcpt, &format!("accepted 250, in another mail {code}"));
        let at_end = Replies { end: enough(code, enhanced), ..replies(250, &[250], 354, 0) };
        check(&at_end, &format!("in another mail {code}"));
    }
}

#[test]
fn a_lost_login_refuses_no_recipient_while_others_are_taken() {
    check(&replies(250, &[250, 530], 354, 250), "accepted 250, deferred 530");
}

#[test]
fn a_verdict_has_cause_and_remedy_and_the_reply_beside_them() {
    let not_found =
        SmtpReply { code: 550, enhanced: "5.1.1".parse().ok(), text: "who?".to_owned() };
    let recipients = vec![Some(reply(250)), Some(not_found.clone())];
    let at_rcpt = Replies { recipients, ..replies(250, &[], 354, 250) };

    let SendOutcome::Judged(verdicts) = judge(&at_rcpt, SenderKind::Mailbox) else {
        panic!("it was judged")
    };
    let [_, Verdict::Refused(reason)] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(reason.code, "RECIPIENT_UNKNOWN");
    assert_eq!(reason.message, "there is no such recipient");
    assert!(reason.remedy.contains("correct the address"), "{reason:?}");
    assert_eq!(reason.reply, Some(not_found));
}

#[test]
fn an_answer_that_is_missing_is_not_made_up() {
    check(&replies(250, &[250], 354, 0), "unknown");
}

fn not_owned() -> SmtpReply {
    let enhanced = "5.7.1".parse().ok();
    let text = "<a@b>: Sender address rejected: not owned by user c@d".to_owned();
    SmtpReply { code: 553, enhanced, text }
}

#[test]
fn a_refused_sender_is_told_apart_wherever_the_server_says_it() {
    let at_mail = Replies { mail: Some(not_owned()), ..replies(0, &[0], 0, 0) };
    let at_rcpt = Replies { recipients: vec![Some(not_owned()); 2], ..replies(250, &[], 0, 0) };
    let at_end = Replies { end: Some(not_owned()), ..replies(250, &[250, 550], 354, 0) };

    for refused in [&at_mail, &at_rcpt, &at_end] {
        check_as(SenderKind::Other, refused, "sender refused SENDER_REFUSED");
        check_as(SenderKind::Mailbox, refused, "closed SENDER_REFUSED");
    }
}
