//! A test of SMTP settings for people: a line for each stage as it ends.

use nuncio_api::v1::{PresentedCertificate, SmtpTestOutcome, SmtpTestStage};

use crate::names;
use crate::output::{Line, Tone};
use crate::time::span;

/// A stage, and if it failed its cause, its remedy and the chain that the server presented.
pub(crate) fn stage(stage: &SmtpTestStage) -> Vec<Line> {
    let outcome = stage.outcome();
    let (mark, tone) = mark(outcome);
    let first = Line::new()
        .push(tone, mark)
        .plain(format!(" {:<6}", names::stage(stage.kind())))
        .push(Tone::Dim, format!("{:>8}", span(stage.elapsed.as_ref())))
        .plain("  ");
    let first = match stage.mailbox.as_str() {
        mailbox if stage.detail.contains(mailbox) => first,
        mailbox => first.plain(format!("{mailbox}: ")),
    };
    let mut lines = match outcome {
        SmtpTestOutcome::Failed => {
            let mut lines = vec![first.push(Tone::Bad, &stage.error_code)];
            lines.push(Line::new().plain("    cause:  ").plain(&stage.cause));
            lines.push(Line::new().plain("    remedy: ").push(Tone::Strong, &stage.remedy));
            lines
        }
        SmtpTestOutcome::Skipped => vec![first.push(Tone::Dim, &stage.detail)],
        SmtpTestOutcome::Passed | SmtpTestOutcome::Unspecified => vec![first.plain(&stage.detail)],
    };
    lines.extend(chain(&stage.presented_chain));
    lines
}

fn mark(outcome: SmtpTestOutcome) -> (&'static str, Tone) {
    match outcome {
        SmtpTestOutcome::Passed => ("✓", Tone::Good),
        SmtpTestOutcome::Failed => ("✗", Tone::Bad),
        SmtpTestOutcome::Skipped => ("–", Tone::Dim),
        SmtpTestOutcome::Unspecified => ("?", Tone::Warning),
    }
}

fn chain(chain: &[PresentedCertificate]) -> Vec<Line> {
    let mut lines = Vec::new();
    if !chain.is_empty() {
        lines.push(Line::from("    the server presented:"));
    }
    for (index, one) in chain.iter().enumerate() {
        lines.push(Line::from(format!("      {}. {}", index + 1, one.subject)));
        lines.push(Line::from(format!("         issued by {}", one.issuer)));
        lines.push(Line::from(format!("         valid {} to {}", one.not_before, one.not_after)));
        lines.push(Line::from(format!("         SHA-256 {}", one.sha256_fingerprint)));
    }
    lines
}
