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

fn check(replies: &Replies, expect: &str) {
    check_as(SenderKind::Mailbox, replies, expect);
}

fn check_as(sender: SenderKind, replies: &Replies, expect: &str) {
    let shown = match judge(replies, sender) {
        SendOutcome::Judged(verdicts) => {
            let one = |verdict: &Verdict| match verdict {
                Verdict::Accepted(reply) => format!("accepted {}", reply.code),
                Verdict::Deferred(reply) => format!("deferred {}", reply.code),
                Verdict::Refused(reply) => format!("refused {}", reply.code),
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
