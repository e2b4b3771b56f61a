//! The HTML of the page. Every value is escaped.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nuncio_core::directory::guest::Guest;
use nuncio_core::portal::approval::{ApprovalState, DECISION_REASON_CHARS_MAX, Verdict};

use super::View;
use super::texts::Texts;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;\
color:#1b1b1b;background:#fff}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}\
dt{color:#555}dd{margin:0;overflow-wrap:anywhere}button{font:inherit;padding:.6rem 1.4rem;border:0;\
border-radius:.3rem;background:#0b5cad;color:#fff}textarea{font:inherit;width:100%;box-sizing:border-box}";

/// What the policy of the page allows as its style.
pub(super) fn style_source() -> &'static str {
    static SOURCE: LazyLock<String> = LazyLock::new(|| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        format!("sha256-{}", STANDARD.encode(digest))
    });
    &SOURCE
}

pub(super) fn page(view: &View, texts: &Texts) -> String {
    let (heading, body) = match view {
        View::Confirm { guest, verdict } => {
            (heading(*verdict, texts), form(guest, *verdict, texts))
        }
        View::Done(Verdict::Approve) => (texts.approved, paragraph(texts.told)),
        View::Done(Verdict::Deny) => (texts.denied, paragraph(texts.told)),
        View::Already(state) => (
            texts.already,
            paragraph(match state {
                ApprovalState::Approved => texts.approved,
                ApprovalState::Denied => texts.denied,
                ApprovalState::Cancelled => texts.cancelled,
                ApprovalState::Expired | ApprovalState::Pending => texts.expired,
            }),
        ),
        View::Expired => (texts.expired, paragraph(texts.ask_again)),
        View::Forged => (texts.forged, paragraph(texts.check_link)),
        View::GuestChanged => (texts.guest_changed, String::new()),
        View::TooMany => (texts.too_many, String::new()),
        View::Trouble => (texts.trouble, String::new()),
    };
    let Texts { language, direction, .. } = texts;
    let heading = escaped(heading);
    format!(
        "<!doctype html>\n<html lang=\"{language}\" dir=\"{direction}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex,nofollow\"><title>{heading}</title>\
         <style>{STYLE}</style></head><body><main><h1>{heading}</h1>{body}</main></body></html>\n"
    )
}

fn heading(verdict: Verdict, texts: &Texts) -> &'static str {
    match verdict {
        Verdict::Approve => texts.approve_question,
        Verdict::Deny => texts.deny_question,
    }
}

/// It is sent to where it came from: the address of the link stands nowhere in the page.
fn form(guest: &Guest, verdict: Verdict, texts: &Texts) -> String {
    let zone = &guest.time_zone;
    let time = |at: jiff::Timestamp| {
        let local = zone.to_datetime(at);
        let zone = zone.iana_name().unwrap_or("UTC");
        format!("{} {:02}:{:02} ({zone})", local.date(), local.hour(), local.minute())
    };
    let rows = [
        (texts.name, format!("{} {}", guest.first_name, guest.last_name)),
        (texts.username, guest.username.clone()),
        (texts.email, guest.email.as_ref().map(ToString::to_string).unwrap_or_default()),
        (texts.company, guest.company.clone()),
        (texts.person_visited, guest.person_visited.clone()),
        (texts.reason_for_visit, guest.reason_for_visit.clone()),
        (texts.valid_from, time(guest.valid_from)),
        (texts.valid_to, time(guest.valid_to)),
    ];
    let rows = rows.iter().filter(|(_, value)| !value.trim().is_empty());
    let rows: Vec<_> = rows
        .map(|(name, value)| {
            format!("<dt>{}</dt><dd dir=\"auto\">{}</dd>", escaped(name), escaped(value.trim()))
        })
        .collect();
    let rows = rows.concat();
    let (button, reason) = match verdict {
        Verdict::Approve => (texts.approve, String::new()),
        Verdict::Deny => {
            let label = escaped(texts.reason);
            let field = format!(
                "<p><label>{label}<br><textarea name=\"reason\" dir=\"auto\" rows=\"2\" \
                 maxlength=\"{DECISION_REASON_CHARS_MAX}\"></textarea></label></p>"
            );
            (texts.deny, field)
        }
    };
    let button = escaped(button);
    format!(
        "<dl>{rows}</dl><form method=\"post\">{reason}<p><button type=\"submit\">{button}</button></p></form>"
    )
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
